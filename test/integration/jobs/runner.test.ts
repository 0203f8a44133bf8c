import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { getRun, recordStep, requestRun, type Run } from '../../../lib/record/ledger/index.ts'
import { runStory } from '../../../jobs/run-story.ts'
import type { JobKind, StepResult } from '../../../jobs/kind.ts'
import { runJob, type RunEnd } from '../../../jobs/runner.ts'
import type { Process } from '../../../workers/process.ts'
import { openHouse, type House } from '../../support/servers/processes.ts'
import {
  startPostgres,
  startRedis,
  type PostgresServer,
  type RedisServer,
} from '../../support/servers/servers.ts'

let server: PostgresServer
let redis: RedisServer
let house: House

beforeAll(async () => {
  ;[server, redis] = await Promise.all([startPostgres(), startRedis()])
})
afterAll(async () => {
  await redis.stop()
  await server.stop()
})
beforeEach(async () => {
  house = await openHouse(await server.createDatabase())
})
afterEach(() => house.close())

type Step = JobKind['step']
const cursor = z.object({ done: z.number().default(0) })

/** Records a step, then ends as `results` says; the last entry repeats. */
function steps(...results: (StepResult | Error)[]): Step {
  return async (context, run) => {
    const done = cursor.parse(run.cursor).done
    const result = results[Math.min(done, results.length - 1)] ?? { kind: 'more' }
    if (result instanceof Error) throw result
    await recordStep(context.control, run, { name: `step ${done + 1}`, cursor: { done: done + 1 } })
    return result
  }
}

function kind(step: Step, windUp?: Step): JobKind {
  return {
    kind: 'test.work',
    queue: 'test',
    payload: z.strictObject({ policy: z.string().optional() }),
    maxAttempts: 2,
    scope: () => 'one',
    step,
    ...(windUp === undefined ? {} : { windUp }),
  }
}

const more: StepResult = { kind: 'more' }
const done: StepResult = { kind: 'done', outcome: 'worked' }

interface Work {
  id: string
  process: Process
  /** Runs the job as a worker with that queue entry would. */
  go(signal?: AbortSignal): Promise<RunEnd>
  run(): Promise<Run>
  types(): Promise<string[]>
}

async function work(made: JobKind, payload: Record<string, unknown> = {}): Promise<Work> {
  const process = house.process([made], { redisUrl: redis.url })
  const id = await house.run(made, payload)
  const run = () => getRun(house.control, id)
  return {
    id,
    process,
    go: async (signal = new AbortController().signal) =>
      runJob(process.context, process.registry, { runId: id, generation: (await run()).generation }, signal),
    run,
    types: async () => (await runStory(house.control, id)).events.map((event) => event.type),
  }
}

const sql = (text: string, id: string) => house.control.execute(text, [id])

describe('a job', () => {
  test('does its steps and ends with its outcome', async () => {
    const job = await work(kind(steps(more, more, done)))
    expect(await job.go()).toBe('succeeded')
    expect(await job.run()).toMatchObject({ outcome: 'worked', cursor: { done: 3 }, leaseHolder: null })
    expect(await job.go()).toBe('idle')
  })

  test('may refuse itself, and may pause itself', async () => {
    const refused = await work(kind(steps({ kind: 'done', outcome: 'over-limit', state: 'refused' })))
    expect(await refused.go()).toBe('refused')
    const paused = await work(kind(steps({ kind: 'paused' })))
    expect(await paused.go()).toBe('paused')
  })

  test('that waits holds no lease', async () => {
    const job = await work(kind(steps({ kind: 'wait', for: 'approval', until: null }, done)))
    expect(await job.go()).toBe('waiting')
    expect(await job.run()).toMatchObject({ waitingFor: 'approval', leaseHolder: null, nextAttemptAt: null })
  })

  test('that has had its slot long enough gives it back without an attempt, and goes on from its cursor', async () => {
    const job = await work(kind(steps(more, done)))
    Object.assign(job.process.context.config.file.operations, { give_back_seconds: 0 })
    expect(await job.go()).toBe('queued')
    expect(await job.run()).toMatchObject({ attempt: 0, cursor: { done: 1 } })
    expect(await job.types()).toContain('run.given-back')
    expect(await job.go()).toBe('succeeded')
  })

  test('of an unknown kind, or with a payload that does not fit, fails with its code', async () => {
    const unknown = await work(kind(steps(done)))
    await sql(`UPDATE lethe_control.runs SET kind = 'test.gone' WHERE id = $1`, unknown.id)
    expect(await unknown.go()).toBe('failed')
    expect(await unknown.run()).toMatchObject({ errorCode: 'E_NOT_FOUND' })
    const payload = await work(kind(steps(done)), { email: 'canary@example.org' })
    expect(await payload.go()).toBe('failed')
    const run = await payload.run()
    expect(run.errorCode).toBe('E_PAYLOAD')
    expect(run.errorMessage).not.toContain('canary')
  })
})

describe('a step that fails', () => {
  test('uses an attempt and leaves the run to the next one', async () => {
    const job = await work(
      kind(steps(more, new LetheError('E_DATABASE_UNAVAILABLE', { message: 'Database clinic: away.' }))),
    )
    expect(await job.go()).toBe('queued')
    expect(await job.run()).toMatchObject({ attempt: 1, errorCode: 'E_DATABASE_UNAVAILABLE' })
    expect(await job.go()).toBe('idle')
    await sql(`UPDATE lethe_control.runs SET next_attempt_at = now() WHERE id = $1`, job.id)
    expect(await job.go()).toBe('failed')
  })

  test('with an error that is not ours leaves neither log line nor message with its words', async () => {
    const job = await work(kind(steps(new Error('row canary@example.org'))))
    await job.go()
    const story = JSON.stringify(await runStory(house.control, job.id), (_key, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    )
    expect(house.logged.join('')).toContain('step failed')
    expect(house.logged.join('') + story).not.toContain('canary')
  })
})

describe('a stop', () => {
  test('between two steps gives the run back and uses no attempt', async () => {
    const stop = new AbortController()
    const job = await work(
      kind(async (context, run, signal) => {
        stop.abort()
        return steps(more)(context, run, signal)
      }),
    )
    expect(await job.go(stop.signal)).toBe('queued')
    expect(await job.run()).toMatchObject({ attempt: 0, cursor: { done: 1 }, leaseHolder: null })
  })

  test('inside a step that heeds its signal does the same', async () => {
    const stop = new AbortController()
    const job = await work(
      kind(async (_context, _run, signal) => {
        stop.abort()
        signal.throwIfAborted()
        return more
      }),
    )
    expect(await job.go(stop.signal)).toBe('queued')
    expect(await job.run()).toMatchObject({ attempt: 0, errorCode: null })
  })
})

describe('a request', () => {
  const asking = (request: 'pause' | 'cancel', ...results: StepResult[]): Step => {
    const inner = steps(...results)
    return async (context, run, signal) => {
      if (cursor.parse(run.cursor).done === 0) await requestRun(house.control, run.id, request, 'anna')
      return inner(context, run, signal)
    }
  }

  test('to pause takes effect after the step in hand', async () => {
    const job = await work(kind(asking('pause', more, more, done)))
    expect(await job.go()).toBe('paused')
    expect(await job.run()).toMatchObject({ cursor: { done: 1 }, request: null })
    await requestRun(house.control, job.id, 'resume', 'anna')
    expect(await job.go()).toBe('succeeded')
  })

  test('waits until a subject that is half done is finished', async () => {
    const half: StepResult = { kind: 'more', indivisible: true }
    const job = await work(kind(asking('pause', half, half, more, done)))
    expect(await job.go()).toBe('paused')
    expect((await job.run()).cursor).toEqual({ done: 3 })
  })

  test('to cancel winds the run up before it ends', async () => {
    const wound: number[] = []
    const job = await work(
      kind(asking('cancel', more, more), async () => {
        wound.push(1)
        return wound.length < 3 ? more : { kind: 'done', outcome: 'wound-up' }
      }),
    )
    expect(await job.go()).toBe('cancelled')
    expect(wound).toHaveLength(3)
    expect(await job.run()).toMatchObject({ cursor: { done: 1 }, outcome: 'wound-up', request: null })
  })

  test('to cancel a waiting run winds it up at its next claim', async () => {
    const job = await work(kind(steps({ kind: 'wait', for: 'approval', until: null })))
    await job.go()
    await requestRun(house.control, job.id, 'cancel', 'anna')
    expect(await job.go()).toBe('cancelled')
    expect((await job.run()).cursor).toEqual({ done: 1 })
  })
})

describe('a worker that lost its lease', () => {
  test('writes nothing more and leaves the run to the one that has it', async () => {
    let late: RunEnd | null = null
    const made = kind(async (context, run, signal) => {
      if (run.fence === 1n) {
        // Its lease ends while it sleeps here; another worker claims the run and finishes it.
        await sql(`UPDATE lethe_control.runs SET lease_expires_at = now() WHERE id = $1`, run.id)
        const second = house.process([made], { redisUrl: redis.url })
        late = await runJob(
          second.context,
          second.registry,
          { runId: run.id, generation: run.generation },
          new AbortController().signal,
        )
      }
      return steps(done)(context, run, signal)
    })
    const job = await work(made)
    expect(await job.go()).toBe('fenced')
    expect(late).toBe('succeeded')
    const story = await runStory(house.control, job.id)
    // the lost claim cost an attempt, and the step of the other gave it back
    expect(story.run).toMatchObject({ state: 'succeeded', fence: 2n, attempt: 0 })
    expect(story.steps.map((step) => step.fence)).toEqual([2n])
    expect(house.logged.join('')).toContain('taken over')
  })

  test('has its signal aborted by the first renewal that fails', async () => {
    const job = await work(
      kind(async (_context, run, signal) => {
        await sql(`UPDATE lethe_control.runs SET fence = fence + 1 WHERE id = $1`, run.id)
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        signal.throwIfAborted()
        return more
      }),
    )
    Object.assign(job.process.context.config.file.operations, { lease_seconds: 0.3 })
    expect(await job.go()).toBe('fenced')
  })

  test('keeps the lease of a long step by renewing it', async () => {
    const renewed = z.object({ later: z.boolean() })
    const job = await work(
      kind(async (context, run, signal) => {
        for (;;) {
          const [row] = await house.control.query(
            renewed,
            `SELECT lease_expires_at > $2 AS later FROM lethe_control.runs WHERE id = $1`,
            [run.id, run.leaseExpiresAt],
          )
          if (row?.later === true) return steps(done)(context, run, signal)
        }
      }),
    )
    Object.assign(job.process.context.config.file.operations, { lease_seconds: 0.3 })
    expect(await job.go()).toBe('succeeded')
  })
})
