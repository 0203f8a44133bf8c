/**
 * A sweep through the real queue, by worker processes as an operator starts them, while its servers, its clock or the
 * process itself fail. What is left at the end is what an undisturbed sweep leaves.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { z } from 'zod'
import { raiseFence } from '../../lib/data/rows/index.ts'
import { claimRun } from '../../lib/record/ledger/index.ts'
import { migrate } from '../../lib/base/db/index.ts'
import { openQueues, type Queues } from '../../lib/base/queue/index.ts'
import { registry } from '../../jobs/registry.ts'
import { runJob } from '../../jobs/runner.ts'
import { openContext } from '../../workers/context.ts'
import { runOnce } from '../../workers/dispatcher.ts'
import type { Process } from '../../workers/process.ts'
import {
  findProgram,
  startPostgres,
  startProxy,
  startRedis,
  type PostgresServer,
  type RedisServer,
} from '../support/servers/servers.ts'
import { openSweepStage, type Outcome, type SweepStage } from '../support/stages/sweep-stage.ts'

/** One or two subjects a batch, one in pieces, one kept, and two who must stay. */
const people = [
  { id: 1, notes: 60 },
  { id: 2, notes: 60 },
  { id: 3, notes: 60, kept: true },
  { id: 4, notes: 60 },
  { id: 5, notes: 60 },
  { id: 6, notes: 250 },
  { id: 7, notes: 60 },
  { id: 8, notes: 60 },
  { id: 9, notes: 5, due: false },
  { id: 10, notes: 5, young: true },
]
/** Looks for lost jobs at once, so that the tests need not wait a minute. */
const eager = { heartbeat: '*/15 * * * * *', staleSeconds: 0 }
const cli = new URL('../../workers/cli.ts', import.meta.url).pathname

let postgres: PostgresServer
let redis: RedisServer
let stage: SweepStage
let queues: Queues
let dispatcher: Process
/** As an undisturbed sweep of the saved state ends. */
let whole: Outcome
const children: { child: ChildProcess; gone: Promise<unknown> }[] = []

beforeAll(async () => {
  ;[postgres, redis] = await Promise.all([startPostgres({ own: true }), startRedis({ own: true })])
  const [control, app] = [await postgres.createDatabase(), await postgres.createDatabase()]
  stage = await openSweepStage(
    { control, app },
    // slow enough that a fault meets it at work
    { people, redisUrl: redis.url, throttle: { rows_per_second: 400 }, operations: { lease_seconds: 5 } },
  )
  const queueSettings = { url: redis.url, prefix: '{lethe}', timeouts: { socketMs: 6000, commandMs: 500 } }
  queues = openQueues(queueSettings, registry.queues())
  dispatcher = { context: stage.context, registry, queues, queueSettings, heartbeatUrl: null }
  await stage.begin()
  await stage.save('begun')
  await stage.finish()
  await stage.approve()
  await stage.save()
  await stage.finish()
  whole = await stage.outcome()
}, 60_000)

afterAll(async () => {
  await queues.close()
  await stage.close()
  await Promise.all([postgres.stop(), redis.stop()])
})

beforeEach(async () => {
  await stage.reset()
  await flush()
})

afterEach(async () => {
  for (const { child, gone } of children.splice(0)) {
    child.kill('SIGCONT')
    child.kill('SIGKILL')
    await gone
  }
})

function startWorker(
  env: Readonly<Record<string, string>> = {},
  roles: readonly string[] = ['retention'],
  wrapper: readonly string[] = [],
): { child: ChildProcess; output: () => string } {
  const [command = process.execPath, ...args] = [...wrapper, process.execPath, cli, 'work', ...roles]
  const child = spawn(command, args, {
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      ...stage.env,
      LETHE_LOG_LEVEL: 'info',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  children.push({ child, gone: new Promise((resolve) => child.once('exit', resolve)) })
  return { child, output: () => output }
}

async function flush(): Promise<void> {
  const admin = new Redis(redis.url)
  await admin.flushall()
  admin.disconnect()
}

/** Rounds of the dispatcher until `reached`; a round that a server's absence ends is one that the next makes good. */
async function rounds(reached: () => Promise<boolean>, timeout = 40_000): Promise<void> {
  await expect
    .poll(
      async () => {
        await runOnce(dispatcher, eager).catch(() => undefined)
        return reached().catch(() => false)
      },
      { timeout, interval: 50 },
    )
    .toBe(true)
}

async function batches(): Promise<number> {
  const rows = await stage.app.query(
    z.object({ n: z.coerce.number() }),
    'SELECT count(*) AS n FROM lethe.batches',
  )
  return rows[0]?.n ?? 0
}

async function runState(): Promise<string> {
  const rows = await stage.control.query(
    z.object({ state: z.string() }),
    'SELECT state FROM lethe_control.runs',
  )
  return rows.map((row) => row.state).join(' ')
}

const atWork = async () => (await batches()) >= 2
const ended = async () => (await runState()) === 'succeeded'

it.each([
  ['Redis is emptied', flush],
  ['Redis is restarted empty', () => redis.restart()],
  ['PostgreSQL crashes and comes back', () => postgres.restart('immediate')],
])(
  '%s during a sweep: it ends as if nothing had happened.',
  async (_what, fault) => {
    startWorker()
    await rounds(atWork)
    expect(await ended()).toBe(false)
    await fault()
    await rounds(ended)
    expect(await stage.outcome()).toEqual(whole)
  },
  90_000,
)

it('Two dispatchers that both believe they lead enqueue a sweep whose every row goes once.', async () => {
  const second = await openContext('second', stage.env)
  try {
    const pair = [dispatcher, { ...dispatcher, context: second.context }]
    startWorker()
    startWorker()
    await expect
      .poll(
        async () => {
          await Promise.all(
            pair.map(async (each) => {
              await stage.control.execute('DELETE FROM lethe_control.leases')
              await runOnce(each, eager)
            }),
          )
          return ended()
        },
        { timeout: 40_000, interval: 20 },
      )
      .toBe(true)
    expect(await stage.outcome()).toEqual(whole)
  } finally {
    await second.close()
  }
}, 60_000)

it.each(['has written anything', 'has finished'])(
  'A worker stopped past its lease and continued when another holds its run, before or after that one %s, is refused by its fence.',
  async (moment) => {
    let stopAtNext = false
    const stopped = Promise.withResolvers<void>()
    const proxy = await startProxy(postgres.host, postgres.port, {
      protocol: 'postgres',
      counter: {
        count: 0,
        onMessage(_n, message) {
          // a batch begins and holds nothing yet: the next thing that the worker asks for is its fence
          if (stopAtNext && message.includes('BEGIN ISOLATION LEVEL read committed\0')) {
            stopAtNext = false
            slow.child.kill('SIGSTOP')
            stopped.resolve()
          }
          return true
        },
      },
    })
    const slow = startWorker({ APP_URL: proxy.rewrite(stage.env['APP_URL'] ?? '') })
    await rounds(atWork)
    stopAtNext = true
    await stopped.promise
    await stage.expire()
    if (moment === 'has finished') await stage.finish()
    else await takeOver()
    const record = async () => ({ batches: await batches(), outcome: await stage.outcome() })
    const before = await record()
    slow.child.kill('SIGCONT')
    await expect
      .poll(slow.output, { timeout: 20_000 })
      .toContain('run was taken over; this worker wrote nothing more')
    expect(await record()).toEqual(before)
    await stage.expire()
    await stage.finish()
    expect(await stage.outcome()).toEqual(whole)
    await proxy.close()
  },
  90_000,
)

/** Another worker claims the run and raises the fence in the target, and that is all it has done so far. */
async function takeOver(): Promise<void> {
  const [job] = await stage.due()
  if (job === undefined) throw new Error('nothing is due')
  const run = await claimRun(stage.control, { ...job, holder: 'another', leaseSeconds: 60 })
  if (run === null) throw new Error('the run is not to be had')
  await raiseFence(stage.app, run.id, run.fence)
}

it('A whole installation whose own clock is ten years ahead removes what the databases call due, and nothing else.', async () => {
  await stage.reset('begun')
  const faketime = await findProgram('faketime', 'faketime')
  const far = startWorker({}, ['all'], [faketime, '-f', '+10y'])
  await expect.poll(runState, { timeout: 40_000 }).toBe('waiting')
  await stage.approve()
  await expect.poll(runState, { timeout: 40_000 }).toBe('succeeded')
  const { content, counters, live, kept, population } = await stage.outcome()
  expect(far.output()).toContain(String(new Date().getUTCFullYear() + 10))
  expect({ content, counters, live, kept, population }).toEqual({
    content: whole.content,
    counters: whole.counters,
    live: whole.live,
    kept: whole.kept,
    population: 0,
  })
}, 100_000)

it('A database whose clock is two minutes off is refused, and nothing is looked for in it.', async () => {
  const faketime = await findProgram('faketime', 'faketime')
  const ahead = await startPostgres({ own: true, wrapper: [faketime, '-f', '+2m'] })
  const app = await ahead.createDatabase()
  try {
    await stage.reset('begun')
    const skewed = await openContext('skewed', { ...stage.env, APP_URL: app.url })
    await migrate(app.url, 'target')
    const [job] = await stage.due()
    if (job === undefined) throw new Error('nothing is due')
    await runJob(skewed.context, registry, job, new AbortController().signal)
    await skewed.close()
    const rows = await stage.control.query(
      z.looseObject({}),
      'SELECT state, error_code FROM lethe_control.runs WHERE id = $1',
      [job.runId],
    )
    expect(rows).toEqual([{ state: 'queued', error_code: 'E_CLOCK_SKEW' }])
  } finally {
    await ahead.stop()
  }
}, 60_000)
