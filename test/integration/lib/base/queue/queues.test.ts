import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { newId } from '../../../../../lib/base/clock/index.ts'
import { LetheError } from '../../../../../lib/base/errors/index.ts'
import {
  inspectRedis,
  openQueues,
  startWorker,
  type JobPayload,
  type Queues,
  type QueueSettings,
  type QueueWorker,
} from '../../../../../lib/base/queue/index.ts'
import { dumpRedis } from '../../../../support/servers/redis-dump.ts'
import { startProxy, startRedis, type RedisServer } from '../../../../support/servers/servers.ts'

let server: RedisServer
let admin: Redis
let settings: QueueSettings
let queues: Queues
const closers: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  server = await startRedis({ own: true })
  admin = new Redis(server.url)
})
afterAll(async () => {
  admin.disconnect()
  await server.stop()
})
beforeEach(async () => {
  await admin.flushall()
  settings = { url: server.url, prefix: '{test}' }
  queues = openQueues(settings, ['work'])
})
afterEach(async () => {
  // The newest first: a worker closes while the path it came by is still there.
  for (const close of closers.splice(0).toReversed()) await close()
  await queues.close()
})

interface Taken {
  worker: QueueWorker
  jobs: JobPayload[]
  probes: string[]
  errors: unknown[]
  transport: string[]
}

function take(over: QueueSettings, handler?: (job: JobPayload, signal: AbortSignal) => Promise<void>): Taken {
  const taken = {
    jobs: new Array<JobPayload>(),
    probes: new Array<string>(),
    errors: new Array<unknown>(),
    transport: new Array<string>(),
  }
  const worker = startWorker(over, 'work', {
    handler: async (job, signal) => {
      taken.jobs.push(job)
      await handler?.(job, signal)
    },
    onProbe: (id) => {
      taken.probes.push(id)
      return Promise.resolve()
    },
    onTransportError: (text) => taken.transport.push(text),
    onHandlerError: (error) => taken.errors.push(error),
  })
  closers.push(async () => {
    await worker.stop()
    await worker.close()
  })
  return { ...taken, worker }
}

describe('the queue', () => {
  test('hands a worker the run and its generation, and a probe its id, and nothing else', async () => {
    const taken = take(settings)
    const job = { runId: newId(), generation: 3 }
    const probe = newId()
    await queues.enqueue('work', job)
    await queues.probe('work', probe)
    await expect.poll(() => [taken.jobs, taken.probes]).toEqual([[job], [probe]])
  })

  test('a job that is still there is not added twice; one that was taken may be added again', async () => {
    const job = { runId: newId(), generation: 1 }
    await queues.enqueue('work', job)
    await queues.enqueue('work', job)
    expect(await queues.counts('work')).toMatchObject({ waiting: 1 })
    const taken = take(settings)
    await expect.poll(() => taken.jobs.length).toBe(1)
    await expect.poll(async () => (await queues.counts('work')).active).toBe(0)
    await queues.enqueue('work', job)
    await expect.poll(() => taken.jobs.length).toBe(2)
  })

  test('keeps no finished job, and of a failed one only the code', async () => {
    const taken = take(settings, () => {
      throw new Error('canary-7f3a jane@example.org')
    })
    await queues.enqueue('work', { runId: newId(), generation: 1 })
    await expect.poll(async () => (await queues.counts('work')).failed).toBe(1)
    expect(taken.errors).toHaveLength(1)
    const dump = await dumpRedis(admin)
    expect(dump).toContain('E_INTERNAL')
    expect(dump).not.toContain('canary-7f3a')
    expect(dump).not.toContain('.ts:')
  })

  test('says how long the oldest job has waited', async () => {
    expect(await queues.oldestWaitingSeconds('work')).toBe(0)
    await queues.enqueue('work', { runId: newId(), generation: 1 })
    await expect.poll(() => queues.oldestWaitingSeconds('work')).toBeGreaterThan(0.05)
  })

  test('stopping takes no more jobs, aborts the one in hand and waits until it has returned', async () => {
    const order: string[] = []
    const { worker, jobs } = take(settings, async (_job, signal) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      order.push('handler returned')
    })
    await queues.enqueue('work', { runId: newId(), generation: 1 })
    await queues.enqueue('work', { runId: newId(), generation: 1 })
    await expect.poll(() => jobs.length).toBe(1)
    expect(worker.idleMs()).toBe(0)
    await worker.stop()
    order.push('stopped')
    expect(order).toEqual(['handler returned', 'stopped'])
    expect(jobs).toHaveLength(1)
    expect((await queues.counts('work')).waiting).toBe(1)
  })

  test('an add to a Redis that is full fails with its own code while a ping still answers', async () => {
    await admin.config('SET', 'maxmemory', '1')
    try {
      const error = await failure(queues.enqueue('work', { runId: newId(), generation: 1 }))
      expect(error.code).toBe('E_REDIS_FULL')
      await queues.ping()
    } finally {
      await admin.config('SET', 'maxmemory', '0')
    }
    await queues.enqueue('work', { runId: newId(), generation: 1 })
  })

  test('inspection reports what doctor needs', async () => {
    expect(await inspectRedis(settings)).toMatchObject({ evictionPolicy: 'noeviction', clustered: false })
  })
})

describe('a Redis that is away', () => {
  test.each(['killed', 'silent'])(
    '%s: an add fails soon, and works again when Redis is back',
    async (fault) => {
      const own = await startRedis({ own: true })
      const proxy = await startProxy(own.host, own.port, { protocol: 'raw' })
      const timeouts = { socketMs: 6000, commandMs: 500 }
      const away = openQueues({ url: proxy.rewrite(own.url), prefix: '{test}', timeouts }, ['work'])
      closers.push(
        () => away.close(),
        () => proxy.close(),
        () => own.stop(),
      )
      await away.enqueue('work', { runId: newId(), generation: 1 })
      if (fault === 'killed') await own.kill()
      else proxy.blackhole()
      const error = await failure(away.enqueue('work', { runId: newId(), generation: 1 }))
      expect(error.code).toBe('E_REDIS_UNAVAILABLE')
      expect(away.reach().reachable).toBe(false)
      if (fault === 'killed') await own.restart()
      else proxy.heal()
      const again = (): Promise<boolean> =>
        away.enqueue('work', { runId: newId(), generation: 1 }).then(
          () => true,
          () => false,
        )
      await expect.poll(again, { timeout: 10_000, interval: 200 }).toBe(true)
      expect(away.reach().reachable).toBe(true)
    },
    20_000,
  )

  test('no credential stands in what is reported', async () => {
    const wrong = openQueues({ url: 'redis://worker:hunter2@127.0.0.1:1', prefix: '{test}' }, ['work'])
    closers.push(() => wrong.close())
    const error = await failure(wrong.ping())
    expect(`${error.message}${error.stack}${JSON.stringify(error.facts)}`).not.toContain('hunter2')
  })

  test('a worker goes on after its path was half open and has healed', async () => {
    const proxy = await startProxy(server.host, server.port, { protocol: 'raw' })
    closers.push(() => proxy.close())
    const timeouts = { socketMs: 6000, commandMs: 1000 }
    const taken = take({ url: proxy.rewrite(server.url), prefix: '{test}', timeouts })
    await queues.enqueue('work', { runId: newId(), generation: 1 })
    await expect.poll(() => taken.jobs.length).toBe(1)
    proxy.blackhole()
    // The worker's next blocking call stays unanswered until the socket's time-out; only then the path heals.
    await queues.enqueue('work', { runId: newId(), generation: 2 })
    await expect.poll(() => taken.transport.length, { timeout: 20_000 }).toBeGreaterThan(0)
    proxy.heal()
    await expect.poll(() => taken.jobs.length, { timeout: 40_000 }).toBe(2)
  }, 70_000)
})

async function failure(work: Promise<unknown>): Promise<LetheError> {
  try {
    await work
  } catch (error) {
    if (error instanceof LetheError) return error
    throw error
  }
  throw new Error('it did not fail')
}
