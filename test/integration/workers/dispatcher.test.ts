import { createServer } from 'node:http'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { claimRun, recordStep } from '../../../lib/record/ledger/index.ts'
import type { JobKind } from '../../../jobs/kind.ts'
import { consume } from '../../../workers/consumer.ts'
import { dispatch, runOnce, type Round } from '../../../workers/dispatcher.ts'
import type { Process } from '../../../workers/process.ts'
import { openHouse, type House } from '../../support/servers/processes.ts'
import { dumpRedis } from '../../support/servers/redis-dump.ts'
import { startRedis, type RedisServer } from '../../support/servers/servers.ts'
import { freshDatabase } from '../../support/servers/shared.ts'
import { createEffects, effects, expectedEffects, stepper } from '../../support/stages/stepper.ts'

let house: House
let redis: RedisServer
const timeouts = { socketMs: 6000, commandMs: 500 }
const eager = { heartbeat: '*/15 * * * * *', staleSeconds: 0 }

beforeAll(async () => {
  redis = await startRedis({ own: true })
})
afterAll(() => redis.stop())
beforeEach(async () => {
  const admin = new Redis(redis.url)
  await admin.flushall()
  admin.disconnect()
  house = await openHouse(await freshDatabase())
  await createEffects(house.control)
})
afterEach(() => house.close())

function open(kinds: readonly JobKind[], heartbeatUrl?: string): Process {
  return house.process(kinds, {
    redisUrl: redis.url,
    timeouts,
    ...(heartbeatUrl === undefined ? {} : { heartbeatUrl }),
  })
}

async function work(process: Process, queue = 'test'): Promise<void> {
  house.role(
    await consume(
      process,
      queue,
    )((error) => {
      throw error
    }),
  )
}

describe('a dispatcher round', () => {
  test('turns a due occurrence into one run, however many dispatchers look, in turn or at once', async () => {
    const schedules = (): {
      id: string
      payload: Record<string, unknown>
      cron: string
      timeZone: string
      catchUp: 'all'
    }[] => [{ id: 'every-minute', payload: {}, cron: '* * * * *', timeZone: 'UTC', catchUp: 'all' }]
    const [first, second] = [
      open([stepper({ steps: 1, schedules })]),
      open([stepper({ steps: 1, schedules })]),
    ]
    await runOnce(first)
    await house.control.execute(
      `UPDATE lethe_control.schedules SET evaluated_until = now() - interval '1 minute'`,
    )
    await house.control.execute(`DELETE FROM lethe_control.leases`)
    // Without a lease between them both may lead for a moment, as after a lease that ended during a long pause.
    const rounds = await Promise.all(
      [first, second, first, second].map(async (process) => {
        await house.control.execute(`UPDATE lethe_control.leases SET expires_at = '-infinity'`)
        return runOnce(process)
      }),
    )
    expect(rounds.flatMap((round) => round.failures)).toEqual([])
    expect(sum(rounds, 'created')).toBe(1)
    const occurrences = await house.control.query(
      z.object({ outcome: z.string(), run_id: z.string().nullable() }),
      `SELECT outcome, run_id FROM lethe_control.occurrences`,
    )
    expect(occurrences.filter((row) => row.outcome === 'run')).toHaveLength(1)
    const [runs] = await house.control.query(
      z.object({ n: z.number() }),
      `SELECT count(*)::int AS n FROM lethe_control.runs`,
    )
    expect(runs?.n).toBe(1)
  })

  test('is done by the leader only, until its lease ends or it stops', async () => {
    const kind = stepper({ steps: 1 })
    const [first, second] = [open([kind]), open([kind])]
    expect((await runOnce(first)).leader).toBe(true)
    const leader = await dispatch(first)(() => undefined)
    expect((await runOnce(second)).leader).toBe(false)
    await leader.stop()
    expect((await runOnce(second)).leader).toBe(true)
  })

  test('enqueues a due run once, and again only when Redis lost its job', async () => {
    const process = open([stepper({ steps: 1 })])
    await house.run(process.registry.get('test.stepper'))
    expect(await counts(process)).toMatchObject({ enqueued: 1 })
    expect(await counts(process)).toMatchObject({ enqueued: 0 })
    const admin = new Redis(redis.url)
    await admin.flushall()
    admin.disconnect()
    expect(await counts(process)).toMatchObject({ enqueued: 1 })
    expect(await process.queues.counts('test')).toMatchObject({ waiting: 2 })
  })

  test('takes a run back that Redis did not take, so that the next round tries again', async () => {
    const process = open([stepper({ steps: 1 })])
    const id = await house.run(process.registry.get('test.stepper'))
    const broken: Process = {
      ...process,
      queues: { ...process.queues, enqueue: () => Promise.reject(new Error('the connection broke')) },
    }
    expect((await runOnce(broken, eager)).failures).toEqual(['queues'])
    const settings = { ...eager, staleSeconds: 3600 }
    expect(await runOnce(process, settings)).toMatchObject({ enqueued: 1, failures: [] })
    expect((await house.look(id)).generation).toBe(2)
  })

  test('frees the run of a worker that died, and another finishes it', async () => {
    const process = open([stepper({ steps: 3 })])
    const id = await house.run(process.registry.get('test.stepper'))
    await runOnce(process)
    const { generation } = await house.look(id)
    const claimed = await claimRun(house.control, { runId: id, generation, holder: 'dead', leaseSeconds: 0 })
    expect(claimed?.state).toBe('running')
    const round = await runOnce(process)
    expect(round).toMatchObject({ freed: 1, enqueued: 1 })
    await work(process)
    await expect.poll(async () => (await house.look(id)).state).toBe('succeeded')
    expect(await effects(house.control)).toEqual(expectedEffects([id], 3))
    expect((await house.look(id)).fence).toBe(2n)
  })

  test('a run that loses worker after worker without progress fails; one that goes on does not', async () => {
    const kind = stepper({ steps: 9 })
    const process = open([kind])
    const [poison, still, sound] = [await house.run(kind), await house.run(kind), await house.run(kind)]
    for (let claim = 1; claim <= kind.maxAttempts + 2; claim += 1) {
      await runOnce(process)
      for (const runId of [poison, still, sound]) {
        const { generation } = await house.look(runId)
        const run = await claimRun(house.control, { runId, generation, holder: 'dies', leaseSeconds: 0 })
        if (runId === still && run !== null) await recordStep(house.control, run, { name: 'look' })
        if (runId === sound && run !== null)
          await recordStep(house.control, run, { name: 'work', counters: { done: claim } })
      }
    }
    await runOnce(process)
    expect(await house.look(poison)).toMatchObject({ state: 'failed', errorCode: 'E_RUN_LOST' })
    expect(await house.look(still)).toMatchObject({ state: 'failed', errorCode: 'E_RUN_LOST' })
    expect(await house.look(sound)).toMatchObject({ state: 'queued', attempt: 0 })
    const { body } = await process.context.metrics.expose()
    expect(body).toContain('lethe_runs_total{kind="test.stepper",outcome="failed"} 2')
  })

  test('wakes a waiting run whose time has come', async () => {
    const waits: JobKind = {
      ...stepper({ steps: 1 }),
      async step(_context, run) {
        if (run.waitingFor === null && run.fence === 1n)
          return { kind: 'wait', for: 'a-moment', until: new Date(0) }
        return Promise.resolve({ kind: 'done', outcome: 'woken' })
      },
    }
    const process = open([waits])
    const id = await house.run(waits)
    await runOnce(process)
    await work(process)
    await expect.poll(async () => (await house.look(id)).state).toBe('waiting')
    expect(await runOnce(process)).toMatchObject({ woken: 1, enqueued: 1 })
    await expect.poll(async () => (await house.look(id)).outcome).toBe('woken')
  })

  test('sends a probe through each queue, and the gauges say when a worker answered', async () => {
    const process = open([stepper({ steps: 1 }), stepper({ kind: 'test.other', queue: 'other', steps: 1 })])
    expect(await runOnce(process)).toMatchObject({ probed: 2 })
    expect(await process.queues.counts('other')).toMatchObject({ waiting: 1 })
    await work(process, 'test')
    await work(process, 'other')
    for (const queue of ['test', 'other'])
      await expect
        .poll(async () => {
          await runOnce(process)
          return (await process.context.metrics.expose()).body
        })
        .toMatch(new RegExp(`lethe_probe_last_seen_timestamp_seconds{queue="${queue}"} \\d`))
  })

  test('calls the heartbeat address after a complete round, and not while a part fails', async () => {
    let calls = 0
    const server = createServer((_request, response) => {
      calls += 1
      response.end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = address !== null && typeof address === 'object' ? address.port : 0
    const process = open([stepper({ steps: 1 })], `http://127.0.0.1:${port}/secret-token`)
    expect((await runOnce(process)).failures).toEqual([])
    expect(calls).toBe(1)
    const away = { ...process, queues: { ...process.queues, ping: () => Promise.reject(new Error('away')) } }
    expect((await runOnce(away)).failures).toEqual(['queues'])
    expect(calls).toBe(1)
    server.close()
    server.closeAllConnections()
    expect((await runOnce(process)).failures).toEqual(['heartbeat'])
    expect(house.logged.join('')).not.toContain('secret-token')
  })
})

describe('a worker that is asked to stop', () => {
  test('gives its run back without using an attempt, and the next worker goes on where it stopped', async () => {
    const reached = Promise.withResolvers<void>()
    const kind = stepper({
      steps: 4,
      before: async (step, signal) => {
        if (step !== 3 || signal.aborted) return
        reached.resolve()
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      },
    })
    const process = open([kind])
    const id = await house.run(kind)
    await runOnce(process)
    const role = house.role(await consume(process, 'test')(() => undefined))
    await reached.promise
    await role.stop()
    expect(await house.look(id)).toMatchObject({ state: 'queued', attempt: 0, leaseHolder: null })

    const next = open([stepper({ steps: 4 })])
    await house.control.execute(`UPDATE lethe_control.leases SET expires_at = '-infinity'`)
    expect(await runOnce(next)).toMatchObject({ leader: true, enqueued: 1 })
    await work(next)
    await expect.poll(async () => (await house.look(id)).state).toBe('succeeded')
    expect(await effects(house.control)).toEqual(expectedEffects([id], 4))
    expect((await house.look(id)).attempt).toBe(0)
  })
})

test('Redis holds ids and nothing else, after runs that succeeded, failed and still wait', async () => {
  const canary = 'canary-5d1e'
  const fails: JobKind = {
    ...stepper({ kind: 'test.fails', steps: 1 }),
    step: () => Promise.reject(new Error(`${canary} jane@example.org`)),
  }
  const process = open([
    stepper({ steps: 2 }),
    fails,
    stepper({ kind: 'test.idle', queue: 'idle', steps: 1 }),
  ])
  const done = await house.run(process.registry.get('test.stepper'), { note: canary })
  const failing = await house.run(fails, { note: canary })
  await house.run(process.registry.get('test.idle'), { note: canary })
  await runOnce(process)
  await work(process)
  await expect.poll(async () => (await house.look(done)).state).toBe('succeeded')
  await expect.poll(async () => (await house.look(failing)).attempt).toBe(1)
  const admin = new Redis(redis.url)
  const dump = await dumpRedis(admin)
  admin.disconnect()
  expect(dump).toContain('{test}:idle')
  expect(dump).not.toContain(canary)
  expect(dump).not.toContain('example.org')
  expect(house.logged.join('')).not.toContain(canary)
  const payloads = [...dump.matchAll(/"data":("(?:[^"\\]|\\.)*")/g)].map(([, text = '""']): unknown =>
    JSON.parse(z.string().parse(JSON.parse(text))),
  )
  expect(payloads.length).toBeGreaterThan(0)
  for (const payload of payloads) z.strictObject({ runId: z.uuid(), generation: z.number() }).parse(payload)
})

async function counts(process: Process): Promise<Round> {
  return runOnce(process, eager)
}

function sum(rounds: readonly Round[], field: 'created' | 'enqueued'): number {
  return rounds.reduce((total, round) => total + round[field], 0)
}
