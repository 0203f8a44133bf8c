/** A real Redis Cluster of three masters without replicas, on loopback ports of its own. */
import { Redis } from 'ioredis'
import { findProgram } from './install.ts'
import { freePort, makeFolder, removeFolder, startProcess, untilReady } from './process.ts'

export interface RedisCluster {
  /** Of its first node. */
  url: string
  /** One client a node, in the order of their slots. */
  nodes: readonly Redis[]
  killNode(place: number): Promise<void>
  stop(): Promise<void>
}

const shares: readonly (readonly [number, number])[] = [
  [0, 5460],
  [5461, 10_922],
  [10_923, 16_383],
]

export async function startRedisCluster(): Promise<RedisCluster> {
  const program = await findProgram('redis-server', 'redis-server')
  const servers = await Promise.all(
    shares.map(async () => {
      const folder = makeFolder('redis-node')
      const [port, bus] = [await freePort(), await freePort()]
      const flags = ['--cluster-enabled', 'yes', '--cluster-port', String(bus), '--save', '']
      const network = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder]
      const server = startProcess(program, [...network, ...flags], folder)
      const redis = new Redis(port, '127.0.0.1', { lazyConnect: true, retryStrategy: () => 100 })
      redis.on('error', () => undefined)
      await untilReady(server, folder, async () => {
        await redis.ping()
      })
      return { folder, port, bus, server, redis }
    }),
  )
  const [first] = servers
  if (first === undefined) throw new Error('no node')
  for (const [place, { redis, port, bus }] of servers.entries()) {
    await redis.call('CLUSTER', 'ADDSLOTSRANGE', ...(shares[place] ?? []))
    if (place > 0) await first.redis.call('CLUSTER', 'MEET', '127.0.0.1', port, bus)
  }
  for (const { server, folder, redis } of servers)
    await untilReady(server, folder, async () => {
      if (!(await redis.cluster('INFO')).includes('cluster_state:ok')) throw new Error('not yet')
    })
  return {
    url: `redis://127.0.0.1:${first.port}`,
    nodes: servers.map(({ redis }) => redis),
    killNode: async (place) => servers[place]?.server.end('SIGKILL'),
    async stop() {
      for (const { redis, server, folder } of servers) {
        redis.disconnect()
        await server.end('SIGKILL')
        await removeFolder(folder)
      }
    },
  }
}
