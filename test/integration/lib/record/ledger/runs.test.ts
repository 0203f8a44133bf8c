import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { newId } from '../../../../../lib/base/clock/index.ts'
import type { Database } from '../../../../../lib/base/db/index.ts'
import { LetheError, type ErrorCode } from '../../../../../lib/base/errors/index.ts'
import {
  claimRun,
  createRun,
  enqueuedBefore,
  failAttempt,
  finishRun,
  forgetEnqueue,
  freeExpiredLeases,
  getRun,
  giveBackRun,
  listRuns,
  pauseRun,
  recordStep,
  renewLease,
  requestRun,
  takeForEnqueue,
  waitRun,
  wakeDueRuns,
  wakeRun,
  type Run,
} from '../../../../../lib/record/ledger/index.ts'
import { runStory } from '../../../../../jobs/run-story.ts'
import { openControl, type OpenedDatabase } from '../../../../support/stages/lethe-databases.ts'
import { startPostgres, type PostgresServer } from '../../../../support/servers/servers.ts'

let server: PostgresServer
let opened: OpenedDatabase
let control: Database

beforeAll(async () => {
  server = await startPostgres()
  opened = await openControl(server)
  control = opened.db
})
afterAll(async () => {
  await opened.close()
  await server.stop()
})

async function queued(options: { scope?: string; maxAttempts?: number } = {}): Promise<Run> {
  const run = await createRun(control, {
    kind: 'test.work',
    queue: 'test',
    scope: options.scope ?? newId(),
    payload: { policy: 'p' },
    maxAttempts: options.maxAttempts ?? 3,
    createdBy: 'tester',
  })
  if ('existing' in run) throw new Error('the scope is taken')
  return run
}

async function claim(run: Run, holder = 'w1', generation = run.generation): Promise<Run | null> {
  return claimRun(control, { runId: run.id, generation, holder, leaseSeconds: 60 })
}

async function claimed(options: { maxAttempts?: number } = {}): Promise<Run> {
  const run = await claim(await queued(options))
  if (run === null) throw new Error('not claimed')
  return run
}

async function expireLease(run: Run): Promise<void> {
  await control.execute(
    `UPDATE lethe_control.runs SET lease_expires_at = now() - interval '1 second' WHERE id = $1`,
    [run.id],
  )
}

async function makeDue(run: Run): Promise<void> {
  await control.execute(`UPDATE lethe_control.runs SET next_attempt_at = now() WHERE id = $1`, [run.id])
}

const secondsRow = z.object({ seconds: z.number() })
const code = (expected: ErrorCode) => expect.objectContaining({ code: expected })
const eventTypes = async (id: string) => (await runStory(control, id)).events.map((event) => event.type)

describe('creating', () => {
  test('gives one active run a kind and scope, however many create at once', async () => {
    const scope = newId()
    const made = await Promise.all(
      Array.from({ length: 6 }, () =>
        createRun(control, {
          kind: 'test.one',
          queue: 'test',
          scope,
          payload: {},
          maxAttempts: 1,
          createdBy: 'tester',
        }),
      ),
    )
    const created = made.filter((run) => !('existing' in run))
    expect(created).toHaveLength(1)
    expect(new Set(made.map((run) => ('existing' in run ? run.existing.id : run.id))).size).toBe(1)
  })

  test('makes a new run once the last one ended', async () => {
    const scope = newId()
    const first = await claim(await queued({ scope }))
    if (first === null) throw new Error('not claimed')
    await finishRun(control, first, 'succeeded', { outcome: 'done' })
    expect((await queued({ scope })).id).not.toBe(first.id)
    expect(await listRuns(control, { scope })).toHaveLength(2)
  })
})

describe('claiming', () => {
  test('gives a run to one of many claimants and raises the fence', async () => {
    const run = await queued()
    const claims = await Promise.all(Array.from({ length: 6 }, (_, index) => claim(run, `w${index}`)))
    const won = claims.filter((entry) => entry !== null)
    expect(won).toHaveLength(1)
    expect(won[0]).toMatchObject({ state: 'running', fence: 1n, attempt: 0 })
  })

  test('gives nothing to a job of an older generation', async () => {
    const run = await queued()
    expect((await takeForEnqueue(control)).map((entry) => entry.runId)).toContain(run.id)
    expect(await claim(run, 'w1', 0)).toBeNull()
    expect(await claim(run, 'w1', 1)).toMatchObject({ state: 'running', generation: 1 })
  })

  test('gives nothing before the next attempt is due', async () => {
    const run = await queued()
    await control.execute(
      `UPDATE lethe_control.runs SET next_attempt_at = now() + interval '1 hour' WHERE id = $1`,
      [run.id],
    )
    expect(await claim(run)).toBeNull()
  })

  test('takes over a run whose lease ended, uses an attempt, and shuts the old holder out', async () => {
    const old = await claimed()
    expect(await claim(old, 'w2')).toBeNull()
    await expireLease(old)
    const taken = await claim(old, 'w2')
    expect(taken).toMatchObject({ fence: 2n, attempt: 1, leaseHolder: 'w2' })
    expect(await renewLease(control, old.id, old.fence, 60)).toBe(false)
    await expect(recordStep(control, old, { name: 'late' })).rejects.toEqual(code('E_FENCED'))
    await expect(finishRun(control, old, 'succeeded', { outcome: 'late' })).rejects.toEqual(code('E_FENCED'))
    await expect(waitRun(control, old, { for: 'late' })).rejects.toEqual(code('E_FENCED'))
    await expect(pauseRun(control, old)).rejects.toEqual(code('E_FENCED'))
    await expect(giveBackRun(control, old, 'late')).rejects.toEqual(code('E_FENCED'))
    await expect(failAttempt(control, old, new Error('late'))).rejects.toEqual(code('E_FENCED'))
    expect((await runStory(control, old.id)).steps).toEqual([])
    expect(await getRun(control, old.id)).toMatchObject({ state: 'running', fence: 2n, leaseHolder: 'w2' })
  })

  test('a holder renews a lease that ended while nobody took the run over', async () => {
    const run = await claimed()
    await expireLease(run)
    expect(await renewLease(control, run.id, run.fence, 60)).toBe(true)
    expect(await freeExpiredLeases(control)).toBe(0)
  })

  test('a run whose worker was lost is queued again, and failed at its last attempt', async () => {
    const run = await claimed({ maxAttempts: 2 })
    await expireLease(run)
    expect(await freeExpiredLeases(control)).toBe(1)
    expect(await getRun(control, run.id)).toMatchObject({ state: 'queued', attempt: 1, leaseHolder: null })
    const again = await claim(run)
    await expireLease(run)
    expect(await claim(run, 'w2')).toBeNull()
    expect(await freeExpiredLeases(control)).toBe(1)
    expect(again?.fence).toBe(2n)
    expect(await getRun(control, run.id)).toMatchObject({ state: 'failed', outcome: 'worker-lost' })
  })
})

describe('a step', () => {
  // D5 of issue 10: a cascade with 49 finished steps was given up as lost
  test('that made progress gives the attempts back: only failures in a row end a run', async () => {
    const run = await queued({ maxAttempts: 2 })
    for (let rows = 1; rows < 6; rows += 1) {
      await makeDue(run)
      const held = await claim(run)
      if (held === null) throw new Error('not claimed')
      expect(held.attempt).toBe(rows === 1 ? 0 : 1)
      expect((await recordStep(control, held, { name: 'work', counters: { rows } })).attempt).toBe(0)
      const left = await failAttempt(control, held, new Error('once more'))
      expect(left).toMatchObject({ state: 'queued', attempt: 1 })
    }
  })

  test.each([
    ['with the same counters and cursor', { counters: { rows: 1 }, cursor: { after: '1' } }],
    ['that says it brought nothing', { counters: { waited: 2 }, progress: false }],
  ])('%s gives no attempt back', async (_, step) => {
    const run = await claimed({ maxAttempts: 2 })
    await recordStep(control, run, { name: 'work', counters: { rows: 1 }, cursor: { after: '1' } })
    await failAttempt(control, run, new Error('first'))
    await makeDue(run)
    const held = await claim(run)
    if (held === null) throw new Error('not claimed')
    await recordStep(control, held, { name: 'look', ...step })
    expect(await failAttempt(control, held, new Error('second'))).toMatchObject({ state: 'failed' })
  })

  test('commits its note, counters, cursor and events together, numbered without gaps', async () => {
    const run = await claimed()
    await recordStep(control, run, { name: 'one', counters: { rows: 5 }, cursor: { after: '5' } })
    const after = await recordStep(control, run, {
      name: 'two',
      note: 'Second half.',
      counters: { rows: 9, kept: 1 },
      events: [{ type: 'report.written', data: {} }],
    })
    expect(after).toMatchObject({ counters: { rows: 9, kept: 1 }, cursor: { after: '5' }, request: null })
    const story = await runStory(control, run.id)
    expect(story.steps.map((step) => [step.number, step.name, step.note])).toEqual([
      [1, 'one', null],
      [2, 'two', 'Second half.'],
    ])
    expect(story.events.map((event) => event.type)).toEqual(['run.created', 'run.claimed', 'report.written'])
    expect(story.events[1]?.data).toEqual({ holder: 'w1', generation: 0, fence: '1', attempt: 0 })
  })

  test('leaves nothing when what joins its transaction fails', async () => {
    const run = await claimed()
    await expect(
      recordStep(control, run, { name: 'half', counters: { rows: 1 } }, async () => {
        throw new Error('no')
      }),
    ).rejects.toThrow('no')
    expect((await runStory(control, run.id)).steps).toEqual([])
    expect((await getRun(control, run.id)).counters).toEqual({})
  })

  test('hands back what was asked of the run meanwhile', async () => {
    const run = await claimed()
    await requestRun(control, run.id, 'pause', 'anna')
    expect((await recordStep(control, run, { name: 'one' })).request).toBe('pause')
  })

  test('refuses an event whose data is not the type’s shape', async () => {
    const run = await claimed()
    await expect(
      recordStep(control, run, {
        name: 'one',
        events: [{ type: 'run.woken', data: JSON.parse('{"email":"a@example.org"}') }],
      }),
    ).rejects.toThrow('email')
  })
})

describe('a failure', () => {
  test('uses an attempt and backs off longer each time, with jitter', async () => {
    const waits: number[] = []
    let run = await claimed({ maxAttempts: 5 })
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const left = await failAttempt(
        control,
        run,
        new LetheError('E_DATABASE_UNAVAILABLE', { message: 'away' }),
      )
      expect(left).toMatchObject({
        state: 'queued',
        attempt: attempt + 1,
        errorCode: 'E_DATABASE_UNAVAILABLE',
      })
      const [wait] = await control.query(
        secondsRow,
        `SELECT extract(epoch FROM next_attempt_at - now())::float8 AS seconds FROM lethe_control.runs WHERE id = $1`,
        [run.id],
      )
      waits.push(wait?.seconds ?? 0)
      await makeDue(run)
      run = (await claim(run)) ?? run
    }
    waits.forEach((seconds, attempt) => {
      const base = 5 * 2 ** attempt
      expect(seconds).toBeGreaterThan(base * 0.5 - 2)
      expect(seconds).toBeLessThanOrEqual(base * 1.5)
    })
  })

  test('at the last attempt fails the run', async () => {
    const run = await claimed({ maxAttempts: 1 })
    expect(await failAttempt(control, run, new TypeError('value 4711'))).toMatchObject({
      state: 'failed',
      attempt: 1,
      errorCode: 'E_INTERNAL',
    })
    expect((await getRun(control, run.id)).errorMessage).not.toContain('4711')
  })

  test('that can’t pass fails the run at once', async () => {
    const left = await failAttempt(
      control,
      await claimed(),
      new LetheError('E_SCHEMA_OLD', { message: 'old' }),
    )
    expect(left.state).toBe('failed')
  })

  test('that is a refusal refuses the run', async () => {
    const left = await failAttempt(
      control,
      await claimed(),
      new LetheError('E_BLOCKED_BY_REFERENCE', { message: 'blocked' }),
    )
    expect(left).toMatchObject({ state: 'refused', errorCode: 'E_BLOCKED_BY_REFERENCE' })
  })
})

describe('giving back and waiting', () => {
  test('a run given back is due at once and has used no attempt', async () => {
    const run = await claimed()
    expect(await giveBackRun(control, run, 'slot-time')).toMatchObject({ state: 'queued', attempt: 0 })
    expect(await claim(run, 'w2')).toMatchObject({ fence: 2n, attempt: 0 })
  })

  test('a run that waits for a person is not due until it is woken', async () => {
    const run = await claimed()
    expect(await waitRun(control, run, { for: 'approval' })).toMatchObject({
      state: 'waiting',
      waitingFor: 'approval',
      nextAttemptAt: null,
    })
    await wakeDueRuns(control)
    expect((await getRun(control, run.id)).state).toBe('waiting')
    expect(await wakeRun(control, run.id)).toBe(true)
    expect(await wakeRun(control, run.id)).toBe(false)
    expect(await claim(run)).toMatchObject({ state: 'running', waitingFor: null })
  })

  test('a run that waits for an instant is woken when the database’s clock reaches it', async () => {
    const run = await claimed()
    await waitRun(control, run, { for: 'window', until: new Date('2020-01-01T00:00:00Z') })
    expect(await wakeDueRuns(control)).toBe(1)
    expect((await getRun(control, run.id)).state).toBe('queued')
  })
})

describe('what people ask', () => {
  test('pauses a queued run at once and lets it go on', async () => {
    const run = await queued()
    expect((await requestRun(control, run.id, 'pause', 'anna')).state).toBe('paused')
    expect((await requestRun(control, run.id, 'pause', 'anna')).state).toBe('paused')
    expect(await claim(run)).toBeNull()
    expect(await wakeRun(control, run.id)).toBe(false)
    expect((await requestRun(control, run.id, 'resume', 'anna')).state).toBe('queued')
    expect(await claim(run)).toMatchObject({ state: 'running' })
  })

  test('reaches a running one as a request that can be taken back', async () => {
    const run = await claimed()
    expect(await requestRun(control, run.id, 'pause', 'anna')).toMatchObject({
      state: 'running',
      request: 'pause',
    })
    expect((await requestRun(control, run.id, 'resume', 'anna')).request).toBeNull()
    await requestRun(control, run.id, 'cancel', 'anna')
    await expect(requestRun(control, run.id, 'resume', 'anna')).rejects.toEqual(code('E_ILLEGAL_TRANSITION'))
  })

  test('cancels a run that never started', async () => {
    const run = await queued()
    expect((await requestRun(control, run.id, 'cancel', 'anna')).state).toBe('cancelled')
    expect((await requestRun(control, run.id, 'cancel', 'anna')).state).toBe('cancelled')
    expect(await eventTypes(run.id)).toEqual(['run.created', 'run.cancel-requested', 'run.cancelled'])
  })

  test('sends a paused or waiting run that had started back once more, to wind up', async () => {
    for (const stop of [
      (run: Run) => pauseRun(control, run),
      (run: Run) => waitRun(control, run, { for: 'approval' }),
    ]) {
      const run = await claimed()
      await stop(run)
      expect(await requestRun(control, run.id, 'cancel', 'anna')).toMatchObject({
        state: 'queued',
        request: 'cancel',
      })
      expect(await claim(run)).toMatchObject({ request: 'cancel' })
    }
  })

  test('is refused for a run that has ended, with the run’s state', async () => {
    const run = await claimed()
    await finishRun(control, run, 'succeeded', { outcome: 'done' })
    for (const request of ['pause', 'resume', 'cancel'] as const)
      await expect(requestRun(control, run.id, request, 'anna')).rejects.toThrow('is succeeded')
    await expect(requestRun(control, newId(), 'pause', 'anna')).rejects.toEqual(code('E_NOT_FOUND'))
    await expect(requestRun(control, 'no-uuid', 'pause', 'anna')).rejects.toEqual(code('E_NOT_FOUND'))
  })
})

describe('enqueueing', () => {
  test('takes each due run once, however many dispatchers ask, with a new generation', async () => {
    await takeForEnqueue(control)
    const runs = await Promise.all(Array.from({ length: 20 }, () => queued()))
    const taken = (
      await Promise.all([takeForEnqueue(control), takeForEnqueue(control), takeForEnqueue(control)])
    ).flat()
    const ours = taken.filter((entry) => runs.some((run) => run.id === entry.runId))
    expect(ours).toHaveLength(20)
    expect(new Set(ours.map((entry) => entry.generation))).toEqual(new Set([1]))
    expect(await takeForEnqueue(control)).toEqual([])
  })

  test('takes a lost one again with the next generation', async () => {
    const run = await queued()
    await takeForEnqueue(control)
    expect((await enqueuedBefore(control, 0)).map((entry) => entry.runId)).toContain(run.id)
    await forgetEnqueue(control, run.id, 0)
    expect(await takeForEnqueue(control)).toEqual([])
    await forgetEnqueue(control, run.id, 1)
    expect(await takeForEnqueue(control)).toEqual([{ runId: run.id, queue: 'test', generation: 2 }])
  })
})
