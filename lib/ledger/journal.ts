/**
 * The erasure ledger's copy in the object-locked bucket: what was written to the ledger becomes one immutable object, numbered
 * without gaps in the same transaction, and stands in the bucket before anything is destroyed. A restore that takes the
 * control database back in time too finds it there.
 */
import { z } from 'zod'
import { canonicalJson } from '../canonical/index.ts'
import type { Database, Queryable } from '../db/index.ts'

export interface JournalEntry {
  entry: 'erase' | 'void' | 'reinstated'
  store: string
  subjectKind: string
  mapVersion: string
  planHash: string
  keyId: string
  /** Keyed hashes, in hex. */
  subjects: readonly string[]
}

/** In the transaction that writes the entries. The number's row is locked until its end: objects are numbered in commit order. */
export async function addJournal(
  tx: Queryable,
  runId: string,
  entries: readonly JournalEntry[],
): Promise<void> {
  if (entries.length === 0) return
  await tx.execute(
    `WITH head AS (UPDATE lethe_control.ledger_head SET number = number + 1 RETURNING number)
     INSERT INTO lethe_control.ledger_objects (number, body)
     SELECT number, replace($1, '"number":0', '"number":' || number) FROM head`,
    [canonicalJson({ lethe: 1, number: 0, run: runId, entries })],
  )
}

export function journalKey(number: number): string {
  return `ledger/${String(number).padStart(12, '0')}.json`
}

/**
 * Writes every object that isn't in the bucket yet, in order; resolves once all are. Idempotent: one that was written and not
 * marked is written again, as another version with the same bytes. Throws what `put` throws, with the rest left to do.
 */
export async function writeJournal(
  control: Database,
  put: (key: string, body: Buffer) => Promise<void>,
): Promise<number> {
  let written = 0
  for (;;) {
    const open = await control.query(
      z.object({ number: z.coerce.number(), body: z.string() }),
      `SELECT number, body FROM lethe_control.ledger_objects WHERE written_at IS NULL ORDER BY number LIMIT 20`,
    )
    if (open.length === 0) return written
    for (const { number, body } of open) {
      await put(journalKey(number), Buffer.from(body))
      await control.execute(
        `UPDATE lethe_control.ledger_objects SET written_at = clock_timestamp() WHERE number = $1 AND written_at IS NULL`,
        [number],
      )
      written += 1
    }
  }
}

/** Objects in all, those not in the bucket yet, and for how long the oldest of them has waited; 0: none does. */
export async function journalStatus(
  control: Queryable,
): Promise<{ objects: number; waiting: number; oldestSeconds: number }> {
  const [row] = await control.query(
    z.object({
      objects: z.coerce.number(),
      waiting: z.coerce.number(),
      oldestSeconds: z.coerce.number(),
    }),
    `SELECT (SELECT number FROM lethe_control.ledger_head) AS objects, count(*) AS waiting,
       coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::double precision AS "oldestSeconds"
     FROM lethe_control.ledger_objects WHERE written_at IS NULL`,
  )
  return row ?? { objects: 0, waiting: 0, oldestSeconds: 0 }
}
