/** What is asked of any PostgreSQL server, control or target. */
import { z } from 'zod'
import { type Database, schemaState, type SchemaState } from '../../lib/base/db/index.ts'
import { attempt, examine, type Finding } from './finding.ts'

const OLDEST = 14

const facts = z.object({
  version: z.coerce.number(),
  fsync: z.string(),
  autovacuum: z.string(),
  trackCounts: z.string(),
  role: z.string(),
  roleSettings: z.array(z.string()),
})

export async function examineServer(
  database: Database,
  which: 'control' | 'target',
): Promise<{ findings: Finding[]; current: boolean }> {
  const [row] = await database.query(
    facts,
    `SELECT current_setting('server_version_num') AS version, current_setting('fsync') AS fsync,
       current_setting('autovacuum') AS autovacuum, current_setting('track_counts') AS "trackCounts",
       current_user::text AS role,
       coalesce((SELECT array_agg(DISTINCT setting) FROM pg_db_role_setting s, unnest(s.setconfig) AS setting
         WHERE s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user))
           AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
           AND setting ~ '^(statement_timeout|lock_timeout|idle_in_transaction_session_timeout|transaction_timeout)='),
         '{}') AS "roleSettings"`,
  )
  const found = facts.parse(row)
  const { name } = database
  const version = examine('version', name)
  const durable = examine('fsync', name)
  const vacuum = examine('autovacuum', name)
  const timeouts = examine('role-timeouts', name)
  const major = Math.floor(found.version / 10_000)
  const schema = await examineSchema(database, which)
  return {
    current: schema.current,
    findings: [
      ...(major < OLDEST
        ? version.error(
            `PostgreSQL ${major} is no longer maintained.`,
            `Upgrade to PostgreSQL ${OLDEST} or newer.`,
          )
        : version.ok(`PostgreSQL ${major}, as role ${found.role}`)),
      ...schema.findings,
      ...(found.fsync === 'off'
        ? durable.warning(
            'fsync is off: after a power failure the record may lack what was already carried out.',
            'Set fsync = on.',
          )
        : []),
      ...(found.autovacuum === 'off' || found.trackCounts === 'off'
        ? vacuum.warning(
            'Autovacuum is off: tables keep the space of what was removed, and reads slow down.',
            'Set autovacuum = on and track_counts = on.',
          )
        : []),
      ...(found.roleSettings.length > 0
        ? timeouts.note(
            `The role or database sets ${found.roleSettings.join(', ')}. Lethe sets its own limits in its sessions; only \`lethe migrate\` runs under these.`,
          )
        : []),
    ],
  }
}

async function examineSchema(
  database: Database,
  which: 'control' | 'target',
): Promise<{ findings: Finding[]; current: boolean }> {
  const schema = examine('schema', database.name)
  let state: SchemaState | null = null
  const failed = await attempt('schema', database.name, async () => {
    state = await schemaState(database, which)
    return []
  })
  return { current: state === 'current', findings: state === null ? failed : told(schema, state) }
}

function told(schema: ReturnType<typeof examine>, state: SchemaState): Finding[] {
  if (state === 'current') return schema.ok("Lethe's schema is current")
  const message = {
    absent: "Lethe's schema is not there yet.",
    old: "Lethe's schema is older than this version.",
    new: "Lethe's schema was made by a newer version.",
  }[state]
  const mend = state === 'new' ? 'Run the newer version of Lethe.' : 'Run `lethe migrate`.'
  return schema.error(message, mend)
}
