/** A real Redis: given by the environment, in a container, or an installed server on a free port with its own folder. */
import { Redis } from 'ioredis'
import { chooseSource, startContainer, type Source } from './containers.ts'
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
  /** Starts it again on the same port; without append-only file it is empty. */
  restart(): Promise<void>
  stop(): Promise<void>
}

export interface RedisOptions {
  appendonly?: boolean
}

export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const source = await chooseSource('LETHE_TEST_REDIS_URL')
  const flags = [
    '--maxmemory-policy',
    'noeviction',
    '--save',
    '',
    '--appendonly',
    options.appendonly ? 'yes' : 'no',
  ]
  if (source === 'environment') return given(process.env['LETHE_TEST_REDIS_URL'] ?? '')
  return source === 'container' ? inContainer(flags) : installed(flags)
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
  const up = async () => {
    const deadline = performance.now() + 30_000
    while (
      !(await ping(`redis://${container.host}:${container.port()}`).then(
        () => true,
        () => false,
      ))
    ) {
      if (performance.now() > deadline) throw new Error('the Redis container did not come up in 30 s')
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
  await up()
  return {
    source: 'container',
    get url() {
      return `redis://${container.host}:${container.port()}`
    },
    host: container.host,
    get port() {
      return container.port()
    },
    pid: null,
    kill: () => container.kill(),
    async restart() {
      await container.restart()
      await up()
    },
    stop: () => container.stop(),
  }
}

function given(url: string): RedisServer {
  const refuse = () => Promise.reject(new Error('a server given by the environment is not restarted'))
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
