/** A real Redis: given by the environment, in a container, or an installed server on a free port with its own folder. */
import { Redis } from 'ioredis'
import { startContainer, startFirst, type Source } from './containers.ts'
import { findProgram } from './install.ts'
import {
  freePort,
  makeFolder,
  removeFolder,
  startProcess,
  untilReady,
  type ServerProcess,
} from './process.ts'

export interface RedisServer {
  source: Source
  url: string
  host: string
  port: number
  pid: number | null
  /** Ends the server as kill -9 does; `restart` brings it back. */
  kill(): Promise<void>
  /** Kills it where it still runs and starts it again on the same port; without append-only file it is empty. */
  restart(): Promise<void>
  stop(): Promise<void>
}

export interface RedisOptions {
  appendonly?: boolean
  /** True: not the environment's server, because the test empties, kills or restarts it. Default false. */
  own?: boolean
}

export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const flags = [
    '--maxmemory-policy',
    'noeviction',
    '--save',
    '',
    '--appendonly',
    options.appendonly ? 'yes' : 'no',
  ]
  return startFirst({
    variable: 'LETHE_TEST_REDIS_URL',
    own: options.own ?? false,
    environment: async (url) => given(url),
    container: () => inContainer(flags),
    installed: () => installed(flags),
  })
}

async function installed(flags: readonly string[]): Promise<RedisServer> {
  const program = await findProgram('redis-server', 'redis-server')
  const folder = makeFolder('redis')
  const port = await freePort()
  const url = `redis://127.0.0.1:${port}`
  const launch = async (): Promise<ServerProcess> => {
    const server = startProcess(
      program,
      ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, ...flags],
      folder,
    )
    await untilReady(server, folder, () => ping(url))
    return server
  }
  let server = await launch()
  return {
    source: 'installed',
    url,
    host: '127.0.0.1',
    port,
    get pid() {
      return server.pid
    },
    kill: () => server.end('SIGKILL'),
    async restart() {
      await server.end('SIGKILL')
      server = await launch()
    },
    async stop() {
      await server.end('SIGTERM')
      await removeFolder(folder)
    },
  }
}

async function inContainer(flags: readonly string[]): Promise<RedisServer> {
  const container = await startContainer({
    image: 'redis:7-bookworm',
    port: 6379,
    environment: {},
    command: ['redis-server', '--protected-mode', 'no', ...flags],
  })
  const url = `redis://${container.host}:${container.port}`
  await up(url)
  return {
    source: 'container',
    url,
    host: container.host,
    port: container.port,
    pid: null,
    kill: () => container.end('SIGKILL'),
    async restart() {
      await container.end('SIGKILL')
      await container.start()
      await up(url)
    },
    stop: () => container.remove(),
  }
}

async function up(url: string): Promise<void> {
  const deadline = performance.now() + 30_000
  const answers = () =>
    ping(url).then(
      () => true,
      () => false,
    )
  while (!(await answers())) {
    if (performance.now() > deadline) throw new Error('the Redis container did not come up in 30 s')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

function given(url: string): RedisServer {
  const refuse = () =>
    Promise.reject(
      new Error('a server given by the environment is neither killed nor restarted: ask for your own'),
    )
  const { hostname, port } = new URL(url)
  return {
    source: 'environment',
    url,
    host: hostname,
    port: Number(port || 6379),
    pid: null,
    kill: refuse,
    restart: refuse,
    stop: () => Promise.resolve(),
  }
}

async function ping(url: string): Promise<void> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.ping()
  } finally {
    client.disconnect()
  }
}
