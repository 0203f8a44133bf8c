/** Processors that are down, slow, late, or lie; and Redis, holds and people that change their mind in the middle. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  acceptLeg,
  cancelRequest,
  ensureCascade,
  holdRequest,
  readReceipt,
  refuseRequest,
  releaseRequest,
  requestStatus,
  retryLeg,
  previewErasure,
} from '../../../../jobs/erasure/index.ts'
import { holdStatement, releaseStatement } from '../../../../jobs/holds.ts'
import { untilWaiting } from '../../../support/stages/small-clinic.ts'
import { lockedMeanwhile } from '../../../support/servers/locked.ts'
import { beatWorker } from '../../../../lib/record/ledger/index.ts'
import {
  emailOf,
  openErasureHouse,
  otherStores,
  type ErasureHouse,
} from '../../../support/stages/erasure-house.ts'

const gone = { app: 0, sessions: 0, letters: 0, parcels: 0 }
const whole = { app: 3, sessions: 2, letters: 2, parcels: 2 }

let house: ErasureHouse
beforeAll(async () => {
  house = await openErasureHouse()
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.empty()
  await house.people(1, 2, 10)
})

async function outcome(id: string): Promise<string> {
  const text = await readReceipt(house.context, id)
  return /"outcome":"([a-z-]+)"/.exec(text)?.[1] ?? text
}

describe('a request', () => {
  test('goes through every store; whoever else is there stays', async () => {
    const { id } = await house.ask(1)
    await house.work()
    expect(await house.left(1)).toEqual(gone)
    expect(await house.left(2)).toEqual(whole)
    expect(await house.left(10)).toEqual(whole)
    expect(await house.request(id)).toMatchObject({ state: 'completed-with-retained', sealed: null })
    expect(await house.legs(id)).toMatchObject({
      app: { state: 'verified' },
      sessions: { state: 'verified' },
      letters: { state: 'verified', counts: { letters: 2 } },
      parcels: { state: 'verified' },
      archive: { state: 'retained' },
    })
    expect(await outcome(id)).toBe('completed-with-retained')
  })
})

const down = () => ({ status: 500 })

/** A hold of the team's own on the person of this request. */
async function hold(id: string): Promise<void> {
  const asked = await holdRequest(house.context, id, {
    kind: 'legal-claim',
    owner: 'legal',
    reason: 'claim 12',
    reviewAt: '2999-01-01',
  })
  await asked.add(await house.sign(holdStatement(house.context, asked.hold), 'desk'))
}

/** What is due by the clock, and nothing that is due later. */
async function work(): Promise<void> {
  await ensureCascade(house.context, 'person')
  await house.work()
}

async function release(id: string): Promise<void> {
  const found = await releaseRequest(house.context, id)
  await found.release((held) => house.sign(releaseStatement(held, 'settled')))
}

async function account(id: number): Promise<unknown> {
  const [row] = await house.app.query(
    z.object({ is_active: z.boolean(), password: z.string().nullable() }),
    'SELECT is_active, password FROM people WHERE id = $1',
    [id],
  )
  return row
}

/** Erase calls that a processor got. */
function erasures(name: 'letters' | 'parcels'): unknown[] {
  return house[name].messages.filter(({ message }) => message.type === 'lethe.erase')
}

describe('a processor that is down', () => {
  test('holds up nobody else; the request says what it waits for, and completes by itself', async () => {
    house.letters.before = down
    await beatWorker(house.control, {
      id: 'w',
      roles: ['dispatcher', 'erasure'],
      version: '1',
      configVersion: '',
    })
    const { id } = await house.ask(1)
    await house.work()
    expect(await house.left(1)).toEqual({ ...gone, letters: 2 })
    expect(await house.legs(id)).toMatchObject({
      app: { state: 'verified' },
      sessions: { state: 'verified' },
      parcels: { state: 'verified' },
      letters: { state: 'failed', errorCode: 'E_STORE_UNAVAILABLE', verifiedAt: null },
    })
    const { request, next } = await requestStatus(house.context, id)
    expect(request).toMatchObject({ state: 'erasing' })
    expect(request.nextAt).not.toBeNull()
    expect(next).toBe('Open still: letters. It goes on by itself; nobody has to do anything.')
    for (let round = 0; round < 5; round += 1) await house.later()
    expect(await house.request(id)).toMatchObject({ state: 'erasing' })
    house.letters.before = undefined
    await house.later()
    expect(await house.left(1)).toEqual(gone)
    expect(await house.request(id)).toMatchObject({ state: 'completed-with-retained', sealed: null })
  }, 60_000)

  test('is asked less and less often, once an hour at the end', async () => {
    house.letters.before = down
    const { id } = await house.ask(1)
    await house.work()
    const waits: number[] = []
    for (const attempt of [3, 20]) {
      await house.control.execute(`UPDATE lethe_control.erasure_legs SET attempt = $1`, [attempt])
      await house.later()
      const { letters } = await house.legs(id)
      waits.push(Math.round(((letters?.nextAt?.getTime() ?? 0) - Date.now()) / 1000))
    }
    expect(waits[0]).toBeGreaterThan(10)
    expect(waits[0]).toBeLessThan(100)
    expect(waits[1]).toBeGreaterThan(3500)
  })

  test('is known for what it was sent: nobody else than those of the requests', async () => {
    house.parcels.before = down
    await house.ask(1)
    await house.ask(2)
    await house.work()
    house.parcels.before = undefined
    await house.later()
    const told = [...house.letters.messages, ...house.parcels.messages].flatMap(({ message }) =>
      (message.data.subjects ?? []).flatMap(({ identifiers }) => identifiers['email'] ?? []),
    )
    expect([...new Set(told)].sort()).toEqual([emailOf(1), emailOf(2)])
  })
})

describe('a processor that works on', () => {
  test('is waited for, by its job, and read back once the job has ended', async () => {
    house.letters.slow = true
    const { id } = await house.ask(1)
    await house.work()
    expect(await house.legs(id)).toMatchObject({ letters: { state: 'waiting', job: 'job-1' } })
    expect((await requestStatus(house.context, id)).next).toContain('Open still: letters')
    await house.later()
    expect(await house.legs(id)).toMatchObject({ letters: { state: 'waiting', job: 'job-1' } })
    house.letters.settle()
    await house.later()
    expect(await house.left(1)).toEqual(gone)
    expect(await house.legs(id)).toMatchObject({ letters: { state: 'verified', job: null } })
  })
})

describe('a processor that does it and ends the connection', () => {
  test('is asked again, and nothing is counted as gone before it was read back', async () => {
    house.letters.answer = ({ type }) => (type === 'lethe.erase' ? null : undefined)
    const { id } = await house.ask(1)
    await house.work()
    expect(await house.left(1)).toEqual(gone)
    expect(await house.legs(id)).toMatchObject({ letters: { state: 'failed', verifiedAt: null } })
    house.letters.answer = undefined
    await house.later()
    expect(await house.legs(id)).toMatchObject({ letters: { state: 'verified', counts: {} } })
  })
})

describe('a processor that answers late', () => {
  test('finds its worker overtaken: what that one writes then is refused, and the leg is done once', async () => {
    const asked = Promise.withResolvers<void>()
    const answer = Promise.withResolvers<undefined>()
    house.letters.answer = ({ type }) => {
      if (type !== 'lethe.erase' || erasures('letters').length > 1) return undefined
      asked.resolve()
      return answer.promise
    }
    const { id } = await house.ask(1)
    const late = house.work()
    await asked.promise
    await house.control.execute(
      `UPDATE lethe_control.runs SET lease_expires_at = clock_timestamp() - interval '1 second' WHERE state = 'running'`,
    )
    await house.work()
    expect(await house.request(id)).toMatchObject({ state: 'completed-with-retained' })
    const before = await house.legs(id)
    answer.resolve(undefined)
    await late
    expect(await house.legs(id)).toEqual(before)
    expect(erasures('letters')).toHaveLength(2)
  })
})

describe('a processor that lies', () => {
  test('is caught each time, comes before a person after the third, and ends with a name under what is left', async () => {
    house.letters.lied.add(emailOf(1))
    const { id } = await house.ask(1)
    await house.work()
    for (const times of [1, 2, 3]) {
      expect(await house.legs(id)).toMatchObject({
        letters: { state: 'failed', reopened: times, errorCode: 'E_STILL_THERE', remains: { letters: 2 } },
      })
      expect(await house.request(id)).toMatchObject({
        state: times < 3 ? 'erasing' : 'needs-attention',
        waitingFor: times < 3 ? null : 'failed-leg',
      })
      await house.later()
    }
    expect(erasures('letters')).toHaveLength(3)
    expect((await requestStatus(house.context, id)).next).toContain('Trying again did not help at letters')
    await acceptLeg(house.context, id, 'letters', await house.by('erasure.accept', id, { store: 'letters' }))
    await house.later()
    expect(await house.request(id)).toMatchObject({ state: 'completed-with-left', sealed: null })
    expect(await outcome(id)).toBe('completed-with-left')
    expect(await readReceipt(house.context, id)).toContain('"left":{"letters":2}')
  })

  test('and stops lying once a person has it tried again: verified', async () => {
    house.letters.lied.add(emailOf(1))
    const { id } = await house.ask(1)
    await house.work()
    await house.later()
    await house.later()
    expect(await house.request(id)).toMatchObject({ state: 'needs-attention' })
    house.letters.lied.clear()
    await retryLeg(house.context, id, 'letters', await house.by('erasure.retry', id, { store: 'letters' }))
    await house.later()
    expect(await house.left(1)).toEqual(gone)
    expect(await house.request(id)).toMatchObject({ state: 'completed-with-retained' })
  })

  test('about one of two is caught for that one; the other is verified', async () => {
    house.letters.lied.add(emailOf(1))
    const [first, second] = [await house.ask(1), await house.ask(2)]
    await house.work()
    expect(await house.legs(first.id)).toMatchObject({ letters: { state: 'failed', reopened: 1 } })
    expect(await house.legs(second.id)).toMatchObject({ letters: { state: 'verified', reopened: 0 } })
    expect(await house.request(second.id)).toMatchObject({ state: 'completed-with-retained' })
  })
})

test('what a call removed whose answer was lost is counted as at least', async () => {
  house.letters.answer = ({ type }) => (type === 'lethe.erase' ? null : undefined)
  const [{ id }, other] = [await house.ask(1), await house.ask(2)]
  await house.work()
  house.letters.answer = undefined
  await house.later()
  expect(await house.request(id)).toMatchObject({ state: 'completed-with-retained' })
  expect(await house.legs(id)).toMatchObject({
    letters: { state: 'verified', counts: {}, interrupted: true },
    parcels: { interrupted: false },
  })
  expect(await readReceipt(house.context, other.id)).toContain('"atLeast":true')
})

test('a row that another session has locked at the access cut holds up nobody else', async () => {
  const { id } = await house.ask(1)
  const others = [await house.ask(2), await house.ask(10)]
  await lockedMeanwhile(house.app, 'SELECT FROM people WHERE id = 1 FOR UPDATE', () => house.work())
  expect(await house.request(id)).toMatchObject({ state: 'assessed', waitingFor: 'access' })
  for (const other of others)
    expect(await house.request(other.id)).toMatchObject({ state: 'completed-with-retained' })
  expect(await account(1)).toEqual({ is_active: true, password: 'hash of 1' })
  await house.later()
  expect(await house.left(1)).toEqual(gone)
}, 60_000)

describe('a legal hold', () => {
  test('set in the middle stops what has not gone; released, it goes on by itself', async () => {
    house.letters.before = down
    const { id } = await house.ask(1)
    await house.work()
    await hold(id)
    house.letters.before = undefined
    await house.later()
    expect(await house.request(id)).toMatchObject({ state: 'on-hold', waitingFor: 'legal-hold' })
    expect(await house.left(1)).toEqual({ ...gone, letters: 2 })
    await house.later()
    expect(await house.left(1)).toMatchObject({ letters: 2 })
    await release(id)
    await house.later()
    expect(await house.left(1)).toEqual(gone)
    expect(await house.request(id)).toMatchObject({ state: 'completed-with-retained' })
  })

  test('that stands before anything began keeps everything, and access is cut all the same', async () => {
    const { id } = await house.ask(1)
    await hold(id)
    await house.work()
    expect(await house.request(id)).toMatchObject({ state: 'on-hold' })
    expect(await house.left(1)).toEqual({ ...whole, sessions: 0 })
    expect(await account(1)).toMatchObject({ is_active: false })
    expect(erasures('letters')).toEqual([])
    await release(id)
    await house.later()
    expect(await house.left(1)).toEqual(gone)
  })

  test('set in the grace period shows at once; released, the rest of the grace goes on', async () => {
    await house.people(3)
    const { id } = await house.ask(1, { kind: 'account-closure' })
    const other = await house.ask(3, { kind: 'account-closure' })
    await house.work()
    const { graceUntil } = await house.request(id)
    await hold(id)
    await work()
    expect(await house.request(id)).toMatchObject({ state: 'on-hold', waitingFor: 'legal-hold' })
    expect(await house.request(other.id)).toMatchObject({ state: 'grace', waitingFor: 'grace' })
    await release(id)
    await work()
    for (const one of [await house.request(id), await house.request(other.id)])
      expect(one).toMatchObject({ state: 'grace', waitingFor: 'grace', nextAt: one.graceUntil })
    expect((await house.request(id)).graceUntil).toEqual(graceUntil)
    expect(await house.left(1)).toEqual({ ...whole, sessions: 0 })
    await house.later()
    expect(await house.left(1)).toEqual(gone)
  })

  test.each([
    ['what led before', false],
    ['not what leads to somebody else by now', true],
  ])('that lasted: what leads to the person since then is looked for too, and %s', async (_, taken) => {
    const { id } = await house.ask(1)
    await house.configure({}, {}, { letters: { ...otherStores.letters, secret: 'env:NOT_THERE' } })
    await house.work()
    expect(await house.request(id)).toMatchObject({
      state: 'needs-attention',
      waitingFor: 'unusable:letters',
      resumeState: 'planned',
    })
    await hold(id)
    await house.configure()
    await work()
    await house.app.execute(`UPDATE people SET email = 'new@example.org' WHERE id = 1`)
    house.letters.letters.set('new@example.org', 4)
    if (taken) await house.app.execute('UPDATE people SET email = $1 WHERE id = 2', [emailOf(1)])
    await retryLeg(house.context, id, null, await house.by('erasure.retry', id, {}, 'desk'))
    await work()
    expect(await house.request(id)).toMatchObject({ state: 'on-hold', resumeState: 'planned' })
    await release(id)
    await house.later()
    expect(house.letters.letters.has('new@example.org')).toBe(false)
    expect(await house.left(1)).toEqual(taken ? { ...gone, letters: 2, parcels: 2 } : gone)
  })

  test.each([
    ['a tenant', { level: 'tenant', key: ['1'] }],
    ['a row', { level: 'row', table: 'public.visits', key: ['10'] }],
    ['a table', { level: 'table', table: 'public.visits' }],
  ] as const)('on %s keeps whom it concerns', async (_, given) => {
    const [mine, other] = [await house.ask(1), await house.ask(2)]
    await house.hold(given)
    await house.work()
    expect(await house.request(mine.id)).toMatchObject({ state: 'on-hold' })
    expect(await house.left(1)).toEqual({ ...whole, sessions: 0 })
    expect(erasures('letters')).toHaveLength(given.level === 'table' ? 0 : 1)
    expect((await house.request(other.id)).state).toBe(
      given.level === 'table' ? 'on-hold' : 'completed-with-retained',
    )
  })

  test("of the application's own pauses and resumes the same way", async () => {
    const { id } = await house.ask(1, { kind: 'account-closure' })
    await house.work()
    expect(await house.request(id)).toMatchObject({ state: 'grace' })
    await house.app.execute('UPDATE people SET claimed = true WHERE id = 1')
    await house.later()
    expect(await house.request(id)).toMatchObject({ state: 'on-hold' })
    expect((await previewErasure(house.context, 'person', ['1'])).keptBack).toMatch(/^hold:/)
    expect(await house.left(1)).toEqual({ ...whole, sessions: 0 })
    await house.app.execute('UPDATE people SET claimed = false WHERE id = 1')
    await house.later()
    expect(await house.left(1)).toEqual(gone)
  })
})

describe('a cancel', () => {
  test('in the grace period gives access back as it was, and nothing is erased', async () => {
    const { id } = await house.ask(1, { kind: 'account-closure' })
    await house.work()
    expect(await account(1)).toEqual({ is_active: false, password: '!' })
    expect(await account(2)).toEqual({ is_active: true, password: 'hash of 2' })
    await cancelRequest(house.context, id, await house.by('erasure.cancel', id, {}, 'desk'))
    expect(await account(1)).toEqual({ is_active: true, password: 'hash of 1' })
    await house.later()
    expect(await house.request(id)).toMatchObject({ state: 'cancelled', sealed: null })
    expect(await house.left(1)).toEqual({ ...whole, sessions: 0 })
    expect(await house.ledger(1)).toEqual([])
  })

  test('by the application, with the id that its own call gave, also where that call joined another', async () => {
    const closure = `kind => 'account-closure', identity => 'signed-in-session'`
    const first = await house.askSql(1, closure)
    await house.work()
    const second = await house.askSql(1, closure)
    await house.work()
    await house.app.execute('SELECT lethe.cancel_erasure($1)', [second])
    await house.later()
    expect(await house.request(first)).toMatchObject({ state: 'cancelled' })
    expect(await account(1)).toEqual({ is_active: true, password: 'hash of 1' })
  })

  test('after the first call is refused, whatever became of it since', async () => {
    house.letters.slow = true
    house.parcels.before = down
    const { id } = await house.ask(1)
    await house.work()
    const cancel = async () =>
      cancelRequest(house.context, id, await house.by('erasure.cancel', id, {}, 'desk'))
    await expect(cancel()).rejects.toMatchObject({ code: 'E_ILLEGAL_TRANSITION' })
    // a person had every open leg begun anew, and a hold pauses it: what went is gone all the same
    for (const store of ['letters', 'parcels'])
      await retryLeg(house.context, id, store, await house.by('erasure.retry', id, { store }))
    await house.control.execute(`UPDATE lethe_control.erasure_legs SET attempt = 0`)
    await hold(id)
    await house.later()
    expect(await house.request(id)).toMatchObject({ state: 'on-hold' })
    await expect(cancel()).rejects.toMatchObject({ code: 'E_ILLEGAL_TRANSITION' })
  })

  test('and a refusal too', async () => {
    house.letters.lied.add(emailOf(1))
    const { id } = await house.ask(1)
    await house.work()
    await house.later()
    await house.later()
    expect(await house.request(id)).toMatchObject({ state: 'needs-attention' })
    const by = await house.by('erasure.refuse', id, { ground: 'legal-claim' })
    await expect(refuseRequest(house.context, id, 'legal-claim', by)).rejects.toMatchObject({
      code: 'E_ILLEGAL_TRANSITION',
    })
  })

  test('while the cut is under way keeps access, and what led to the person is forgotten for good', async () => {
    const { id } = await house.ask(1, { kind: 'account-closure' })
    // the worker waits for the row that it is about to change; meanwhile the person changes their mind
    const taken = Promise.withResolvers<void>()
    const free = Promise.withResolvers<void>()
    const application = house.app.transaction(async (tx) => {
      await tx.execute('SELECT FROM people WHERE id = 1 FOR UPDATE')
      taken.resolve()
      await free.promise
    })
    await taken.promise
    const work = house.work()
    await untilWaiting(house.app)
    const cancel = cancelRequest(house.context, id, await house.by('erasure.cancel', id, {}, 'desk'))
    await untilWaiting(house.control)
    free.resolve()
    await Promise.all([application, work, cancel])
    await house.later()
    expect(await house.request(id)).toMatchObject({ state: 'cancelled', sealed: null })
    expect(await account(1)).toEqual({ is_active: true, password: 'hash of 1' })
    expect(await house.legs(id)).toEqual({})
  })
})

describe('sessions that lie in a store that is down', () => {
  test('hold up nobody: the login is cut, and their leg ends them once the store is back', async () => {
    await house.configure({}, {}, { sessions: { ...otherStores.sessions, url: 'env:NOWHERE_REDIS' } })
    const { id } = await house.ask(1)
    await house.work()
    expect(await house.left(1)).toEqual({ ...gone, sessions: 2 })
    expect(await house.legs(id)).toMatchObject({ sessions: { state: 'failed', verifiedAt: null } })
    await house.configure()
    await house.later()
    expect(await house.left(1)).toEqual(gone)
  })
})

describe('a database that is away while requests are taken in', () => {
  test.each(['confirm', 'cancel'] as const)('loses no %s of an application', async (verb) => {
    const id = await house.askSql(1, `kind => 'account-closure'`)
    await house.work()
    await house.app.execute(
      verb === 'confirm'
        ? `SELECT lethe.confirm_erasure($1, 'signed-in-session')`
        : 'SELECT lethe.cancel_erasure($1)',
      [id],
    )
    await house.control.execute(
      `ALTER TABLE lethe_control.erasure_requests RENAME COLUMN identity_by TO away`,
    )
    const run = house.later().catch(() => undefined)
    await run
    await house.control.execute(
      `ALTER TABLE lethe_control.erasure_requests RENAME COLUMN away TO identity_by`,
    )
    await house.later()
    const { state, identityMethod } = await house.request(id)
    expect(verb === 'confirm' ? identityMethod : state).toBe(
      verb === 'confirm' ? 'signed-in-session' : 'cancelled',
    )
  })
})
