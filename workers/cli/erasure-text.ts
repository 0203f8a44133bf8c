/** What support staff read. */
import type { ListedRequest, Preview, RequestStatus } from '../../jobs/erasure/index.ts'
import { count, instant, table } from './output.ts'

export function statusText(
  { request, next, daysLeft, legs, decisions, answers }: RequestStatus,
  bold: Bold,
): string {
  const lines = [
    bold(`Request ${request.id}: ${request.state}`),
    next,
    '',
    `A ${request.subjectKind}, ${request.kind}, asked by ${request.requester} through ${request.actor} on ${instant(request.receivedAt)}.`,
    request.identityMethod === null
      ? 'Identity: not confirmed.'
      : `Identity: ${request.identityMethod}, ${instant(request.identityAt)}, by ${request.identityBy ?? '–'}.`,
    request.finishedAt === null
      ? `Answer due ${instant(request.dueAt)} (${daysLeft < 0 ? `${-daysLeft} days overdue` : `${daysLeft} days left`}${request.extendedAt === null ? '' : ', extended'}).`
      : `Ended ${instant(request.finishedAt)}.`,
  ]
  if (legs.length > 0)
    lines.push(
      '',
      table(
        ['store', 'kind', 'removed', 'how it stands'],
        legs.map((leg) => [leg.store, leg.kind, removed(leg.counts, leg.shared), leg.words]),
      ),
    )
  if (answers.length > 0)
    lines.push(
      '',
      table(
        ['told the person', 'how it stands', 'when'],
        answers.map((one) => [
          one.kind,
          one.errorCode === null ? one.state : `${one.state} (${one.errorCode})`,
          one.deliveredAt === null ? '' : instant(one.deliveredAt),
        ]),
      ),
    )
  if (decisions.length > 0)
    lines.push(
      '',
      table(
        ['decision', 'of', 'by', 'when'],
        decisions.map((one) => [one.verb, one.object ?? '', one.actor, instant(one.at)]),
      ),
    )
  return `${lines.join('\n')}\n`
}

type Bold = (text: string) => string

function removed(counts: Readonly<Record<string, number>>, shared: number): string {
  const all = Object.values(counts).reduce((sum, n) => sum + n, 0)
  return shared > 1 ? `${count(all)} (of ${shared} together)` : count(all)
}

export function listText(requests: readonly ListedRequest[]): string {
  if (requests.length === 0) return 'No requests.'
  return table(
    ['request', 'of', 'kind', 'state', 'waits for', 'days left', 'received'],
    requests.map((one) => [
      one.id,
      one.subjectKind,
      one.kind,
      one.state,
      one.waitingFor ?? '',
      one.daysLeft === null ? '' : String(one.daysLeft),
      instant(one.receivedAt),
    ]),
  )
}

export function previewText(preview: Preview, bold: Bold): string {
  const { places, retained, tombstones, classes, notCovered } = preview
  const needed = places.filter((place) => place.needed)
  const lines = [
    bold(
      preview.present
        ? 'This would go'
        : 'Nothing of this person is in the own store; this would be looked for',
    ),
    ...(preview.merged === 0 ? [] : [`${preview.merged} rows were merged into this one and go with it.`]),
    ...(preview.keptBack === null ? [] : [bold(`KEPT BACK NOW: ${preview.keptBack}`)]),
    '',
    table(
      ['store', 'kind', 'where', 'items'],
      needed.flatMap((place) =>
        place.counts === null
          ? [[place.store, place.kind, `DOES NOT ANSWER: ${place.problem ?? ''}`, '']]
          : Object.keys(place.counts).length === 0
            ? [[place.store, place.kind, '(nothing, or it can’t be counted)', '']]
            : Object.entries(place.counts).map(([where, n]) => [place.store, place.kind, where, n]),
      ),
    ),
  ]
  const idle = places.filter((place) => !place.needed).map(({ store }) => store)
  if (idle.length > 0) lines.push('', `Nothing leads to: ${idle.join(', ')}.`)
  if (retained.length > 0)
    lines.push('', bold('Stays'), ...retained.map(({ table: name, ground }) => `  ${name}: ${ground}`))
  if (tombstones.length > 0)
    lines.push(
      '',
      bold('Tombstones, once the keys are shredded'),
      ...tombstones.map(
        ({ table: name, columns, problem }) =>
          `  ${name} (${columns.join(', ')})${problem === null ? '' : `: CAN'T BE WRITTEN: ${problem}`}`,
      ),
    )
  if (classes.length > 0)
    lines.push(
      '',
      bold('Classes of records'),
      ...classes.map(
        ({ name, decision, ground }) => `  ${name}: ${decision}${ground === null ? '' : ` (${ground})`}`,
      ),
    )
  lines.push('', bold("Can't be undone, and what else happens"))
  for (const place of needed) {
    lines.push(`  ${place.store}: irreversible after ${place.irreversibleAfter}`)
    lines.push(...place.sideEffects.map((text) => `    ${text}`))
  }
  if (notCovered.length > 0) lines.push('', bold('Not covered'), ...notCovered.map((text) => `  ${text}`))
  return `${lines.join('\n')}\n`
}
