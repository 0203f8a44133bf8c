/** A cancel that an application committed before anything was destroyed wins, wherever the running step has come to. */
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { openErasureHouse, type ErasureHouse } from '../../../../support/stages/erasure-house.ts'
import { untilWaiting } from '../../../../support/stages/small-clinic.ts'

let house: ErasureHouse
let other: pg.Client
beforeAll(async () => {
  house = await openErasureHouse()
  other = new pg.Client({ connectionString: house.env['APP_URL'] ?? '' })
  await other.connect()
})
afterAll(async () => {
  await other.end()
  await house.close()
})
beforeEach(() => house.empty())

/** Sessions end at the access cut, and don't come back with a cancel. */
const whole = { app: 3, sessions: 0, letters: 2, parcels: 2 }

/** Runs `act` once a session of the application's database waits for a lock. */
async function onceBlocked(act: () => Promise<void>): Promise<void> {
  await untilWaiting(house.app)
  return act()
}

async function refusals() {
  return house.app.query(
    z.object({ verb: z.string(), taken: z.boolean(), refused: z.string().nullable() }),
    `SELECT verb, taken_at IS NOT NULL AS taken, data ->> 'refused' AS refused FROM lethe.intake WHERE verb = 'cancel' ORDER BY at`,
  )
}

test('a cancel that commits while access is cut is followed before the ledger names the person', async () => {
  // races/o-cancel.test.ts, E29
  await house.people(1)
  const id = await house.askSql(1)
  await other.query('BEGIN')
  await other.query('SELECT FROM people WHERE id = 1 FOR UPDATE')
  const working = house.work()
  await onceBlocked(async () => {
    await house.app.execute(`SELECT lethe.cancel_erasure('${id}')`)
    await other.query('COMMIT')
  })
  await working
  await house.later()
  expect((await house.request(id)).state).toBe('cancelled')
  expect(await house.left(1)).toEqual(whole)
  expect(await house.ledger(1)).toEqual([])
  expect(
    await house.app.query(z.object({ active: z.boolean() }), 'SELECT is_active AS active FROM people'),
  ).toEqual([{ active: true }])
})

/** The control database's side of the same: a session that holds `lock` while the step comes to it. */
async function whileControlWaits(lock: string, act: () => Promise<void>): Promise<void> {
  const blocker = new pg.Client({ connectionString: house.controlUrl })
  await blocker.connect()
  await blocker.query('BEGIN')
  await blocker.query(lock)
  const working = house.work()
  for (;;) {
    const [row] = await house.control.query(
      z.object({ waiting: z.boolean() }),
      `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'lethe_control.erasures'::regclass) AS waiting`,
    )
    if (row?.waiting === true) break
  }
  await act()
  await blocker.query('COMMIT')
  await blocker.end()
  await working
}

test('a cancel that commits while the ledger is written stops the first call to each place, and voids the entries', async () => {
  await house.people(1)
  const id = await house.askSql(1)
  const called: string[] = []
  for (const processor of [house.letters, house.parcels])
    processor.before = ({ type }) => {
      if (type === 'lethe.erase') called.push(type)
      return undefined
    }
  await whileControlWaits('LOCK TABLE lethe_control.erasures IN SHARE MODE', async () => {
    await house.app.execute(`SELECT lethe.cancel_erasure('${id}')`)
  })
  await house.later()
  expect((await house.request(id)).state).toBe('cancelled')
  expect(called).toEqual([])
  expect(await house.left(1)).toEqual(whole)
  expect(await house.ledger(1)).toEqual([])
  expect(await refusals()).toEqual([{ verb: 'cancel', taken: true, refused: null }])
})

test('a cancel that commits while the first rows wait for a lock is followed; who is deleted in the same batch goes', async () => {
  await house.configure({}, { access: undefined, other_stores: [] })
  await house.people(1, 2)
  const id = await house.askSql(1)
  const second = await house.askSql(2)
  await other.query('BEGIN')
  await other.query('SELECT FROM people WHERE id = 1 FOR UPDATE')
  const working = house.work()
  await onceBlocked(async () => {
    expect((await house.request(id)).state).toBe('erasing')
    await house.app.execute(`SELECT lethe.cancel_erasure('${id}')`)
    await other.query('COMMIT')
  })
  await working
  await house.later()
  expect([(await house.request(id)).state, (await house.request(second)).state]).toEqual([
    'cancelled',
    'completed',
  ])
  expect([(await house.left(1))['app'], (await house.left(2))['app']]).toEqual([3, 0])
  expect(await house.ledger(1, 2)).toEqual(['app:2'])
})

test('a cancel that commits after a processor was told to erase is refused, and the application finds that beside its row', async () => {
  await house.people(1)
  house.letters.answer = async ({ type }) => {
    if (type === 'lethe.erase') await house.app.execute(`SELECT lethe.cancel_erasure('${id}')`)
    return undefined
  }
  const id = await house.askSql(1)
  await house.work()
  await house.later()
  expect((await house.request(id)).state).toBe('completed-with-retained')
  expect(await refusals()).toEqual([{ verb: 'cancel', taken: true, refused: 'E_ILLEGAL_TRANSITION' }])
})

test('a cancel that cannot be followed does not hold up anybody else a second time', async () => {
  await house.people(1, 2)
  const id = await house.askSql(1)
  house.letters.answer = async ({ type }) => {
    if (type === 'lethe.erase')
      await house.app.execute(`SELECT lethe.cancel_erasure('00000000-0000-4000-8000-000000000000')`)
    return undefined
  }
  const second = await house.askSql(2)
  await house.work()
  await house.later()
  expect([(await house.request(id)).state, (await house.request(second)).state]).toEqual([
    'completed-with-retained',
    'completed-with-retained',
  ])
})
