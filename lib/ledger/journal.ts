/**
 * The erasure ledger's copy in the object-locked bucket: what was written to the ledger becomes one immutable object, numbered
 * without gaps in the same transaction, and stands in the bucket before anything is destroyed. A restore that takes the
 * control database back in time too finds it there.
 */
import { z } from 'zod'
import { canonicalJson } from '../canonical/index.ts'
import { prepared, type Database, type Queryable } from '../db/index.ts'
import { LetheError } from '../errors/index.ts'

export const erasureEntries = ['erase', 'void', 'reinstated'] as const

export interface JournalEntry {
  entry: (typeof erasureEntries)[number]
  store: string
  subjectKind: string
  mapVersion: string
  planHash: string
  keyId: string
  /** Keyed hashes, in hex. */
  subjects: readonly string[]
}

/** One object of the bucket; its bytes never change. */
export interface JournalObject {
  number: number
  body: string
}

/** In the transaction that writes the entries. The number's row is locked until its end: objects are numbered in commit order. */
export async function addJournal(
  tx: Queryable,
  runId: string,
  entries: readonly JournalEntry[],
): Promise<void> {
  if (entries.length === 0) return
  const added = await tx.execute(
    `WITH head AS (UPDATE lethe_control.ledger_head SET number = number + 1 RETURNING number)
     INSERT INTO lethe_control.ledger_objects (number, body)
     SELECT number, replace($1, '"number":0', '"number":' || number) FROM head`,
    [canonicalJson({ lethe: 1, number: 0, run: runId, entries })],
  )
  if (added !== 1)
    throw new LetheError('E_INTERNAL', {
      message: 'lethe_control.ledger_head has no row, under whose lock objects get their numbers.',
      left: 'Nothing was written to the ledger.',
    })
}

/**
 * Parts of one statement that writes entries and their object: `written` are the new ones (subject_hash, key_id), `$run` is the
 * run's id and `$about` what else their journal entry says, in JSON. Nothing new, no object.
 */
export function journalSql(run: string, about: string): { parts: string; columns: string } {
  return {
    parts: `, head AS (
       UPDATE lethe_control.ledger_head SET number = number + 1 WHERE EXISTS (SELECT FROM written) RETURNING number
     ), object AS (
       INSERT INTO lethe_control.ledger_objects (number, body)
       SELECT head.number, jsonb_build_object('lethe', 1, 'number', head.number, 'run', ${run}::text, 'entries', (
         SELECT jsonb_agg(${about}::jsonb || jsonb_build_object('keyId', key_id, 'subjects', subjects) ORDER BY key_id)
         FROM (SELECT key_id, jsonb_agg(encode(subject_hash, 'hex') ORDER BY subject_hash) AS subjects
               FROM written GROUP BY key_id) AS by_key))
       -- without a head the number is null, and nothing of the statement is written
       FROM (SELECT WHERE EXISTS (SELECT FROM written)) AS new LEFT JOIN head ON true RETURNING number, body
     )`,
    // The statement sees what was committed before it began: an object that took its number while this one waited for the
    // head is not among them, and then the number before this one's isn't either.
    columns: `, (SELECT number FROM object) AS number, (SELECT body FROM object) AS body,
       NOT EXISTS (SELECT FROM lethe_control.ledger_objects WHERE written_at IS NULL) AND NOT EXISTS (
         SELECT FROM object WHERE number > 1 AND NOT EXISTS (
           SELECT FROM lethe_control.ledger_objects before WHERE before.number = object.number - 1)) AS complete`,
  }
}

export function journalKey(number: number): string {
  return `ledger/${String(number).padStart(12, '0')}.json`
}

export type Put = (key: string, body: Buffer) => Promise<void>

/** Idempotent: one that was written and not marked is written again, as another version with the same bytes. */
export async function writeObject(control: Database, put: Put, object: JournalObject): Promise<void> {
  await put(journalKey(object.number), Buffer.from(object.body))
  await control.execute(
    `UPDATE lethe_control.ledger_objects SET written_at = clock_timestamp() WHERE number = $1 AND written_at IS NULL`,
    [object.number],
  )
}

/**
 * Writes every object that isn't in the bucket yet, in order; resolves once all are, with the number of the last one (0: none
 * was missing). Throws what `put` throws, with the rest left to do.
 */
export async function writeJournal(control: Database, put: Put): Promise<number> {
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
