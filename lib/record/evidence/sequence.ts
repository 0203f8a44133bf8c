/**
 * Gives committed events their index. Writers never wait for it, and none is left out: an event counts as seen only when a
 * snapshot that sees its transaction was taken before the events were read. A gap is impossible, because the index is the
 * size of the log, and both change in one transaction under the lock of one row.
 */
import { z } from 'zod'
import { MAX_SKEW_SECONDS, type Database, type Transaction } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { contentSql, instant, newSalts, SALT } from './entry.ts'
import { HASH, leafHash } from './merkle.ts'
import { growingTiles, missingLog, storeTiles } from './store.ts'

/** Events of one statement, and statements of one transaction. */
const BATCH = { events: 5_000, statements: 10 }

export interface Sequenced {
  added: number
  /** Leaves of the log now. */
  size: number
  /** More may wait. */
  more: boolean
}

/** One batch. Safe with two at once: the second waits, and finds what the first has left. Throws E_EVIDENCE_CLOCK. */
export async function sequence(control: Database, batch: Partial<typeof BATCH> = {}): Promise<Sequenced> {
  const { events, statements } = { ...BATCH, ...batch }
  return control.transaction(async (tx) => {
    const log = await lockLog(tx)
    // Before the events are read: what this snapshot sees, the reading sees too.
    const [snapshot] = await tx.query(
      z.object({ now: z.string(), at: z.string() }),
      `SELECT pg_current_snapshot()::text AS now, greatest(clock_timestamp(), $1::timestamptz)::text AS at`,
      [log.sequenced_at],
    )
    if (snapshot === undefined)
      throw new LetheError('E_INTERNAL', { message: 'The control database gave no snapshot.' })
    let size = log.size
    const next = (from: Position): Promise<Added> =>
      addEntries(tx, { ...from, first: size, at: snapshot.at, limit: events, seen: log.seen })
    let last: Added = await next({ xact: log.pass_xact ?? '0', id: log.pass_id ?? '0' })
    // Nothing is written while there is nothing new.
    if (last.count === 0 && log.pass_xact === null) return { added: 0, size, more: false }
    const tiles = await growingTiles(tx, size)
    for (let done = 1; ; done += 1) {
      const { entries, count } = last
      size += count
      const more = count === events
      // The database works on the next statement while this one's entries are hashed.
      const following = more && done < statements ? next(last) : null
      for (let start = 0; start < entries.length; start += HASH)
        tiles.add(leafHash(entries.subarray(start, start + HASH)))
      if (following === null) {
        await storeTiles(tx, tiles.changed())
        await updateLog(tx, { size, snapshot, last: more ? last : null })
        // Behind a pass that other transactions had begun, what committed meanwhile before its place still waits.
        return { added: size - log.size, size, more: more || log.pass_xact !== null }
      }
      last = await following
    }
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

/** `seen` is null where it lies in the future, as after a restore into another server: then all events are looked at. */
async function lockLog(tx: Transaction): Promise<z.infer<typeof logRow>> {
  const [log] = await tx.query(
    logRow,
    `SELECT size, sequenced_at::text, pass_xact::text, pass_id::text,
       CASE WHEN pg_snapshot_xmin(seen) <= pg_snapshot_xmax(pg_current_snapshot()) THEN seen::text END AS seen,
       extract(epoch FROM sequenced_at - clock_timestamp()) AS behind
     FROM lethe_control.evidence_log FOR UPDATE`,
  )
  if (log === undefined) throw missingLog()
  // A clock that went back by more stops the log instead of making times that an auditor would doubt.
  if (log.behind !== null && log.behind > MAX_SKEW_SECONDS)
    throw new LetheError('E_EVIDENCE_CLOCK', {
      message: `The control database's clock is ${Math.round(log.behind)} s behind the evidence log's last entry.`,
      facts: { seconds: Math.round(log.behind) },
    })
  return log
}

/** An event's place in the order in which they are read. */
interface Position {
  xact: string
  id: string
}

interface Added extends Position {
  count: number
  /** One behind the other, by index. */
  entries: Buffer
}

const addedRow = z.object({
  count: z.coerce.number(),
  entries: z.instanceof(Buffer).nullable(),
  xact: z.string().nullable(),
  id: z.string().nullable(),
})

/**
 * Entries for committed events without an index, by transaction: those that `seen` didn't see, behind `xact` and `id`. A
 * pass that takes several statements goes on behind the last one's end: what commits before that end meanwhile isn't seen
 * by the snapshot from before the pass, so the next pass finds it.
 */
async function addEntries(
  tx: Transaction,
  asked: Position & { first: number; at: string; limit: number; seen: string | null },
): Promise<Added> {
  // All as parameters: only then does PostgreSQL walk the index and stop at the limit.
  const [added] = await tx.query(
    addedRow,
    `WITH new AS MATERIALIZED (
       SELECT e.id, e.xact, row_number() OVER (ORDER BY e.xact, e.id) AS n, ${contentSql('e', `(SELECT ${instant('$6::timestamptz')})`)} AS content
       FROM lethe_control.events e
       WHERE e.xact >= coalesce(pg_snapshot_xmin($2::pg_snapshot), '0'::xid8)
         AND ($2::pg_snapshot IS NULL OR NOT pg_visible_in_snapshot(e.xact, $2::pg_snapshot))
         AND (e.xact, e.id) > ($3::xid8, $4::bigint)
         AND NOT EXISTS (SELECT FROM lethe_control.evidence_entries x WHERE x.event_id = e.id)
       ORDER BY e.xact, e.id LIMIT $1
     ), added AS (
       INSERT INTO lethe_control.evidence_entries (index, event_id, sequenced_at, salt, entry)
       SELECT $5::bigint + n - 1, id, $6::timestamptz, salt, sha256(salt || convert_to(content, 'UTF8'))
       FROM (SELECT *, substr($7::bytea, ((n - 1) * ${SALT} + 1)::int, ${SALT}) AS salt FROM new) AS salted
       RETURNING index, entry
     ), last AS (SELECT xact, id FROM new ORDER BY n DESC LIMIT 1)
     SELECT count(*) AS count, string_agg(entry, ''::bytea ORDER BY index) AS entries,
       (SELECT xact FROM last) AS xact, (SELECT id FROM last) AS id FROM added`,
    [asked.limit, asked.seen, asked.xact, asked.id, asked.first, asked.at, newSalts(asked.limit)],
  )
  return {
    count: added?.count ?? 0,
    entries: added?.entries ?? Buffer.alloc(0),
    xact: added?.xact ?? asked.xact,
    id: added?.id ?? asked.id,
  }
}

/** `last`: where a pass that isn't at its end goes on; null: everything that `snapshot` sees has its index. */
async function updateLog(
  tx: Transaction,
  { size, snapshot, last }: { size: number; snapshot: { now: string; at: string }; last: Position | null },
): Promise<void> {
  await tx.execute(
    last === null
      ? `UPDATE lethe_control.evidence_log SET size = $1, sequenced_at = $2::timestamptz,
           seen = coalesce(pass, $3::pg_snapshot), pass = NULL, pass_xact = NULL, pass_id = NULL`
      : `UPDATE lethe_control.evidence_log SET size = $1, sequenced_at = $2::timestamptz,
           pass = coalesce(pass, $3::pg_snapshot), pass_xact = $4::xid8, pass_id = $5`,
    [size, snapshot.at, snapshot.now, ...(last === null ? [] : [last.xact, last.id])],
  )
}
