import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { newId } from '../../../../../lib/base/clock/index.ts'
import {
  databaseNow,
  openDatabase,
  type Database,
  type Transaction,
} from '../../../../../lib/base/db/index.ts'
import { createRun, type Run, noteMissed } from '../../../../../lib/record/ledger/index.ts'
import {
  decideOccurrences as decide,
  listSchedules,
  syncSchedules,
  type Decision,
  type NewSchedule,
  type Schedule,
} from '../../../../../lib/base/schedule/index.ts'
import { openControl, type OpenedDatabase } from '../../../../support/stages/lethe-databases.ts'
import { startPostgres, type PostgresServer } from '../../../../support/servers/servers.ts'

let server: PostgresServer
let opened: OpenedDatabase
let control: Database
let other: Database
/** Runs outlive a test (their events can't be deleted), so each test has its own scopes. */
let prefix = ''

beforeAll(async () => {
  server = await startPostgres()
  opened = await openControl(server)
  control = opened.db
  other = openDatabase(opened.url, { name: 'control', applicationName: 'second dispatcher' })
})
afterAll(async () => {
  await other.close()
  await opened.close()
  await server.stop()
})
beforeEach(async () => {
  prefix = newId()
  await control.execute('DELETE FROM lethe_control.occurrences')
  await control.execute('DELETE FROM lethe_control.schedules')
})

const hourly = (catchUp: NewSchedule['catchUp'], more: Partial<NewSchedule> = {}): NewSchedule => ({
  id: 'nightly',
  kind: 'test.work',
  payload: { policy: 'p' },
  cron: '0 * * * *',
  timeZone: 'UTC',
  catchUp,
  ...more,
})

const decideOccurrences = (db: Database, runFor: Parameters<typeof decide>[1]) =>
  decide(db, runFor, noteMissed)

/** As if nothing had been decided for this long. */
async function slept(hours: number): Promise<void> {
  await control.execute(
    `UPDATE lethe_control.schedules SET evaluated_until = clock_timestamp() - $1 * interval '1 hour'`,
    [hours],
  )
}

/** Each occurrence its own scope, so that nothing is ever busy. */
async function runFor(tx: Transaction, schedule: Schedule, at: Date): Promise<Decision> {
  const run = await createRun(tx, {
    kind: schedule.kind,
    queue: 'test',
    scope: `${prefix}/${at.toISOString()}`,
    payload: schedule.payload,
    maxAttempts: 1,
    createdBy: `schedule:${schedule.id}`,
    occurrence: at,
  })
  return 'existing' in run ? { busy: run.existing.id } : { run: run.id }
}

async function occurrences(): Promise<{ outcome: string; reason: string | null; at: Date }[]> {
  return control.query(
    z.object({ outcome: z.string(), reason: z.string().nullable(), at: z.date() }),
    'SELECT outcome, reason, at FROM lethe_control.occurrences ORDER BY at',
  )
}

describe('catch-up', () => {
  test('latest runs the newest and records the others as missed', async () => {
    await syncSchedules(control, [hourly('latest')])
    await slept(5)
    expect(await decideOccurrences(control, runFor)).toEqual({ run: 1, skipped: 4 })
    expect((await occurrences()).map((entry) => entry.outcome)).toEqual([
      'skipped',
      'skipped',
      'skipped',
      'skipped',
      'run',
    ])
    expect(await decideOccurrences(control, runFor)).toEqual({ run: 0, skipped: 0 })
  })

  test('all runs every one', async () => {
    await syncSchedules(control, [hourly('all')])
    await slept(5)
    expect(await decideOccurrences(control, runFor)).toEqual({ run: 5, skipped: 0 })
  })

  test('all keeps an occurrence undecided while the run before it is active', async () => {
    await syncSchedules(control, [hourly('all')])
    await slept(3)
    let busy = false
    const oneAtATime = async (tx: Transaction, schedule: Schedule, at: Date): Promise<Decision> => {
      if (busy) return { busy: 'the last one' }
      busy = true
      return runFor(tx, schedule, at)
    }
    expect(await decideOccurrences(control, oneAtATime)).toEqual({ run: 1, skipped: 0 })
    expect(await decideOccurrences(control, oneAtATime)).toEqual({ run: 0, skipped: 0 })
    busy = false
    expect(await decideOccurrences(control, oneAtATime)).toEqual({ run: 1, skipped: 0 })
    const runs = await occurrences()
    expect(runs).toHaveLength(2)
    expect((runs[1]?.at.getTime() ?? 0) - (runs[0]?.at.getTime() ?? 0)).toBe(3_600_000)
  })

  test('none runs what is due now and nothing that was missed', async () => {
    await syncSchedules(control, [hourly('none', { cron: '* * * * *' })])
    await slept(0.5)
    expect(await decideOccurrences(control, runFor)).toMatchObject({ run: 1 })
    const now = await databaseNow(control)
    const hour = (now.getUTCHours() + 12) % 24
    await syncSchedules(control, [hourly('none', { cron: `0 ${hour} * * *` })])
    await slept(24)
    expect(await decideOccurrences(control, runFor)).toEqual({ run: 0, skipped: 1 })
  })

  test('an occurrence whose scope is still active is recorded as skipped with that reason', async () => {
    await syncSchedules(control, [hourly('latest')])
    await slept(1)
    await decideOccurrences(control, async () => ({ busy: 'r1' }))
    expect(await occurrences()).toMatchObject([{ outcome: 'skipped', reason: 'still active: run r1' }])
  })

  test('more missed ones than are kept one by one leave an event with their number', async () => {
    await syncSchedules(control, [hourly('latest', { cron: '* * * * *' })])
    await slept(24 * 20)
    const decided = await decideOccurrences(control, runFor)
    expect(decided).toEqual({ run: 1, skipped: 19_999 })
    const [event] = await control.query(
      z.object({ data: z.object({ count: z.number(), schedule: z.string() }) }),
      `SELECT data FROM lethe_control.events WHERE type = 'schedule.missed'`,
    )
    expect(event?.data).toMatchObject({ schedule: 'nightly', count: 60 * 24 * 20 - 20_000 })
  })
})

describe('two dispatchers', () => {
  test('decide each occurrence once', async () => {
    await syncSchedules(control, [hourly('all'), hourly('all', { id: 'second' })])
    for (let round = 0; round < 5; round += 1) {
      await control.execute('DELETE FROM lethe_control.occurrences')
      await slept(10)
      const seen = new Set<string>()
      const decide = (db: Database) =>
        decideOccurrences(db, async (tx, schedule, at) => {
          const key = `${schedule.id} ${at.toISOString()}`
          if (seen.has(key)) throw new Error(`${key} was decided twice`)
          seen.add(key)
          return { skip: 'test' }
        })
      const decided = await Promise.all([decide(control), decide(other), decide(control), decide(other)])
      // One that found both schedules locked decided nothing; the next round has nothing left either.
      await decide(control)
      expect(await occurrences()).toHaveLength(20)
      expect(seen.size).toBe(20)
      expect(decided.reduce((sum, one) => sum + one.skipped, 0)).toBeLessThanOrEqual(20)
    }
  })

  test('a run and its occurrence commit together or not at all', async () => {
    await syncSchedules(control, [hourly('latest')])
    await slept(1)
    let made: Run | null = null
    await expect(
      decideOccurrences(control, async (tx, schedule, at) => {
        const run = await createRun(tx, {
          kind: schedule.kind,
          queue: 'test',
          scope: `lost/${at.toISOString()}`,
          payload: {},
          maxAttempts: 1,
          createdBy: 'schedule:nightly',
        })
        if (!('existing' in run)) made = run
        throw new Error('killed here')
      }),
    ).rejects.toThrow('killed here')
    expect(made).not.toBeNull()
    expect(await occurrences()).toEqual([])
    expect(await decideOccurrences(control, runFor)).toMatchObject({ run: 1 })
  })
})

describe('the stored schedules', () => {
  test('are those of the configuration; a changed or returned one owes nothing from before', async () => {
    await syncSchedules(control, [hourly('all')])
    await slept(10)
    await syncSchedules(control, [hourly('all')])
    const [kept] = await listSchedules(control)
    expect((await databaseNow(control)).getTime() - (kept?.evaluatedUntil.getTime() ?? 0)).toBeGreaterThan(
      590_000,
    )

    await syncSchedules(control, [hourly('all', { cron: '30 * * * *' })])
    expect(await decideOccurrences(control, runFor)).toEqual({ run: 0, skipped: 0 })

    await slept(10)
    await syncSchedules(control, [])
    expect(await listSchedules(control)).toMatchObject([{ id: 'nightly', enabled: false }])
    expect(await decideOccurrences(control, runFor)).toEqual({ run: 0, skipped: 0 })
    await syncSchedules(control, [hourly('all', { cron: '30 * * * *' })])
    expect(await decideOccurrences(control, runFor)).toEqual({ run: 0, skipped: 0 })
  })

  test('with a time in a gap are refused whole', async () => {
    await expect(
      syncSchedules(control, [
        hourly('all'),
        hourly('all', { id: 'gap', cron: '30 2 * * *', timeZone: 'Europe/Berlin' }),
      ]),
    ).rejects.toMatchObject({ code: 'E_SCHEDULE_GAP' })
    expect(await listSchedules(control)).toEqual([])
  })
})
