/**
 * Connections to every node that holds keys, for the time of one call: what a cluster looks like is asked afresh, and
 * nothing is resent behind our back, so that each answer is the one of the command it belongs to.
 */
import { Redis } from 'ioredis'
import { LetheError } from '../../../../base/errors/index.ts'
import { failureOf, storeError, type Failure } from './failure.ts'
import { slotCount, slotOf } from './slots.ts'

export interface RedisEraserSettings {
  /** In reports and errors. */
  store: string
  /** redis:// or rediss://, with /N for a database. Any node of a cluster: it says which the others are. */
  url: string
  /** What Lethe's own keys begin with, where they share this server. Default `{lethe}`. */
  ownPrefix?: string
  /** ms for connecting, and for one pipeline. Default 5000. */
  commandMs?: number
  /** Keys that the server looks at for one SCAN call. Default 1000. */
  scanCount?: number
}

export interface Node {
  readonly redis: Redis
  readonly address: string
  /** Set when it stops answering: it is left alone for the rest of the call. */
  lost: Failure | null
}

export interface Nodes {
  readonly cluster: boolean
  readonly all: readonly Node[]
  of(key: string): Node
  close(): void
}

/**
 * Throws E_STORE_UNAVAILABLE where the node named doesn't answer, is a replica (what it says may be old), or its cluster
 * leaves slots to nobody; E_STORE_REFUSED where it lets nobody in. Another node that doesn't answer is `lost`.
 */
export async function openNodes(settings: RedisEraserSettings): Promise<Nodes> {
  const url = checkedUrl(settings.url)
  const seed = await openNode(settings, url)
  try {
    const [hello, slots] = await attempt(settings, seed, async ({ redis }) => {
      const hello = fields(await redis.call('HELLO'))
      return [hello, hello.get('mode') === 'cluster' ? rangesOf(await redis.cluster('SLOTS'), url) : null]
    })
    if (slots === null) {
      if (hello.get('role') !== 'master')
        throw storeError(settings.store, 'answer as a master', { word: 'it is a replica', passing: true })
      return { cluster: false, all: [seed], of: () => seed, close: () => seed.redis.disconnect() }
    }
    seed.redis.disconnect()
    return await openCluster(settings, url, slots)
  } catch (error) {
    seed.redis.disconnect()
    throw error
  }
}

/** What `call` answers; its error as a LetheError. */
export async function attempt<T>(
  settings: RedisEraserSettings,
  node: Node,
  call: (node: Node) => Promise<T>,
): Promise<T> {
  if (node.lost !== null) throw storeError(settings.store, 'answer', node.lost)
  try {
    return await call(node)
  } catch (error) {
    if (error instanceof LetheError) throw error
    throw storeError(settings.store, 'answer', failureOf(error))
  }
}

interface Range {
  from: number
  to: number
  address: string
}

async function openCluster(
  settings: RedisEraserSettings,
  url: URL,
  ranges: readonly Range[],
): Promise<Nodes> {
  const covered = ranges.reduce((all, { from, to }) => all + to - from + 1, 0)
  if (covered !== slotCount)
    throw storeError(settings.store, 'cover all slots', { word: 'CLUSTERDOWN', passing: true })
  const byAddress = new Map<string, Node>()
  for (const address of new Set(ranges.map((range) => range.address))) {
    const own = new URL(url)
    own.host = address
    byAddress.set(address, await openNode(settings, own))
  }
  const owners: Node[] = []
  for (const { from, to, address } of ranges) {
    const node = byAddress.get(address)
    if (node !== undefined) for (let slot = from; slot <= to; slot++) owners[slot] = node
  }
  return {
    cluster: true,
    all: [...byAddress.values()],
    of(key) {
      const node = owners[slotOf(key)]
      if (node === undefined) throw new LetheError('E_INTERNAL', { message: 'A slot has no node.' })
      return node
    },
    close: () => [...byAddress.values()].forEach(({ redis }) => redis.disconnect()),
  }
}

async function openNode(settings: RedisEraserSettings, url: URL): Promise<Node> {
  const ms = settings.commandMs ?? 5000
  const bare = new URL(url)
  bare.pathname = ''
  const redis = new Redis(bare.toString(), {
    protocol: 2,
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    connectTimeout: ms,
    commandTimeout: ms,
    socketTimeout: ms,
    disableClientInfo: true,
  })
  // without a listener an error event ends the process; the calls report what fails
  let said: unknown
  redis.on('error', (error) => (said = error))
  const node: Node = { redis, address: url.host, lost: null }
  try {
    await redis.connect()
    // by hand: ioredis goes on in database 0 where it can't select the one it was given
    if (url.pathname.length > 1) await redis.select(Number(url.pathname.slice(1)))
  } catch (error) {
    node.lost = failureOf(said ?? error)
    redis.disconnect()
  }
  return node
}

function rangesOf(reply: unknown, url: URL): Range[] {
  return (reply as [number, number, [string | null, number]][]).map(([from, to, [host, port]]) => {
    const name = host === null || host === '' || host === '?' ? url.hostname : host
    return {
      from,
      to,
      address: `${name.includes(':') && !name.startsWith('[') ? `[${name}]` : name}:${port}`,
    }
  })
}

function fields(reply: unknown): Map<unknown, unknown> {
  const flat = reply as unknown[]
  return new Map(flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1]]] : [])))
}

function checkedUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (
    url === null ||
    !/^rediss?:$/.test(url.protocol) ||
    !/^(\/\d*)?$/.test(url.pathname) ||
    url.search !== ''
  )
    throw new LetheError('E_CONFIG', {
      message:
        'The address of a Redis store is not redis://host:port/database or rediss://…, without parameters.',
    })
  return url
}
