/** What a policy hands over to erasure requests stays under its guard and its brakes; one switch stops a store. */
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { acceptLeg, assessRequest, ensureCascade, requestStatus } from '../../../../../jobs/erasure/index.ts'
import {
  armStatement,
  decide,
  decisionStatement,
  findPolicy,
  pausePolicy,
  resumePolicy,
  setMode,
} from '../../../../../jobs/retention/index.ts'
import { registry } from '../../../../../jobs/registry.ts'
import { runJob } from '../../../../../jobs/runner.ts'
import { resume, stop, stopStatement } from '../../../../../jobs/stops.ts'
import type { Database } from '../../../../../lib/base/db/index.ts'
import { freeExpiredLeases, takeForEnqueue, type Run } from '../../../../../lib/record/ledger/index.ts'
import { handedOver, listRequests, type ErasureRequest } from '../../../../../lib/record/requests/index.ts'
import { openErasureHouse, type ErasureHouse } from '../../../../support/stages/erasure-house.ts'

let house: ErasureHouse
beforeAll(async () => {
  house = await openErasureHouse()
})
beforeEach(() => house.empty())
afterAll(() => house.close())

const closed = {
  subject: 'person',
  when: 'soft-deleted',
  clock: 'root.deleted_at',
  unless: [{ name: 'keep', sql: 'root.keep' }],
  records_class: 'Closed accounts',
  limits: { rows: 1_000_000, share: 1, median_multiple: 1000 },
  throttle: { max_rows: 100, lock_waiters: 1000, long_transaction_seconds: 86_400 },
}
const asking = {
  erasure: { classes: { care: { decision: 'ask', ground: 'claim', until: `now() + interval '1 year'` } } },
}

/** Two people whose closing is long ago, approved and handed over; nothing is worked off yet. */
async function handOver(changes: Record<string, unknown> = {}, policy: Record<string, unknown> = {}) {
  await house.configure({ policies: { closed: { ...closed, ...policy } }, ...changes })
  await house.people(1, 2)
  await house.app.execute(`UPDATE people SET deleted_at = now() - interval '90 days'`)
  await house.arm('closed')
  return house.decide(await house.sweep('closed'))
}

async function work() {
  await ensureCascade(house.context, 'person')
  await house.work()
}

async function requests(): Promise<ErasureRequest[]> {
  return (await listRequests(house.control)).sort((a, b) => a.receivedAt.getTime() - b.receivedAt.getTime())
}

async function states() {
  return (await requests()).map(({ state, waitingFor, letGo }) => letGo ?? waitingFor ?? state).sort()
}

async function assessAll() {
  for (const { id } of await requests())
    await assessRequest(
      house.context,
      id,
      { care: 'erase' },
      await house.by('erasure.assess', id, { care: 'erase' }),
    )
}

async function disarm() {
  const statement = armStatement(findPolicy(house.context, 'closed'), 'observe', 'incident')
  await setMode(house.context, 'closed', 'observe', await house.sign(statement, 'desk'))
}

async function stopApp(store = 'app') {
  await stop(house.context, store, await house.sign(stopStatement('store.stop', store, 'incident'), 'desk'))
}

async function resumeApp(store = 'app') {
  await resume(house.context, store, await house.sign(stopStatement('store.resume', store, 'found'), 'cto'))
}

const whole = { app: 3, letters: 2, parcels: 2 }
const nothing = { app: 0, letters: 0, parcels: 0 }

describe("the policy's guard", () => {
  test.each([
    ['who came back', `UPDATE people SET deleted_at = NULL WHERE id = 1`, 'not-due'],
    ['whom the policy excepts by now', `UPDATE people SET keep = true WHERE id = 1`, 'unless:keep'],
    [
      'whom a decision took out of the policy',
      `INSERT INTO lethe.exemptions (policy, root_key, until, proposal_id) VALUES ('closed', ARRAY['1'], NULL, gen_random_uuid())`,
      'exempted',
    ],
  ])('lets go of a person %s before access is cut', async (_who, change, reason) => {
    // races/d-erasure.test.ts, E6
    const run = await handOver(asking)
    await work()
    await house.app.execute(change)
    await assessAll()
    await house.later()
    expect(await states()).toEqual([reason, 'completed-with-retained'].sort())
    expect(await house.left(1)).toMatchObject(whole)
    expect(await house.left(2)).toMatchObject(nothing)
    const proposal = await house.proposal(run)
    expect(await handedOver(house.control, proposal.id)).toContainEqual({
      state: 'cancelled',
      letGo: reason,
      count: 1,
    })
  })

  test('gives access back to a person who came back after the cut, and voids what the ledger says', async () => {
    await handOver()
    const blocker = new pg.Client({ connectionString: house.controlUrl })
    await blocker.connect()
    await blocker.query('BEGIN')
    await blocker.query('LOCK TABLE lethe_control.erasures IN SHARE MODE')
    const working = work()
    await blocked(house.control)
    await house.app.execute(`UPDATE people SET deleted_at = NULL WHERE id = 1`)
    await blocker.query('COMMIT')
    await blocker.end()
    await working
    await house.later()
    expect(await states()).toEqual(['completed-with-retained', 'not-due'])
    expect(
      await house.app.query(z.object({ active: z.boolean() }), 'SELECT is_active AS active FROM people'),
    ).toEqual([{ active: true }])
    expect(await house.left(1)).toMatchObject(whole)
    expect((await house.ledger(1, 2)).filter((one) => one.endsWith(':1'))).toEqual([])
  })

  describe('in the statement that deletes', () => {
    /** Person 1 is changed by a session that the batch waits for. */
    async function whileBatchWaits(stores: readonly string[]) {
      await handOver()
      await house.configure({ policies: { closed } }, { access: undefined, other_stores: stores })
      const other = new pg.Client({ connectionString: house.env['APP_URL'] ?? '' })
      await other.connect()
      await other.query('BEGIN')
      await other.query('UPDATE people SET deleted_at = NULL WHERE id = 1')
      const working = work()
      await blocked(house.app)
      while (stores.includes('letters') && house.letters.letters.size > 0) await blocked(house.app)
      await other.query('COMMIT')
      await other.end()
      await working
      await house.later()
    }

    test('lets go of a person who came back while the batch waited, and erases the others of it', async () => {
      await whileBatchWaits(['archive'])
      expect(await states()).toEqual(['completed-with-retained', 'not-due'])
      expect([(await house.left(1))['app'], (await house.left(2))['app']]).toEqual([3, 0])
    })

    test('keeps the rows of a person of whom a part is gone, and a person decides about the rest', async () => {
      await whileBatchWaits(['letters'])
      expect(await states()).toEqual(['came-back:not-due', 'completed'])
      expect(await house.left(1)).toMatchObject({ app: 3, letters: 0 })
      const [stuck] = (await requests()).filter(({ finishedAt }) => finishedAt === null)
      const id = stuck?.id ?? ''
      expect((await requestStatus(house.context, id)).next).toContain('a part of the person is gone already')
      await acceptLeg(house.context, id, 'app', await house.by('erasure.accept', id, { object: 'app' }))
      await house.later()
      expect(await states()).toEqual(['completed', 'completed-with-left'])
    })
  })
})

describe("the policy's brakes", () => {
  test('disarming lets go of everybody who was handed over and not begun', async () => {
    await handOver(asking)
    await work()
    await disarm()
    await assessAll()
    await house.later()
    expect(await states()).toEqual(['disarmed', 'disarmed'])
    expect([await house.left(1), await house.left(2)]).toMatchObject([whole, whole])
  })

  test('a policy that was changed in the configuration lets go of them, too', async () => {
    await handOver(asking)
    await work()
    await house.configure({ policies: { closed: { ...closed, period: '200 days' } }, ...asking })
    await assessAll()
    await house.later()
    expect(await states()).toEqual(['disarmed', 'disarmed'])
  })

  test('a pause holds what was handed over, and a resume lets it go on', async () => {
    await handOver(asking)
    await work()
    expect(await pausePolicy(house.context, 'closed', 'desk')).toMatchObject({ run: null, requests: 2 })
    await assessAll()
    await house.later()
    expect(await states()).toEqual(['policy-paused', 'policy-paused'])
    expect([await house.left(1), await house.left(2)]).toMatchObject([whole, whole])
    await resumePolicy(house.context, 'closed', 'desk')
    await house.later()
    expect([await house.left(1), await house.left(2)]).toMatchObject([nothing, nothing])
  })

  test('a pause holds an approved run of the policy that has not begun', async () => {
    await house.configure({ policies: { closed } }, { access: undefined, other_stores: [] })
    await house.people(1)
    await house.app.execute(`UPDATE people SET deleted_at = now() - interval '90 days'`)
    await house.arm('closed')
    const run = await house.sweep('closed')
    await house.control.execute(
      `INSERT INTO lethe_control.stops (scope, name, actor, method) VALUES ('policy', 'closed', 'desk', 'test')`,
    )
    expect(await decideOnce(run)).toMatchObject({ state: 'waiting', waitingFor: 'stopped' })
    expect((await house.left(1))['app']).toBe(3)
  })

  test('outside the window of the policy nothing of what it began is erased', async () => {
    const hour = (plus: number) => `${String((new Date().getUTCHours() + plus) % 24).padStart(2, '0')}:00`
    await handOver({}, { window: { from: hour(3), to: hour(5) } })
    await work()
    expect(await states()).toEqual(['policy:window', 'policy:window'])
    expect([await house.left(1), await house.left(2)]).toMatchObject([whole, whole])
  })

  test('a person who asked for it themselves is under no policy any more', async () => {
    await handOver(asking)
    await work()
    await house.ask(1)
    await pausePolicy(house.context, 'closed', 'desk')
    await assessAll()
    await house.later()
    expect(await states()).toEqual(['completed-with-retained', 'policy-paused'])
  })
})

describe('a person who closes their account', () => {
  const closure = `kind => 'account-closure', identity => 'signed-in-session'`

  test('before the hand-over keeps the grace, whichever is read first', async () => {
    await house.configure({ policies: { closed } })
    await house.people(1, 2)
    await house.app.execute(`UPDATE people SET deleted_at = now() - interval '90 days'`)
    await house.arm('closed')
    const waiting = await house.sweep('closed')
    await house.app.execute(`SELECT lethe.request_erasure('person', ARRAY['1'], ${closure})`)
    // the policy's request is there before anybody reads what she asked for
    await house.decide(waiting)
    await work()
    expect(await states()).toEqual(['completed-with-retained', 'grace'])
    const [own] = (await requests()).filter(({ finishedAt }) => finishedAt === null)
    expect(own).toMatchObject({ kind: 'account-closure', hasGrace: true })
    expect((own?.graceUntil?.getTime() ?? 0) - Date.now()).toBeGreaterThan(29 * 86_400_000)
    expect(await house.left(1)).toMatchObject(whole)
  })

  test('while the ledger is written keeps the grace, and no entry stands', async () => {
    await handOver()
    const blocker = new pg.Client({ connectionString: house.controlUrl })
    await blocker.connect()
    await blocker.query('BEGIN')
    await blocker.query('LOCK TABLE lethe_control.erasures IN SHARE MODE')
    const working = work()
    await blocked(house.control)
    await house.app.execute(`SELECT lethe.request_erasure('person', ARRAY['1'], ${closure})`)
    await pausePolicy(house.context, 'closed', 'desk')
    await blocker.query('COMMIT')
    await blocker.end()
    await working
    await resumePolicy(house.context, 'closed', 'desk')
    await house.control.execute(
      `UPDATE lethe_control.erasure_requests SET next_at = clock_timestamp() WHERE finished_at IS NULL`,
    )
    await work()
    expect((await states()).includes('grace')).toBe(true)
    expect(await house.left(1)).toMatchObject(whole)
    expect((await house.ledger(1, 2)).filter((one) => one.endsWith(':1'))).toEqual([])
  })

  test('in the grace of a closure is not hurried by a policy that hands over later', async () => {
    await house.configure({ policies: { closed } })
    await house.people(1)
    const id = await house.askSql(1, closure)
    await house.work()
    const { graceUntil } = await house.request(id)
    await house.app.execute(`UPDATE people SET deleted_at = now() - interval '90 days'`)
    await house.arm('closed')
    await house.decide(await house.sweep('closed'))
    await work()
    expect(await house.request(id)).toMatchObject({ state: 'grace', kind: 'account-closure', graceUntil })
    expect(await house.left(1)).toMatchObject(whole)
  })
})

describe('a store that is stopped', () => {
  test('is neither erased in nor cut, its requests wait, and a resume lets all go on', async () => {
    await house.people(1)
    await stopApp()
    const { id } = await house.ask(1)
    await workOnce()
    expect(await house.left(1)).toEqual({ ...whole, sessions: 2 })
    expect((await house.request(id)).accessCutAt).toBeNull()
    expect((await requestStatus(house.context, id)).next).toContain('Store app is stopped since')
    await resumeApp()
    await house.later()
    expect((await house.request(id)).state).toBe('completed-with-retained')
  })

  test('keeps a sweep waiting, which uses no attempt', async () => {
    await house.configure({ policies: { closed } }, { access: undefined, other_stores: [] })
    await house.people(1)
    await house.app.execute(`UPDATE people SET deleted_at = now() - interval '90 days'`)
    await house.arm('closed')
    const run = await house.sweep('closed')
    await stopApp()
    expect(await decideOnce(run)).toMatchObject({ state: 'waiting', waitingFor: 'stopped', attempt: 0 })
    expect((await house.left(1))['app']).toBe(3)
    await resumeApp()
    await house.work()
    expect((await house.run(run)).state).toBe('succeeded')
    expect((await house.left(1))['app']).toBe(0)
  })

  test('elsewhere holds its own leg only', async () => {
    await house.people(1)
    await stopApp('letters')
    await house.ask(1)
    await workOnce()
    expect(await house.left(1)).toMatchObject({ app: 0, letters: 2, parcels: 0 })
    await resumeApp('letters')
    await house.later()
    expect(await house.left(1)).toMatchObject(nothing)
  })

  test('is refused by the transaction that deletes; a stop that only the target has is a restore’s, and goes', async () => {
    await house.people(1)
    const { id } = await house.ask(1)
    await house.app.execute(`INSERT INTO lethe.stops (store) VALUES ('app')`)
    await house.work()
    await house.later()
    expect((await house.request(id)).state).toBe('completed-with-retained')
    expect(await house.app.query(z.object({ store: z.string() }), 'SELECT store FROM lethe.stops')).toEqual(
      [],
    )
  })

  test('may be stopped by support, and only the cto lets it go on', async () => {
    await stopApp()
    await expect(
      resume(house.context, 'app', await house.sign(stopStatement('store.resume', 'app', 'found'), 'clerk')),
    ).rejects.toMatchObject({ code: 'E_ROLE_MISSING' })
    await resumeApp()
    await expect(resumeApp()).rejects.toMatchObject({ code: 'E_NOT_FOUND' })
    await expect(stopApp('nowhere')).rejects.toMatchObject({ code: 'E_NOT_FOUND' })
  })
})

/** A session of this database waits for a lock. */
async function blocked(db: Database): Promise<void> {
  for (;;) {
    const [row] = await db.query(
      z.object({ waiting: z.boolean() }),
      `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock') AS waiting`,
    )
    if (row?.waiting === true) return
  }
}

/** Each due run is taken once: one that waits for a stop would be taken again for ever by `house.work`. */
async function workOnce(): Promise<void> {
  await ensureCascade(house.context, 'person')
  await once()
}

async function once(): Promise<void> {
  for (let round = 0; round < 6; round += 1) {
    await freeExpiredLeases(house.control)
    for (const job of await takeForEnqueue(house.control))
      await runJob(house.context, registry, job, new AbortController().signal)
  }
}

async function decideOnce(run: Run): Promise<Run> {
  const proposal = await house.proposal(run)
  const decision = { outcome: 'destroy' as const, overrides: [], reason: 'schedule 7.2' }
  await decide(
    house.context,
    { proposalId: proposal.id, ...decision },
    await house.sign(decisionStatement(proposal, decision)),
  )
  await once()
  return house.run(run)
}
