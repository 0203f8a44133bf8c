/**
 * Gives committed events their index. Writers never wait for it, and none is left out: an event counts as seen only when a
 * snapshot that sees its transaction was taken before the events were read. A gap is impossible, because the index is the
 * size of the log, and both change in one transaction under the lock of one row.
 */
import { z } from 'zod'
import type { Database, Transaction } from '../db/index.ts'
import { LetheError } from '../errors/index.ts'
import { makeEntry, type Entry } from './entry.ts'
import { leafHash } from './merkle.ts'
import { growTiles } from './store.ts'

/** Events of one transaction of the sequencer. */
const BATCH = 5_000
/** A clock that went back by more stops the log instead of making times that an auditor would doubt. */
const SKEW_SECONDS = 60

export interface Sequenced {
  added: number
  /** Leaves of the log now. */
  size: number
  /** The batch was full: more may wait. */
  more: boolean
}

/** One batch. Safe with two at once: the second waits, and finds what the first has left. Throws E_EVIDENCE_CLOCK. */
export async function sequence(control: Database, limit = BATCH): Promise<Sequenced> {
  return control.transaction(async (tx) => {
    const log = await lockLog(tx)
    // Before the events are read: what this snapshot sees, the reading sees too.
    const [snapshot] = await tx.query(
      z.object({ now: z.string(), at: z.string() }),
      `SELECT pg_current_snapshot()::text AS now, ${instant('greatest(clock_timestamp(), $1::timestamptz)')} AS at`,
      [log.sequenced_at],
    )
    if (snapshot === undefined)
      throw new LetheError('E_INTERNAL', { message: 'The control database gave no snapshot.' })
    const events = await newEvents(tx, log, limit)
    const entries = events.map(({ xact: _xact, ...content }) => ({
      event: content.id,
      ...makeEntry({ v: 1, sequenced: snapshot.at, ...content }),
    }))
    const size = log.size + entries.length
    if (entries.length > 0) {
      await insertEntries(tx, log.size, entries)
      await growTiles(
        tx,
        log.size,
        entries.map(({ entry }) => leafHash(entry)),
      )
    }
    const last = events.length === limit ? events.at(-1) : undefined
    await tx.execute(
      last === undefined
        ? `UPDATE lethe_control.evidence_log SET size = $1, sequenced_at = $2::timestamptz,
             seen = coalesce(pass, $3::pg_snapshot), pass = NULL, pass_xact = NULL, pass_id = NULL`
        : `UPDATE lethe_control.evidence_log SET size = $1, sequenced_at = $2::timestamptz,
             pass = coalesce(pass, $3::pg_snapshot), pass_xact = $4::xid8, pass_id = $5`,
      [size, snapshot.at, snapshot.now, ...(last === undefined ? [] : [last.xact, last.id])],
    )
    const more = last !== undefined
    return { added: entries.length, size, more }
  })
}

const logRow = z.object({
  size: z.coerce.number(),
  sequenced_at: z.string().nullable(),
  seen: z.string().nullable(),
  pass_xact: z.string().nullable(),
  pass_id: z.string().nullable(),
  behind: z.coerce.number().nullable(),
})

async function lockLog(tx: Transaction): Promise<z.infer<typeof logRow>> {
  const [log] = await tx.query(
    logRow,
    `SELECT size, sequenced_at::text, pass_xact::text, pass_id::text,
       CASE WHEN pg_snapshot_xmin(seen) <= pg_snapshot_xmax(pg_current_snapshot()) THEN seen::text END AS seen,
       extract(epoch FROM sequenced_at - clock_timestamp()) AS behind
     FROM lethe_control.evidence_log FOR UPDATE`,
  )
  if (log === undefined)
    throw new LetheError('E_INTERNAL', { message: 'The row of the evidence log is missing.' })
  if (log.behind !== null && log.behind > SKEW_SECONDS)
    throw new LetheError('E_EVIDENCE_CLOCK', {
      message: `The control database's clock is ${Math.round(log.behind)} s behind the evidence log's last entry.`,
      facts: { seconds: Math.round(log.behind) },
    })
  return log
}

const eventRow = z.object({
  id: z.string(),
  xact: z.string(),
  type: z.string(),
  at: z.string(),
  actor: z.string().nullable(),
  run: z.string().nullable(),
  data: z.record(z.string(), z.unknown()),
})

/**
 * Committed events without an index, by transaction. Behind the snapshot that is known to be done only; all of them where
 * that snapshot lies in the future, as after a restore into another server. A pass that takes several batches goes on
 * behind the last one's end: what commits before that end meanwhile isn't seen by the snapshot from before the pass, so
 * the next pass finds it.
 */
async function newEvents(
  tx: Transaction,
  { seen, pass_xact: xact, pass_id: id }: z.infer<typeof logRow>,
  limit: number,
): Promise<z.infer<typeof eventRow>[]> {
  // As parameters: only then does PostgreSQL walk the index and stop at the limit.
  return tx.query(
    eventRow,
    `SELECT e.id, e.xact, e.type, ${instant('e.at')} AS at, e.actor, e.run_id AS run, e.data
     FROM lethe_control.events e
     WHERE e.xact >= coalesce(pg_snapshot_xmin($2::pg_snapshot), '0'::xid8)
       AND ($2::pg_snapshot IS NULL OR NOT pg_visible_in_snapshot(e.xact, $2::pg_snapshot))
       AND (e.xact, e.id) > ($3::xid8, $4::bigint)
       AND NOT EXISTS (SELECT FROM lethe_control.evidence_entries x WHERE x.event_id = e.id)
     ORDER BY e.xact, e.id LIMIT $1`,
    [limit, seen, xact ?? '0', id ?? '0'],
  )
}

async function insertEntries(
  tx: Transaction,
  first: number,
  entries: readonly (Entry & { event: string })[],
): Promise<void> {
  await tx.execute(
    `INSERT INTO lethe_control.evidence_entries (index, event_id, entry, salt, content)
     SELECT $1::bigint + n - 1, event, entry, salt, content
     FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[])
       WITH ORDINALITY AS e(event, entry, salt, content, n)`,
    [
      first,
      entries.map((one) => one.event),
      entries.map((one) => one.entry),
      entries.map((one) => one.salt),
      entries.map((one) => one.content),
    ],
  )
}

/** An instant as ISO 8601 in UTC, microseconds kept. */
export function instant(sql: string): string {
  return `to_char((${sql}) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
}
