/** Reports of sweeps, one a run. No personal data. */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { joinStatement, reasonOf } from '../decisions/index.ts'
import { limitVerdict } from './proposals.ts'

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
     ${joinStatement('s', `decode(r.report #>> '{approval,statement}', 'hex')`)}
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
