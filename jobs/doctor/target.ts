/** A database that Lethe erases from. */
import { z } from 'zod'
import type { Config } from '../../lib/config/index.ts'
import { clockSkewSeconds, MAX_SKEW_SECONDS, type Database } from '../../lib/base/db/index.ts'
import { storeCatalogue } from '../../lib/data/datamap/index.ts'
import { targetRights } from '../../lib/record/grants/index.ts'
import type { OpenedStore } from '../../lib/data/erasers/index.ts'
import { attempt, examine, type Finding } from './finding.ts'
import { examinePlans } from './plans.ts'
import { examineIntake } from './requests.ts'
import { a, examineRights } from './rights.ts'
import { examineServer } from './server.ts'
import { examineSubjects } from './subjects.ts'

export async function examineTarget(
  config: Config,
  store: string,
  target: Database,
  control: Database | null,
  others: ReadonlyMap<string, OpenedStore>,
): Promise<Finding[]> {
  const server = await examineServer(target, 'target')
  const own = server.current ? await examineRights(target, 'lethe', targetRights) : null
  const role = own?.role ?? 'worker'
  return [
    ...server.findings,
    ...(own?.findings ?? []),
    ...(role === 'worker'
      ? []
      : examine('login', store).note(
          `This login is ${a(role)}'s. What a worker needs here is not looked at: \`lethe doctor\` with the worker's address does.`,
        )),
    ...(control === null ? [] : await clocks(target, control)),
    ...(control === null ? [] : await sameServer(target, control)),
    ...(await attempt('replication', store, () => replication(target))),
    ...(await attempt('prepared-transactions', store, () => prepared(target))),
    ...(await attempt('map', store, async () => {
      const catalogue = await storeCatalogue(target, config.file, store)
      return [
        ...(await examinePlans(config, store, target, catalogue, role)),
        ...(await examineSubjects(config, store, target, catalogue, others, role)),
      ]
    })),
    ...(server.current && role !== 'auditor'
      ? await attempt('erasure-intake', store, () => examineIntake(target))
      : []),
  ]
}

async function clocks(target: Database, control: Database): Promise<Finding[]> {
  const check = examine('clock-skew', target.name)
  const seconds = await clockSkewSeconds(control, target)
  return Math.abs(seconds) > MAX_SKEW_SECONDS
    ? check.error(
        `Its clock is ${Math.round(Math.abs(seconds))} s ${seconds > 0 ? 'ahead of' : 'behind'} the control database's: nothing runs above ${MAX_SKEW_SECONDS} s.`,
        'Bring both servers into step with NTP.',
      )
    : check.ok(`its clock agrees with the control database's to ${Math.abs(seconds).toFixed(1)} s`)
}

const identifier = z.object({ id: z.string().nullable() })
const IDENTIFIER = `SELECT system_identifier::text AS id FROM pg_control_system()`

async function sameServer(target: Database, control: Database): Promise<Finding[]> {
  const check = examine('same-server', target.name)
  const ask = async (database: Database) => {
    const [row] = await database.query(identifier, IDENTIFIER)
    return row?.id ?? null
  }
  return attempt('same-server', target.name, async () => {
    const [ours, theirs] = [await ask(control), await ask(target)]
    return ours !== null && ours === theirs
      ? check.warning(
          'The record is in the same server: a restore of this server takes the erasure ledger back in time too.',
          'Give the control database a server of its own before you rely on a restore.',
        )
      : []
  })
}

/**
 * What a database is known by: its cluster's identifier and its own. A physical copy has both, too. Null: this login may not read
 * them.
 */
export async function databaseIdentity(target: Database): Promise<string | null> {
  const [row] = await target
    .query(
      identifier,
      `SELECT (SELECT system_identifier::text FROM pg_control_system()) || '/' || oid AS id
       FROM pg_database WHERE datname = current_database()`,
    )
    .catch(() => [])
  return row?.id ?? null
}

/** Stores of the map that are one database, or a copy of it. */
export function sameDatabases(identities: ReadonlyMap<string, string | null>): Finding[] {
  const known = [...identities].filter(([, id]) => id !== null)
  return [...Map.groupBy(known, ([, id]) => id).values()].flatMap((same) => {
    const [first, ...others] = same.map(([store]) => store)
    return others.flatMap((store) =>
      examine('same-database', store).warning(
        `Stores ${first ?? ''} and ${store} are the same database, or one is a physical copy of the other.`,
        'Declare it once: a hold or a request names one of the stores, and each is swept by its own policies.',
      ),
    )
  })
}

async function replication(target: Database): Promise<Finding[]> {
  const check = examine('replication-slots', target.name)
  const [row] = await target.query(
    z.object({
      slots: z.coerce.number(),
      inactive: z.array(z.string()),
      keep: z.string(),
    }),
    `SELECT count(*) AS slots, coalesce(array_agg(slot_name::text) FILTER (WHERE NOT active), '{}') AS inactive,
       current_setting('max_slot_wal_keep_size') AS keep FROM pg_replication_slots`,
  )
  if (row === undefined || row.slots === 0) return []
  return [
    ...(row.inactive.length > 0
      ? check.warning(
          `Nobody reads replication slot ${row.inactive.join(', ')}: WAL piles up, and the sweep is throttled by it.`,
          'Start its reader, or drop it: SELECT pg_drop_replication_slot(…).',
        )
      : check.ok('every replication slot has a reader')),
    ...(row.keep === '-1'
      ? examine('max-slot-wal-keep-size', target.name).warning(
          'max_slot_wal_keep_size is not limited: a slot that stops during a large purge can fill the disk.',
          'Set it to what the disk can spare, such as 20GB.',
        )
      : []),
  ]
}

async function prepared(target: Database): Promise<Finding[]> {
  const [row] = await target.query(
    z.object({ old: z.coerce.number() }),
    `SELECT count(*) AS old FROM pg_prepared_xacts WHERE database = current_database() AND prepared < now() - interval '5 minutes'`,
  )
  return row === undefined || row.old === 0
    ? []
    : examine('prepared-transactions', target.name).warning(
        `${row.old} prepared transaction${row.old === 1 ? '' : 's'} older than five minutes: locks are kept and vacuum removes nothing.`,
        'Look at pg_prepared_xacts; COMMIT PREPARED or ROLLBACK PREPARED each.',
      )
}
