import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { consume } from '../../../workers/consumer.ts'
import { runOnce } from '../../../workers/dispatcher.ts'
import type { Process } from '../../../workers/process.ts'
import { openHouse, type House } from '../../support/servers/processes.ts'
import { startProxy, startRedis, type FaultProxy, type RedisServer } from '../../support/servers/servers.ts'
import { freshDatabase } from '../../support/servers/shared.ts'
import { createEffects, effects, expectedEffects, stepper } from '../../support/stages/stepper.ts'

let house: House
let redis: RedisServer
const timeouts = { socketMs: 6000, commandMs: 500 }
/** Every round looks for lost jobs at once, so that the tests need not wait a minute. */
const eager = { heartbeat: '*/15 * * * * *', staleSeconds: 0 }
const steps = 5

beforeEach(async () => {
  redis = await startRedis({ own: true })
  house = await openHouse(await freshDatabase())
  await createEffects(house.control)
})
afterEach(async () => {
  await house.close()
  await redis.stop()
})

function failed(error: unknown): never {
  throw error
}

async function startRuns(process: Process, count: number): Promise<string[]> {
  const kind = process.registry.get('test.stepper')
  const runs: string[] = []
  for (let made = 0; made < count; made += 1) runs.push(await house.run(kind))
  return runs
}

/** Rounds of a dispatcher until every run has ended. */
async function settle(dispatcher: Process, runs: readonly string[]): Promise<void> {
  await expect
    .poll(
      async () => {
        await runOnce(dispatcher, eager)
        const states = await Promise.all(runs.map(async (id) => (await house.look(id)).state))
        return states.filter((state) => state !== 'succeeded')
      },
      { timeout: 40_000, interval: 100 },
    )
    .toEqual([])
}

describe('a Redis that forgets', () => {
  test.each(['FLUSHALL', 'restarted empty'])(
    '%s in the middle of the work loses nothing and doubles nothing',
    async (fault) => {
      let reached = 0
      const middle = Promise.withResolvers<void>()
      const kind = stepper({
        steps,
        before: () => {
          reached += 1
          if (reached === 8) middle.resolve()
          return Promise.resolve()
        },
      })
      const process = house.process([kind], { redisUrl: redis.url, timeouts })
      const runs = await startRuns(process, 12)
      await runOnce(process, eager)
      house.role(await consume(process, 'test')(failed))
      await middle.promise
      if (fault === 'FLUSHALL') await flush(redis.url)
      else await redis.restart()
      await settle(process, runs)
      expect(await effects(house.control)).toEqual(expectedEffects(runs, steps))
      for (const id of runs) expect((await house.look(id)).attempt).toBe(0)
    },
    60_000,
  )
})

describe('a Redis that is away', () => {
  test('longer than a worker may be handed nothing: the run in hand goes on meanwhile, the others complete afterwards, nobody exits', async () => {
    const held = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const kind = stepper({
      steps,
      before: async (step) => {
        if (step !== 2) return
        held.resolve()
        await go.promise
      },
    })
    const process = house.process([kind], { redisUrl: redis.url, timeouts })
    const runs = await startRuns(process, 3)
    await runOnce(process, eager)
    const watch = { everyMs: 100, wedgedMs: 4000, redisGraceMs: 300_000, hungMs: 300_000 }
    const ends: unknown[] = []
    house.role(await consume(process, 'test', watch)((error) => void ends.push(error)))
    await held.promise
    await redis.kill()
    go.resolve()
    const inHand = async (): Promise<number> => (await effects(house.control)).length
    await expect.poll(inHand, { timeout: 10_000 }).toBeGreaterThanOrEqual(steps)
    const round = await runOnce(process, eager)
    expect(round.failures).toContain('queues')
    // Away for so long that an idle worker would have been called wedged, if Redis were not the reason.
    const away = (): number => (process.queues.reach().reachable ? 0 : process.queues.reach().sinceMs)
    await expect
      .poll(away, { timeout: 20_000, interval: 50 })
      .toBeGreaterThan(watch.wedgedMs + 5 * watch.everyMs)
    await redis.restart()
    await settle(process, runs)
    expect(await effects(house.control)).toEqual(expectedEffects(runs, steps))
    expect(ends).toEqual([])
  }, 60_000)

  test('past the grace the worker ends with E_REDIS_UNAVAILABLE', async () => {
    const process = house.process([stepper({ steps })], { redisUrl: redis.url, timeouts })
    await process.queues.ping()
    await redis.kill()
    const end = Promise.withResolvers<unknown>()
    const watch = { everyMs: 50, wedgedMs: 60_000, redisGraceMs: 400, hungMs: 60_000 }
    house.role(await consume(process, 'test', watch)(end.resolve))
    expect(await end.promise).toMatchObject({ code: 'E_REDIS_UNAVAILABLE', exitCode: 20 })
  })
})

describe('a worker that is handed nothing although Redis is sound', () => {
  let proxy: FaultProxy
  beforeEach(async () => {
    proxy = await startProxy(redis.host, redis.port, { protocol: 'raw' })
  })
  afterEach(() => proxy.close())

  /** The worker's own connections go through the proxy; its time-outs are too long to help. */
  function behindProxy(): Process {
    const process = house.process([stepper({ steps })], { redisUrl: redis.url, timeouts })
    const slow = { socketMs: 600_000, commandMs: 500 }
    return {
      ...process,
      queueSettings: { url: proxy.rewrite(redis.url), prefix: '{test}', timeouts: slow },
    }
  }

  test('says so and ends, because the probe of its queue stays unanswered while it is idle', async () => {
    const process = behindProxy()
    const end = Promise.withResolvers<unknown>()
    const watch = { everyMs: 50, wedgedMs: 1500, redisGraceMs: 60_000, hungMs: 60_000 }
    house.role(await consume(process, 'test', watch)(end.resolve))
    const runs = await startRuns(process, 1)
    await settle(process, runs)
    proxy.blackhole()
    // The first probe may have been answered before the path broke; the second one cannot be.
    await runOnce(process, eager)
    await runOnce(process, eager)
    expect(await end.promise).toMatchObject({ code: 'E_QUEUE_WEDGED', exitCode: 1 })
    proxy.cut()
  })

  test('does not end while it answers, however often it looks', async () => {
    const process = behindProxy()
    const watch = { everyMs: 20, wedgedMs: 400, redisGraceMs: 60_000, hungMs: 60_000 }
    let ended: unknown = null
    const role = await consume(
      process,
      'test',
      watch,
    )((error) => {
      ended = error
    })
    house.role(role)
    const until = performance.now() + 2000
    while (performance.now() < until) {
      await runOnce(process, eager)
      await delay(100)
    }
    expect(ended).toBeNull()
    expect(role.problem()).toBeNull()
  })
})

async function flush(url: string): Promise<void> {
  const admin = new Redis(url)
  await admin.flushall()
  admin.disconnect()
}
