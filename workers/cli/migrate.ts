/** `lethe migrate`: our own schemas, in the control database and in every target. */
import { postgresStores, readConfig, type AddCommands, type Session } from './session.ts'

export const migrateCommands: AddCommands = (program, session) => {
  program
    .command('migrate')
    .description(
      "create or upgrade Lethe's own schema in the control database and in every store; repeatable",
    )
    .action(() => run(session))
}

/** The control database first: a store whose schema is newer than the record's would be refused. */
async function run(session: Session): Promise<void> {
  const { migrate } = await import('../../lib/base/db/index.ts')
  const config = await readConfig(session)
  const done: { database: string; applied: string[] }[] = []
  const places = [
    { database: 'control', which: 'control', url: () => config.controlUrl },
    ...postgresStores(config).map((store) => ({
      database: store,
      which: 'target' as const,
      url: () => config.storeUrl(store),
    })),
  ] as const
  for (const { database, which, url } of places) {
    session.left = `Migrated: ${done.map((entry) => entry.database).join(', ') || 'nothing'}. Repeating the command goes on.`
    done.push({ database, applied: (await migrate(url(), which)).applied })
  }
  session.output.data(
    done,
    done
      .map(({ database, applied }) => `${database}: ${applied.length === 0 ? 'current' : applied.join(', ')}`)
      .join('\n'),
  )
}
