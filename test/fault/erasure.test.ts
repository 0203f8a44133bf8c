/** Requests through the real queue, by worker processes as an operator starts them, while Lethe's own Redis is emptied again and again. */
import { Redis } from 'ioredis'
import { expect, it } from 'vitest'
import { openQueues } from '../../lib/base/queue/index.ts'
import { registry } from '../../jobs/registry.ts'
import { runOnce } from '../../workers/dispatcher.ts'
import { startLethe } from '../support/stages/cli.ts'
import { emailOf, openErasureHouse } from '../support/stages/erasure-house.ts'
import { startRedis } from '../support/servers/servers.ts'

const waves = [
  [1, 2, 3],
  [4, 5],
  [6, 7, 8],
] as const
const everyone = waves.flat()
/** Looks for lost jobs at once, so that the test need not wait a minute. */
const eager = { heartbeat: '*/15 * * * * *', staleSeconds: 0 }

it('Redis emptied at any moment: no request is lost, and no call is made twice.', async () => {
  const redis = await startRedis({ own: true })
  const house = await openErasureHouse({ LETHE_REDIS_URL: redis.url })
  await house.configure({ operations: { health_port: 0 } })
  const settings = { url: redis.url, prefix: '{lethe}', timeouts: { socketMs: 6000, commandMs: 500 } }
  const queues = openQueues(settings, registry.queues())
  const admin = new Redis(redis.url)
  const dispatcher = { context: house.context, registry, queues, queueSettings: settings, heartbeatUrl: null }
  // while it is called, and after it has acted
  let emptied = 0
  const empty = async () => {
    emptied += 1
    await admin.flushall()
    return undefined
  }
  for (const processor of [house.letters, house.parcels]) processor.answer = empty
  const worker = startLethe(['work', 'dispatcher', 'erasure'], house.env)
  try {
    await house.people(...everyone, 100)
    const requests: string[] = []
    for (const wave of waves) {
      for (const id of wave) requests.push(id % 2 === 0 ? await house.askSql(id) : (await house.ask(id)).id)
      await expect
        .poll(
          async () => {
            await runOnce(dispatcher, eager).catch(() => undefined)
            await empty()
            await runOnce(dispatcher, eager).catch(() => undefined)
            const states = await Promise.all(
              requests.map(async (id) =>
                house
                  .request(id)
                  .then(({ state }) => state)
                  .catch(() => 'not there'),
              ),
            )
            return states.filter((state) => state !== 'completed-with-retained')
          },
          { timeout: 60_000, interval: 50 },
        )
        .toEqual([])
    }
    expect(emptied).toBeGreaterThan(10)
    for (const id of everyone)
      expect(await house.left(id)).toEqual({ app: 0, sessions: 0, letters: 0, parcels: 0 })
    expect(await house.left(100)).toEqual({ app: 3, sessions: 2, letters: 2, parcels: 2 })
    for (const processor of [house.letters, house.parcels]) {
      const told = processor.messages.flatMap(({ message: { type, data } }) =>
        type === 'lethe.erase'
          ? (data.subjects ?? []).flatMap(({ identifiers }) => identifiers['email'] ?? [])
          : [],
      )
      expect(told.sort()).toEqual(everyone.map(emailOf).sort())
    }
  } finally {
    worker.child.kill('SIGTERM')
    await worker.ended
    admin.disconnect()
    await queues.close()
    await house.close()
    await redis.stop()
  }
}, 240_000)
