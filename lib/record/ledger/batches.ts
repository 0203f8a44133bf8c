/**
 * Copies of what the targets recorded in the transactions of their batches. A crash between a batch and its copy is a
 * copy not made yet, never an effect unrecorded: copying again is harmless.
 */
import { z } from 'zod'
import type { Database, Queryable } from '../../base/db/index.ts'
import { fenced } from './move.ts'
import type { Claim } from './run.ts'

export interface Batch {
  number: bigint
  fence: bigint
  at: Date
  /** `counters` (flat, by name) are summed; the rest is kept as it is. No row keys. */
  event: { counters: Record<string, number> } & Record<string, unknown>
}

export const batchEvent = z.looseObject({ counters: z.record(z.string(), z.number()) })

export interface StoredBatch extends Batch {
  store: string
}

const batchRow = z
  .object({
    number: z.coerce.bigint(),
    store: z.string(),
    fence: z.coerce.bigint(),
    at: z.date(),
    event: batchEvent,
  })
  .transform((row): StoredBatch => row)

/**
 * Idempotent by run and number. Returns the counters of all the run's batches so far, summed from the copies: totals,
 * fit for `recordStep`. `runId`: whose batches they are, where the claim's holder settles for a run that is lost. Throws
 * E_FENCED.
 */
export async function copyBatches(
  control: Database,
  claim: Claim,
  store: string,
  batches: readonly Batch[],
  runId: string = claim.id,
): Promise<Record<string, number>> {
  const [row] = await control.query(
    z.object({ held: z.boolean() }),
    `WITH held AS (
       SELECT id FROM lethe_control.runs WHERE id = $1 AND fence = $2 AND state = 'running' FOR SHARE
     ), copied AS (
       INSERT INTO lethe_control.batches (run_id, number, store, fence, at, event)
       SELECT $5, b.number, $3, b.fence, b.at, b.event
       FROM held, jsonb_to_recordset($4::jsonb) AS b(number bigint, fence bigint, at timestamptz, event jsonb)
       ON CONFLICT (run_id, number) DO NOTHING
     )
     SELECT EXISTS (SELECT FROM held) AS held`,
    [
      claim.id,
      claim.fence.toString(),
      store,
      JSON.stringify(
        batches.map((batch) => ({
          number: batch.number.toString(),
          fence: batch.fence.toString(),
          at: batch.at.toISOString(),
          event: batchEvent.parse(batch.event),
        })),
      ),
      runId,
    ],
  )
  if (row?.held !== true) throw fenced(claim)
  return batchCounters(control, runId)
}

/** The number of the newest copy; 0 where there is none. The next copy starts behind it. */
export async function lastBatchCopied(control: Queryable, runId: string): Promise<bigint> {
  const [row] = await control.query(
    z.object({ number: z.coerce.bigint() }),
    `SELECT coalesce(max(number), 0) AS number FROM lethe_control.batches WHERE run_id = $1`,
    [runId],
  )
  return row?.number ?? 0n
}

export async function batchCounters(control: Queryable, runId: string): Promise<Record<string, number>> {
  const rows = await control.query(
    z.object({ name: z.string(), total: z.coerce.number() }),
    `SELECT c.key AS name, sum(c.value::numeric) AS total
     FROM lethe_control.batches b, jsonb_each_text(b.event -> 'counters') c
     WHERE b.run_id = $1 GROUP BY c.key ORDER BY c.key`,
    [runId],
  )
  return Object.fromEntries(rows.map((row) => [row.name, row.total]))
}

export async function countBatches(control: Queryable, runId: string): Promise<number> {
  const [row] = await control.query(
    z.object({ n: z.coerce.number() }),
    `SELECT count(*) AS n FROM lethe_control.batches WHERE run_id = $1`,
    [runId],
  )
  return row?.n ?? 0
}

export async function batchesOf(control: Queryable, runId: string, limit: number): Promise<StoredBatch[]> {
  return control.query(
    batchRow,
    `SELECT number, store, fence, at, event FROM lethe_control.batches WHERE run_id = $1 ORDER BY number LIMIT $2`,
    [runId, limit],
  )
}
