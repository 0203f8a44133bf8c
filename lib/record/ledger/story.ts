/** What the ledger has of one run. */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import { batchesOf, countBatches, type StoredBatch } from './batches.ts'
import { getRun, type Run } from './run.ts'

interface RunStep {
  number: number
  name: string
  fence: bigint
  attempt: number
  note: string | null
  counters: Record<string, number>
  startedAt: Date
  finishedAt: Date
}

export interface RunRecord {
  run: Run
  steps: RunStep[]
  /** The first thousand; `batchCount` has them all. */
  batches: StoredBatch[]
  batchCount: number
}

const LIMIT = 1000

/** Throws E_NOT_FOUND. */
export async function runRecord(tx: Queryable, id: string): Promise<RunRecord> {
  const run = await getRun(tx, id)
  const steps = await tx.query(
    stepRow,
    `SELECT number, name, fence, attempt, note, counters, started_at AS "startedAt", finished_at AS "finishedAt"
     FROM lethe_control.steps WHERE run_id = $1 ORDER BY number`,
    [id],
  )
  const batches = await batchesOf(tx, id, LIMIT)
  return { run, steps, batches, batchCount: await countBatches(tx, id) }
}

const stepRow = z.object({
  number: z.number(),
  name: z.string(),
  fence: z.coerce.bigint(),
  attempt: z.number(),
  note: z.string().nullable(),
  counters: z.record(z.string(), z.number()),
  startedAt: z.date(),
  finishedAt: z.date(),
})
