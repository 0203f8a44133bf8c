/**
 * The erasure ledger's copy for the object-locked bucket: what was written to the ledger becomes an immutable object, numbered
 * without gaps in the same transaction, and stands in the bucket before anything is destroyed. A restore that takes the
 * control database back in time too finds it there.
 */
import { z } from 'zod'
import { prepared, type Database, type Queryable } from '../../base/db/index.ts'

/** One object of the bucket; its bytes never change: `{ lethe: 1, number, run, entries: [{ entry, store, … subjects }] }`. */
export interface LedgerObject {
  number: number
  body: string
}

/**
 * Parts of one statement that writes entries and their objects, one a run: `written` are the new entries (scope_id, entry,
 * subject_hash, key_id, hash_version). Nothing new, no object. The head's row is locked until the transaction ends, so objects are numbered
 * in commit order. `columns` are those of the newest object.
 */
export const objectsSql = {
  parts: `, about AS (
       SELECT s.id, s.run_id, w.key_id, w.hash_version, jsonb_build_object('entry', w.entry, 'store', s.store, 'subjectKind', s.subject_kind,
         'mapVersion', s.map_version, 'planHash', s.plan_hash, 'keyId', w.key_id, 'hashVersion', w.hash_version,
         'subjects', jsonb_agg(encode(w.subject_hash, 'hex') ORDER BY w.subject_hash)) AS entry
       FROM written w JOIN lethe_control.erasure_scopes s ON s.id = w.scope_id GROUP BY s.id, w.entry, w.key_id, w.hash_version
     ), content AS (
       SELECT run_id, row_number() OVER (ORDER BY run_id) AS nth, jsonb_agg(entry ORDER BY id, key_id, hash_version) AS entries
       FROM about GROUP BY run_id
     ), head AS (
       UPDATE lethe_control.ledger_head SET number = number + (SELECT count(*) FROM content)
       WHERE EXISTS (SELECT FROM content) RETURNING number
     ), numbered AS (
       -- without a head the number is null, and nothing of the statement is written
       SELECT head.number - (SELECT count(*) FROM content) + nth AS number, run_id, entries FROM content LEFT JOIN head ON true
     ), object AS (
       INSERT INTO lethe_control.ledger_objects (number, body)
       SELECT number, jsonb_build_object('lethe', 1, 'number', number, 'run', run_id, 'entries', entries) FROM numbered
       RETURNING number, body
     )`,
  // The statement sees what was committed before it began: an object that took its number while this one waited for the
  // head is not among them, and then the number before this one's isn't either.
  columns: `, (SELECT max(number) FROM object) AS number, (SELECT body FROM object ORDER BY number DESC LIMIT 1) AS body,
       NOT EXISTS (SELECT FROM lethe_control.ledger_objects WHERE written_at IS NULL) AND NOT EXISTS (
         SELECT FROM object WHERE number > 1 AND NOT EXISTS (
           SELECT FROM lethe_control.ledger_objects before WHERE before.number = object.number - 1)) AS complete`,
} as const

export type Put = (key: string, body: Buffer) => Promise<void>

/** Idempotent: one that was written and not marked is written again, as another version with the same bytes. */
export async function writeObject(control: Database, put: Put, object: LedgerObject): Promise<void> {
  await put(objectKey(object.number), Buffer.from(object.body))
  await control.execute(
    `UPDATE lethe_control.ledger_objects SET written_at = clock_timestamp() WHERE number = $1 AND written_at IS NULL`,
    [object.number],
  )
}

function objectKey(number: number): string {
  return `ledger/${String(number).padStart(12, '0')}.json`
}

/**
 * Writes every object that isn't in the bucket yet, in order; resolves once all are, with the number of the last one (0: none
 * was missing). Throws what `put` throws, with the rest left to do.
 */
export async function writeObjects(control: Database, put: Put): Promise<number> {
  let last = 0
  for (;;) {
    const open = await control.query(
      z.object({ number: z.coerce.number(), body: z.string() }),
      `SELECT number, body FROM lethe_control.ledger_objects WHERE written_at IS NULL ORDER BY number LIMIT 20`,
    )
    if (open.length === 0) return last
    for (const object of open) {
      await writeObject(control, put, object)
      last = object.number
    }
  }
}

/** Whether an object about any of these persons is not in the bucket yet. */
export async function isMissing(control: Queryable, hashes: readonly Buffer[]): Promise<boolean> {
  const [row] = await control.query(
    z.object({ missing: z.boolean() }),
    prepared(`SELECT EXISTS (SELECT FROM lethe_control.ledger_objects o WHERE o.written_at IS NULL
       AND EXISTS (SELECT FROM unnest($1::bytea[]) AS h(hash) WHERE position(encode(h.hash, 'hex') IN o.body) > 0)) AS missing`),
    [hashes],
  )
  return row?.missing !== false
}

/** Objects in all, those not in the bucket yet, and for how long the oldest of them has waited; 0: none does. */
export async function bucketCopyStatus(
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
