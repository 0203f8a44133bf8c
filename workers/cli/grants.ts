/** `lethe grants --sql`: the least rights for each role, to read and then run as the owner. */
import type { DeletionPlan } from '../../lib/data/deletion/index.ts'
import type { Config } from '../../lib/config/index.ts'
import { postgresStores, readConfig, usage, withStore, type AddCommands, type Session } from './session.ts'

export const grantsCommands: AddCommands = (program, session) => {
  program
    .command('grants')
    .description('print the least privileges for each role; runs nothing')
    .option('--sql', 'as SQL (the only form)')
    .option('--on <database>', 'only for control, or for this store: ready for psql')
    .option('--worker <role>', 'name of the role that erases', 'lethe_worker')
    .option('--operator <role>', 'name of the role that asks, holds and calls off', 'lethe_operator')
    .option('--approver <role>', 'name of the role that arms, approves and releases', 'lethe_approver')
    .option('--auditor <role>', 'name of the role that reads', 'lethe_auditor')
    .option('--application <role>', 'role of the application that asks for erasures, on every store chosen')
    .action((options: GrantsOptions) => print(session, options))
}

interface GrantsOptions {
  on?: string
  worker: string
  operator: string
  approver: string
  auditor: string
  application?: string
}

async function print(session: Session, options: GrantsOptions): Promise<void> {
  const { grantsSql } = await import('../../lib/record/grants/index.ts')
  const { freeTextColumns } = await import('../../lib/data/rows/index.ts')
  const config = await readConfig(session)
  const { worker, operator, approver, auditor } = options
  const roles = { worker, operator, approver, auditor }
  for (const [option, role] of Object.entries({ ...roles, application: options.application }))
    if (role !== undefined) requireRole(`--${option}`, role)
  const known = ['control', ...postgresStores(config)]
  if (options.on !== undefined && !known.includes(options.on)) throw usage(`--on takes: ${known.join(', ')}.`)
  const chosen = options.on === undefined ? known : [options.on]
  const parts: { database: string; sql: string }[] = []
  for (const database of chosen)
    parts.push({
      database,
      sql:
        database === 'control'
          ? grantsSql('control', { roles })
          : grantsSql('target', {
              roles,
              plans: await plansOf(config, database),
              access: Object.values(config.file.subjects)
                .filter(({ store }) => store === database)
                .map(({ access }) => access),
              tombstones: Object.values(config.file.subjects)
                .filter(({ store }) => store === database)
                .flatMap(({ tombstones }) => tombstones),
              searched: freeTextColumns(config.file, database).map(({ table }) => table),
              ...(options.application === undefined ? {} : { application: options.application }),
            }),
    })
  session.output.data(
    parts,
    parts
      .map(({ database, sql }) =>
        chosen.length === 1 ? sql : `-- ===== Run on the database of ${database} =====\n${sql}`,
      )
      .join('\n'),
  )
}

/** PostgreSQL takes any quoted name up to 63 bytes and cuts a longer one; what nobody types on purpose is refused. */
function requireRole(option: string, role: string): void {
  if (/^[\p{L}_][\p{L}\p{N}_$.@-]*$/u.test(role) && Buffer.byteLength(role) <= 63 && !reserved.test(role))
    return
  throw usage(
    `${option} takes the name of a role, such as lethe_worker: a letter first, then letters, digits, _ $ . @ -, at most 63 bytes.`,
  )
}

/** "public" is everybody to PostgreSQL, also in quotes. */
const reserved = /^(pg_.*|public|none)$/i

/**
 * What the policies erase from, and each kind of subject for its erasure requests: as the map says, and as it is where every
 * class of records that may be retained is.
 */
async function plansOf(config: Config, store: string): Promise<DeletionPlan[]> {
  const { storeCatalogue } = await import('../../lib/data/datamap/index.ts')
  const { planDeletion } = await import('../../lib/data/deletion/index.ts')
  const { mapRetaining, retainableClasses } = await import('../../lib/data/deletion/index.ts')
  const { file, policies } = config
  const { classes } = file.erasure
  const retaining = mapRetaining(file, classes, retainableClasses(classes))
  const subjects = Object.entries(file.subjects).flatMap(([name, subject]) =>
    subject.store === store ? [name] : [],
  )
  const tables = Object.values(policies).flatMap((policy) =>
    policy.store === store && policy.table !== undefined ? [policy.table] : [],
  )
  if (subjects.length + tables.length === 0) return []
  const catalogue = await withStore(config, store, (database) => storeCatalogue(database, file, store))
  return [
    ...subjects.flatMap((subject) =>
      [file, retaining].map((map) => planDeletion(map, store, { subject }, catalogue)),
    ),
    ...tables.map(({ name, key }) => planDeletion(file, store, { table: name, key }, catalogue)),
  ]
}
