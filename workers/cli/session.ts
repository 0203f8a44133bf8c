/** What every command starts from. The heavy parts are imported when a command needs them, so that `--help` is instant. */
import type { Command } from 'commander'
import type { Config } from '../../lib/config/index.ts'
import type { Database } from '../../lib/base/db/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import type { Context } from '../../jobs/context.ts'
import type { Output } from './output.ts'

export interface Session {
  readonly output: Output
  readonly env: Readonly<Record<string, string | undefined>>
  /** What an interruption leaves behind, for the person who pressed Ctrl-C. */
  left: string
  /** What that person does next; absent: the same command goes on. */
  next?: string
  /** Ends the command with this exit code although nothing was thrown. */
  exitCode: number
  /** False: the command looks after signals itself (`work`). */
  interruptible: boolean
}

/** Adds the commands of one noun to the program. */
export type AddCommands = (program: Command, session: Session) => void

export async function readConfig(session: Session): Promise<Config> {
  const { loadConfig } = await import('../../lib/config/index.ts')
  return loadConfig(session.env['LETHE_CONFIG'] ?? 'lethe.yaml', session.env)
}

/** Runs `use` with the configuration, the keystore and the control database, and closes what was opened. */
export async function withContext<T>(session: Session, use: (context: Context) => Promise<T>): Promise<T> {
  const { openContext } = await import('../context.ts')
  const env = { LETHE_LOG_LEVEL: 'warn', ...session.env }
  const opened = await openContext('cli', env)
  try {
    return await use(opened.context)
  } finally {
    await opened.close()
  }
}

/** A store's database, read-only and without asking for Lethe's schema in it. */
export async function withStore<T>(
  config: Config,
  store: string,
  use: (database: Database) => Promise<T>,
): Promise<T> {
  const { openDatabase } = await import('../../lib/base/db/index.ts')
  const database = openDatabase(config.storeUrl(store), {
    name: store,
    applicationName: 'lethe cli',
    readOnly: true,
  })
  try {
    return await use(database)
  } finally {
    await database.close()
  }
}

export function postgresStores(config: Config): string[] {
  return Object.entries(config.file.stores)
    .filter(([, store]) => store.kind === 'postgres')
    .map(([name]) => name)
}

export function usage(message: string, next?: string): LetheError {
  return new LetheError('E_USAGE', { message, ...(next === undefined ? {} : { next }) })
}

/** A day (`2027-05-01`, its first instant in UTC) or an instant with its offset. */
export function parseInstant(text: string, option: string): Date {
  const day = /^\d{4}-\d{2}-\d{2}$/.test(text)
  const zoned = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/.test(text)
  const instant = new Date(text)
  if ((day || zoned) && isDay(text.slice(0, 10)) && !Number.isNaN(instant.getTime())) return instant
  throw usage(
    `${option} is neither a day (2027-05-01) nor an instant with its offset (2027-05-01T12:00:00Z).`,
  )
}

/** 2027-02-30 is no day, although `Date` makes one of it. */
function isDay(text: string): boolean {
  const start = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(start.getTime()) && start.toISOString().startsWith(text)
}

export function parseCount(text: string, option: string): number {
  if (/^[1-9]\d{0,11}$/.test(text)) return Number(text)
  throw usage(`${option} is not a number above 0.`)
}
