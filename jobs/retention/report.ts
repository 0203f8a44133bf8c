/** What a sweep found, who decided and what was done, as Markdown for the file. No personal data. */
import { total } from '../../lib/base/counts/index.ts'
import type { handedOver } from '../../lib/record/requests/index.ts'
import type { Report } from '../../lib/record/proposals/index.ts'
import { HANDED_OVER } from './sweep/hand-over.ts'

/** `handed`: what became of the erasure requests that it was handed over to, counted now. */
export function renderReport(report: Report, handed: Awaited<ReturnType<typeof handedOver>> = []): string {
  const lines = [
    `# Retention report: ${report.policy}`,
    '',
    `${report.recordsClass}. Outcome: **${report.outcome}**.`,
    '',
    ...table(
      ['', ''],
      [
        ['run', report.run],
        ['proposal', report.proposal],
        ['policy version', report.policyVersion.slice(0, 16)],
        ['map version', report.mapVersion.slice(0, 16)],
        ['plan hash', report.planHash.slice(0, 16)],
        [
          'cutoff',
          `${report.cutoff} (${report.period}${report.clamped === null ? '' : `; ${report.clamped}`})`,
        ],
        ['oldest, newest', `${report.oldest ?? '–'}, ${report.newest ?? '–'}`],
        ['from, to', `${report.startedAt}, ${report.finishedAt}`],
      ],
    ),
    '',
    '## Decision',
    '',
    report.approval === null
      ? 'None: nothing was destroyed.'
      : `${report.approval.outcome} by ${report.approval.actor} (${report.approval.method}) at ${report.approval.at}: ${report.approval.reason}` +
        (report.approval.overrides.length > 0 ? ` Overrides: ${report.approval.overrides.join(', ')}.` : '') +
        (report.approval.statement === null ? '' : ` Signed statement: ${report.approval.statement}.`),
    '',
    '## Subjects',
    '',
    ...table(
      ['', 'subjects'],
      [
        ['due and free to go', report.population],
        ['erased', report.subjects.erased],
        ['of these kept as a pseudonym, because rows must stay', report.subjects.kept],
        ['locked by others to the end', report.subjects.locked],
        ...pairs(report.subjects.blocked, (name) => `blocked by ${name}`),
        ...pairs(report.subjects.skipped, (reason) =>
          reason === HANDED_OVER ? 'handed over as erasure requests' : `stayed at execution: ${reason}`,
        ),
        ...handed.map(({ state, letGo, count }): [string, number] => [
          letGo === null ? `of the handed over: ${state}` : `of the handed over, let go again: ${letGo}`,
          count,
        ]),
        ...pairs(report.excluded, (reason) => `stayed at proposal: ${reason}`),
      ],
    ),
    '',
    '## Rows',
    '',
    ...table(
      ['table', 'proposed', 'removed', 'pseudonymised', 'detached'],
      [
        ...new Set(
          [report.proposedRows, report.rows.removed, report.rows.pseudonymised, report.rows.detached].flatMap(
            Object.keys,
          ),
        ),
      ]
        .toSorted()
        .map((name) => [
          name,
          report.proposedRows[name] ?? 0,
          report.rows.removed[name] ?? 0,
          report.rows.pseudonymised[name] ?? 0,
          report.rows.detached[name] ?? 0,
        ]),
    ),
    '',
    'Rows that were proposed and not removed: of subjects who stayed, of another owner too, kept on a ground of the map, or counted once for each of two subjects whose row they are.',
    '',
    '## Proof',
    '',
    report.verification === null
      ? 'Nothing was removed, so nothing was read back.'
      : `${report.verification.checked} subjects read back after their removal; rows still found: ${total(report.verification.left)}.`,
    `${report.ledgerEntries} ledger entries stand (keyed hashes, no identity). ${report.batches} batches.`,
    ...(report.tidied === null
      ? []
      : [
          `Refreshed: ${list(report.tidied.refreshed)}. Vacuumed: ${list(report.tidied.vacuumed)}. Not permitted: ${list(report.tidied.refused.map(({ object, code }) => `${object} (${code})`))}.`,
        ]),
    ...(Object.keys(report.throttledSeconds).length > 0
      ? [
          `Waited: ${Object.entries(report.throttledSeconds)
            .map(([reason, seconds]) => `${seconds.toFixed(1)} s for ${reason}`)
            .join(', ')}.`,
        ]
      : []),
    '',
    '## Not covered',
    '',
    ...(report.notCovered.length === 0
      ? ['Nothing is left out.']
      : report.notCovered.map((line) => `- ${line}`)),
    '',
  ]
  return lines.join('\n')
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  const line = (cells: readonly (string | number)[]) =>
    `| ${cells.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en') : cell)).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)]
}

function pairs(values: Readonly<Record<string, number>>, name: (key: string) => string): [string, number][] {
  return Object.entries(values).map(([key, value]) => [name(key), value])
}

function list(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ')
}
