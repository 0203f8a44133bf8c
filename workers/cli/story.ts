/** A run's whole story as a person reads it: where it came from, then everything in the order it happened. */
import type { RunEvent } from '../../lib/record/evidence/index.ts'
import type { RunStory } from '../../jobs/run-story.ts'
import { count, instant, table } from './output.ts'

export function storyText(story: RunStory, bold: (text: string) => string): string {
  const { run } = story
  const lines = [
    bold(`Run ${run.id}`),
    `  ${run.kind} of ${run.scope}: ${run.state}${run.outcome === null ? '' : ` (${run.outcome})`}${run.waitingFor === null ? '' : `, waits for ${run.waitingFor}`}`,
    story.occurrence === null
      ? `  started by ${run.createdBy}`
      : `  started by schedule ${story.occurrence.scheduleId}, due ${instant(story.occurrence.at)}`,
    `  created ${instant(run.createdAt)}, started ${instant(run.startedAt)}, ended ${instant(run.finishedAt)}`,
    `  claimed ${run.fence} times, ${run.attempt} failed attempts of ${run.maxAttempts}, generation ${run.generation}`,
    ...(run.leaseHolder === null || run.state !== 'running'
      ? []
      : [`  held by ${run.leaseHolder} until ${instant(run.leaseExpiresAt)}`]),
    ...(run.errorCode === null ? [] : [`  ${run.errorCode}: ${run.errorMessage ?? ''}`]),
    ...proposals(story, bold),
    bold('What happened'),
    table(['', '', ''], happenings(story)),
    ...steps(story, bold),
    ...batches(story, bold),
    ...counters(story, bold),
    ...(story.scopes.length === 0
      ? []
      : [
          bold('Erasure ledger'),
          table(
            ['scope', 'store', 'subject', 'verified'],
            story.scopes.map((scope) => [
              scope.id,
              scope.store,
              scope.subjectKind,
              instant(scope.verifiedAt),
            ]),
          ),
        ]),
  ]
  return lines.join('\n')
}

function proposals(story: RunStory, bold: (text: string) => string): string[] {
  return story.proposals.flatMap((proposal) => [
    bold('Proposal'),
    `  ${proposal.id} of policy ${proposal.policy}: ${count(proposal.population)} subjects older than ${instant(proposal.cutoff)}, ${proposal.state}`,
    ...story.approvals
      .filter((approval) => approval.proposalId === proposal.id)
      .flatMap((approval) => [
        `  ${approval.outcome} by ${approval.actor} (${approval.method}) at ${instant(approval.at)}: ${approval.reason}`,
        `  signed statement ${approval.statement}`,
      ]),
  ])
}

function happenings(story: RunStory): string[][] {
  return story.events.map((event) => [
    instant(event.at),
    event.type.replace(/[.-]/g, ' '),
    [facts(event), event.actor === null || event.actor === 'lethe' ? '' : `by ${event.actor}`]
      .filter((part) => part !== '')
      .join(' '),
  ])
}

/** `population 12, state waiting`: without the hashes, which the JSON has. */
function facts(event: RunEvent): string {
  return Object.entries(event.data)
    .filter(([name]) => !/(hash|version|statement)$/i.test(name))
    .flatMap(([name, value]) => {
      const shown = shape(value)
      return shown === '' ? [] : [`${name} ${shown}`]
    })
    .join(', ')
}

function shape(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (Array.isArray(value)) return value.map(String).join(' ')
  if (typeof value === 'object') {
    const entries = Object.entries(value)
    // Counts by table are in the report; here their sum keeps the line readable.
    return entries.length > 3 && entries.every(([, inner]) => typeof inner === 'number')
      ? `${count(entries.reduce((sum, [, inner]) => sum + Number(inner), 0))} in ${entries.length} tables`
      : entries.map(([name, inner]) => `${name}=${String(inner)}`).join(' ')
  }
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Neighbours of one name become one line: a sweep has thousands. */
function steps(story: RunStory, bold: (text: string) => string): string[] {
  const groups: {
    name: string
    first: (typeof story.steps)[number]
    last: (typeof story.steps)[number]
    n: number
  }[] = []
  for (const step of story.steps) {
    const group = groups.at(-1)
    if (group?.name === step.name && group.last.fence === step.fence) {
      group.last = step
      group.n += 1
    } else groups.push({ name: step.name, first: step, last: step, n: 1 })
  }
  if (groups.length === 0) return []
  return [
    bold('Steps'),
    table(
      ['step', 'times', 'fence', 'from', 'to', 'note'],
      groups.map(({ name, first, last, n }) => [
        name,
        n,
        last.fence.toString(),
        instant(first.startedAt),
        instant(last.finishedAt),
        last.note ?? '',
      ]),
    ),
  ]
}

function batches(story: RunStory, bold: (text: string) => string): string[] {
  const [first] = story.batches
  if (first === undefined) return []
  const fences = new Set(story.batches.map((batch) => batch.fence))
  const last = story.batches.at(-1)
  const more =
    story.batchCount > story.batches.length ? ` (the first ${count(story.batches.length)} shown)` : ''
  return [
    bold('Batches'),
    `  ${count(story.batchCount)} transactions on ${first.store}${more}, ${instant(first.at)} to ${instant(last?.at ?? null)}, under ${fences.size} claim${fences.size === 1 ? '' : 's'}`,
  ]
}

function counters(story: RunStory, bold: (text: string) => string): string[] {
  const entries = Object.entries(story.run.counters).filter(([, n]) => n !== 0)
  return entries.length === 0 ? [] : [bold('Counted'), table(['', ''], entries)]
}
