/** What the target's statistics views say about the others on this server. One cheap statement. */
import { z } from 'zod'
import type { Queryable } from '../../../base/db/index.ts'
import { LetheError } from '../../../base/errors/index.ts'

/** Times of day ("22:30") in an IANA zone; `to` before `from` spans midnight. */
export interface Window {
  from: string
  to: string
  time_zone: string
}

export interface Signals {
  /** 0: open. By the database's clock. */
  windowOpensInSeconds: number
  /** Of the replica furthest behind; null: none, or not visible to this role. */
  replicaLagSeconds: number | null
  /** WAL kept for the replication slot that is furthest behind. */
  slotMb: number | null
  /** WAL written since the server was made, in MB; null on a standby. */
  walMb: number | null
  /** Sessions that wait for a lock which a session of this application name holds. */
  lockWaiters: number
  /** Of other client sessions in this database: an old one holds vacuum back, so dead rows would only pile up. */
  longestTransactionSeconds: number | null
}

const signalRow = z
  .object({
    opens_in: z.coerce.number(),
    lag: z.coerce.number().nullable(),
    slot_mb: z.coerce.number().nullable(),
    wal_mb: z.coerce.number().nullable(),
    waiters: z.coerce.number(),
    longest: z.coerce.number().nullable(),
  })
  .transform((row): Signals => ({
    windowOpensInSeconds: row.opens_in,
    replicaLagSeconds: row.lag,
    slotMb: row.slot_mb,
    walMb: row.wal_mb,
    lockWaiters: row.waiters,
    longestTransactionSeconds: row.longest,
  }))

export async function readSignals(db: Queryable, window: Window | null): Promise<Signals> {
  const [signals] = await db.query(
    signalRow,
    `WITH wall AS (
       SELECT (clock_timestamp() AT TIME ZONE $3::text)::time AS at, $1::time AS opens, $2::time AS closes
     ), ours AS (
       SELECT array_agg(pid) AS pids FROM pg_stat_activity
       WHERE application_name = current_setting('application_name') AND datname = current_database()
     ), wal AS (
       SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_lsn() END AS lsn
     )
     SELECT
       (SELECT CASE
          WHEN opens IS NULL OR opens = closes THEN 0
          WHEN opens <= closes AND at >= opens AND at < closes THEN 0
          WHEN opens > closes AND (at >= opens OR at < closes) THEN 0
          ELSE mod((extract(epoch FROM opens - at) + 86400)::numeric, 86400) END FROM wall) AS opens_in,
       (SELECT max(extract(epoch FROM replay_lag)) FROM pg_stat_replication) AS lag,
       (SELECT max(pg_wal_lsn_diff(wal.lsn, restart_lsn)) / 1048576 FROM pg_replication_slots, wal) AS slot_mb,
       (SELECT pg_wal_lsn_diff(lsn, '0/0') / 1048576 FROM wal) AS wal_mb,
       (SELECT count(*) FROM (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted) w, ours
        WHERE NOT w.pid = ANY (ours.pids) AND pg_blocking_pids(w.pid) && ours.pids) AS waiters,
       (SELECT max(extract(epoch FROM clock_timestamp() - xact_start)) FROM pg_stat_activity, ours
        WHERE datname = current_database() AND backend_type = 'client backend' AND NOT pid = ANY (ours.pids)) AS longest`,
    [window?.from ?? null, window?.to ?? null, window?.time_zone ?? 'UTC'],
  )
  if (signals === undefined)
    throw new LetheError('E_INTERNAL', { message: 'The statistics views returned no row.' })
  return signals
}

/** What the role lacks to see every signal: without pg_monitor other roles' transactions and replicas are hidden. */
export async function blindSpots(db: Queryable): Promise<string[]> {
  const [row] = await db.query(
    z.object({ sees: z.boolean() }),
    `SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees`,
  )
  return row?.sees === true
    ? []
    : [
        'long-transaction: other roles’ transactions are hidden; GRANT pg_monitor to this role',
        'replica-lag: pg_stat_replication is hidden; GRANT pg_monitor to this role',
      ]
}
