/** lethe.progress and lethe.batches in the target: the fence that a batch must hold, and the record it leaves. */
import { z } from 'zod'
import type { Database, Queryable, Transaction } from '../../../base/db/index.ts'
import { LetheError } from '../../../base/errors/index.ts'

export interface Progress {
  fence: bigint
  /** Number of the last batch that was committed; 0: none. */
  batch: bigint
  counters: Record<string, number>
}

const progressRow = z.object({
  fence: z.coerce.bigint(),
  batch: z.coerce.bigint(),
  counters: z.record(z.string(), z.number()),
})

/** An old holder's open transaction ends at the latest by its idle timeout of 30 s: the raise outwaits it. */
const RAISE_WAIT_MS = 40_000

/**
 * From here on only this fence may work on the run in this database. Waits for a batch that an older holder has open;
 * idempotent. Throws E_FENCED where a newer fence stands.
 */
export async function raiseFence(db: Database, runId: string, fence: bigint): Promise<void> {
  const raised = await db.transaction(
    (tx) =>
      tx.execute(
        `INSERT INTO lethe.progress AS p (run_id, fence) VALUES ($1, $2)
         ON CONFLICT (run_id) DO UPDATE SET fence = EXCLUDED.fence, updated_at = now()
         WHERE p.fence <= EXCLUDED.fence`,
        [runId, fence.toString()],
      ),
    { lockTimeoutMs: RAISE_WAIT_MS, statementTimeoutMs: RAISE_WAIT_MS, retry: true },
  )
  if (raised === 0) throw fenced(runId)
}

/** Where the run stands in this database; null: it has not begun here. Summed over its batches. */
export async function readProgress(db: Queryable, runId: string): Promise<Progress | null> {
  const [row] = await db.query(
    progressRow,
    `SELECT p.fence, coalesce((SELECT max(b.number) FROM lethe.batches b WHERE b.run_id = p.run_id), 0) AS batch,
       coalesce((SELECT jsonb_object_agg(c.name, c.total) FROM (
         SELECT e.key AS name, sum(e.value::numeric) AS total
         FROM lethe.batches b, jsonb_each_text(b.event -> 'counters') e WHERE b.run_id = p.run_id GROUP BY e.key
       ) AS c), '{}') AS counters
     FROM lethe.progress p WHERE p.run_id = $1`,
    [runId],
  )
  return row ?? null
}

/**
 * First statement of every batch. The lock on the row is shared: two batches of one holder may run side by side, but a
 * takeover, which updates the row, waits for both; afterwards whoever comes with an older fence finds no row to lock.
 */
export async function holdProgress(tx: Transaction, batch: { runId: string; fence: bigint }): Promise<void> {
  const held = await tx.execute(`SELECT FROM lethe.progress WHERE run_id = $1 AND fence <= $2 FOR SHARE`, [
    batch.runId,
    batch.fence.toString(),
  ])
  if (held === 0) throw fenced(batch.runId)
}

export interface BatchRecord {
  counters: Record<string, number>
  [name: string]: unknown
}

/** The event of a batch, in its own transaction. A number that is committed already is refused by the key. */
export async function recordBatch(
  tx: Transaction,
  batch: { runId: string; fence: bigint; number: bigint },
  event: BatchRecord,
): Promise<void> {
  await tx.execute(
    `INSERT INTO lethe.batches (run_id, number, fence, event) VALUES ($1, $2, $3, $4::jsonb)`,
    [batch.runId, batch.number.toString(), batch.fence.toString(), JSON.stringify(event)],
  )
}

const storedBatch = z.object({
  number: z.coerce.bigint(),
  fence: z.coerce.bigint(),
  at: z.date(),
  event: z.looseObject({ counters: z.record(z.string(), z.number()) }),
})

export type StoredTargetBatch = z.infer<typeof storedBatch>

/** Batches behind number `after`, in order, for the control ledger to copy. Counts only, no row keys. */
export async function batchesAfter(
  db: Queryable,
  runId: string,
  after: bigint,
  limit = 1000,
): Promise<StoredTargetBatch[]> {
  return db.query(
    storedBatch,
    `SELECT number, fence, at, event FROM lethe.batches WHERE run_id = $1 AND number > $2 ORDER BY number LIMIT $3`,
    [runId, after.toString(), limit],
  )
}

function fenced(runId: string): LetheError {
  return new LetheError('E_FENCED', {
    message: `Run ${runId} is held by another worker: this one's batch was refused by the database.`,
    facts: { run: runId },
  })
}
