/** A real PostgreSQL: given by the environment, in a container, or an installed server on a free port with its own folder. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import pg from 'pg'
import { startContainer, startFirst, type Source } from './containers.ts'
import { askedVersion, findPostgres } from './postgres-programs.ts'
import { parseVersion } from './postgres-versions.ts'
import {
  freePort,
  makeFolder,
  removeFolder,
  runProcess,
  startProcess,
  unprivileged,
  untilReady,
  type ServerProcess,
} from './process.ts'

export interface TestDatabase {
  name: string
  url: string
  drop(): Promise<void>
}

export interface PostgresServer {
  source: Source
  /** Superuser's address of the database `postgres`. */
  url: string
  host: string
  port: number
  /** The postmaster's process id; null where we don't run it (environment, container). */
  pid: number | null
  createDatabase(name?: string): Promise<TestDatabase>
  /** Stops and starts again on the same port; `immediate` is a crash. Not for an address from the environment. */
  restart(mode?: 'fast' | 'immediate'): Promise<void>
  stop(): Promise<void>
}

export interface PostgresOptions {
  /** True: survives a loss of power as in production (benches). Default false: survives its own crash only. */
  durable?: boolean
  /** True: not the environment's server, because the test restarts it or counts on `settings`. Default false. */
  own?: boolean
  /** Added to the command line; a server from the environment keeps its own. */
  settings?: Readonly<Record<string, string>>
  /** What starts `postgres` (faketime). */
  wrapper?: readonly string[]
}

export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const settings = {
    max_connections: '200',
    wal_level: 'logical',
    // Commits stay synchronous: without them a crash of the server loses what it had confirmed.
    ...(options.durable ? {} : { fsync: 'off', full_page_writes: 'off' }),
    ...options.settings,
  }
  // only a program of our own can be wrapped
  if (options.wrapper !== undefined) return installed(settings, options.wrapper)
  return startFirst({
    variable: 'LETHE_TEST_POSTGRES_URL',
    own: options.own ?? false,
    environment: async (url) => fromUrl('environment', url),
    container: () => inContainer(settings),
    installed: () => installed(settings, []),
  })
}

async function installed(
  settings: Readonly<Record<string, string>>,
  wrapper: readonly string[],
): Promise<PostgresServer> {
  const programs = await findPostgres()
  const program = join(programs, 'postgres')
  const initdb = join(programs, 'initdb')
  const user = unprivileged('postgres')
  const folder = makeFolder('postgres', user)
  const data = join(folder, 'data')
  await runProcess(
    initdb,
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'],
    folder,
    user,
  )
  const port = await freePort()
  const all = {
    ...settings,
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: folder,
  }
  const args = [
    program,
    '-D',
    data,
    ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ]
  const [command = program, ...rest] = [...wrapper, ...args]
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  const launch = async (): Promise<ServerProcess> => {
    const server = startProcess(command, rest, folder, user)
    await untilReady(server, folder, () => ping(url))
    return server
  }
  let server = await launch()
  return {
    ...fromUrl('installed', url),
    get pid() {
      return server.pid
    },
    async restart(mode = 'fast') {
      await server.end(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
      server = await launch()
    },
    async stop() {
      await server.end('SIGQUIT')
      await removeFolder(folder)
    },
  }
}

async function inContainer(settings: Readonly<Record<string, string>>): Promise<PostgresServer> {
  const password = randomBytes(12).toString('hex')
  const container = await startContainer({
    image: `postgres:${askedVersion() ?? 17}-bookworm`,
    port: 5432,
    environment: { POSTGRES_PASSWORD: password },
    command: ['postgres', ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
  })
  const url = `postgres://postgres:${password}@${container.host}:${container.port}/postgres`
  await ready(url)
  return {
    ...fromUrl('container', url),
    async restart(mode = 'fast') {
      await container.end(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
      await container.start()
      await ready(url)
    },
    stop: () => container.remove(),
  }
}

function fromUrl(source: Source, url: string): PostgresServer {
  const { hostname, port } = new URL(url)
  return {
    source,
    url,
    host: hostname,
    port: Number(port || 5432),
    pid: null,
    createDatabase: (name) => createTestDatabase(url, name),
    restart: () =>
      Promise.reject(new Error('a server given by the environment is not restarted: ask for your own')),
    stop: () => Promise.resolve(),
  }
}

/** A new database on the server that `url` (a superuser's) names. */
export async function createTestDatabase(
  url: string,
  name = `lethe_test_${randomBytes(6).toString('hex')}`,
): Promise<TestDatabase> {
  const admin = (sql: string) => withClient(url, (client) => client.query(sql))
  await admin(`CREATE DATABASE ${pg.escapeIdentifier(name)}`)
  const own = new URL(url)
  own.pathname = `/${encodeURIComponent(name)}`
  return {
    name,
    url: own.toString(),
    drop: async () => {
      await admin(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`)
    },
  }
}

/** Whether the server was built with ICU, whose collations alone can call different texts equal. */
export async function hasIcu(url: string): Promise<boolean> {
  const { rows } = await withClient(url, (client) =>
    client.query(`SELECT FROM pg_collation WHERE collprovider = 'i' AND collname <> 'unicode' LIMIT 1`),
  )
  return rows.length === 1
}

/** `15.20`, without what the packager adds. */
export async function serverVersion(url: string): Promise<string> {
  const { rows } = await withClient(url, (client) => client.query('SHOW server_version'))
  const { major, minor } = parseVersion(String(rows[0]?.server_version))
  return `${major}.${minor}`
}

async function ping(url: string): Promise<void> {
  await withClient(url, (client) => client.query('SELECT 1'))
}

/** A container's PostgreSQL starts twice (set-up, then the real server): ready means two answers in a row, a second apart. */
async function ready(url: string): Promise<void> {
  const deadline = performance.now() + 60_000
  for (let good = 0; good < 2;) {
    good = await ping(url).then(
      () => good + 1,
      () => 0,
    )
    if (performance.now() > deadline) throw new Error('the PostgreSQL container did not come up in 60 s')
    await new Promise((resolve) => setTimeout(resolve, good > 0 ? 1000 : 250))
  }
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}
