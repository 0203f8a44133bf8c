/** What a sweep found, who decided and what was done: JSON for machines, Markdown for the file. No personal data. */
import { z } from 'zod'
import { total } from '../../lib/base/counts/index.ts'
import type { Queryable } from '../../lib/base/db/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import { HANDED_OVER } from './hand-over.ts'
import { limitVerdict } from './proposal.ts'
import { reasonOf } from '../../lib/record/decisions/index.ts'

const counts = z.record(z.string(), z.number())

/** As it is kept: additive only, no key is ever renamed or dropped. It names the approver's statement and copies none of it. */
const storedSchema = z.object({
  format: z.literal('lethe-retention-report-1'),
  run: z.string(),
  policy: z.string(),
  policyVersion: z.string(),
  recordsClass: z.string(),
  store: z.string(),
  outcome: z.string(),
  mapVersion: z.string(),
  planHash: z.string(),
  proposal: z.string(),
  cutoff: z.string(),
  period: z.string(),
  clamped: z.string().nullable(),
  oldest: z.string().nullable(),
  newest: z.string().nullable(),
  population: z.number(),
  proposedRows: counts,
  excluded: counts,
  limits: z.array(limitVerdict),
  approval: z
    .object({
      outcome: z.string(),
      actor: z.string(),
      method: z.string(),
      /** The hash of what was signed, in hex; null in a report whose approval is not in the record. */
      statement: z.string().nullable(),
      at: z.string(),
      overrides: z.array(z.string()),
    })
    .nullable(),
  subjects: z.object({
    erased: z.number(),
    kept: z.number(),
    skipped: counts,
    locked: z.number(),
    blocked: counts,
  }),
  rows: z.object({ removed: counts, pseudonymised: counts, detached: counts }),
  batches: z.number(),
  throttledSeconds: counts,
  verification: z.object({ checked: z.number(), left: counts }).nullable(),
  tidied: z
    .object({
      refreshed: z.array(z.string()),
      vacuumed: z.array(z.string()),
      refused: z.array(z.object({ object: z.string(), code: z.string() })),
    })
    .nullable(),
  ledgerEntries: z.number(),
  startedAt: z.string(),
  finishedAt: z.string(),
  notCovered: z.array(z.string()),
})
export type StoredReport = z.infer<typeof storedSchema>
/** As it is shown: with the approver's reason, read through the hash when it is asked for. */
export type Report = Omit<StoredReport, 'approval'> & {
  approval: (NonNullable<StoredReport['approval']> & { reason: string }) | null
}

/** Idempotent: the last report of a run stands. */
export async function storeReport(control: Queryable, report: StoredReport): Promise<void> {
  await control.execute(
    `INSERT INTO lethe_control.reports (run_id, report) VALUES ($1, $2)
     ON CONFLICT (run_id) DO UPDATE SET report = EXCLUDED.report, created_at = now()`,
    [report.run, JSON.stringify(report)],
  )
}

/** Throws E_NOT_FOUND. */
export async function getReport(control: Queryable, runId: string): Promise<Report> {
  const [row] = await control.query(
    z.object({ report: storedSchema, text: z.string().nullable() }),
    `SELECT r.report, s.statement AS text FROM lethe_control.reports r
     LEFT JOIN lethe_control.statements s ON s.hash = decode(r.report #>> '{approval,statement}', 'hex')
     WHERE r.run_id::text = $1`,
    [runId],
  )
  if (row !== undefined) {
    const { approval } = row.report
    return { ...row.report, approval: approval === null ? null : { ...approval, reason: reasonOf(row.text) } }
  }
  throw new LetheError('E_NOT_FOUND', {
    message: `Run ${runId} has no report (yet).`,
    next: `See \`lethe runs show ${runId}\`.`,
  })
}

export function renderReport(report: Report): string {
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
    'Rows that were proposed and stayed: of subjects who stayed, of another owner too, or kept on a ground of the map.',
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
