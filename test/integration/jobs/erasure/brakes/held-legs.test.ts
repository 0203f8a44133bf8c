import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { json } from '../../../../support/servers/http-server.ts'
import { openErasureHouse, type ErasureHouse } from '../../../../support/stages/erasure-house.ts'

let house: ErasureHouse
beforeAll(async () => {
  house = await openErasureHouse()
}, 120_000)
afterAll(() => house.close())
beforeEach(() => house.empty())

const hold = (id: number) => house.hold({ level: 'subject', subject: 'person', key: [String(id)] })

// issue 10, A6; races/e-hold E16: it had said "nothing was gone" while a vendor worked
test('a hold says which store was asked and has not answered', async () => {
  await house.people(1)
  let added: Awaited<ReturnType<typeof hold>> | undefined
  house.parcels.before = ({ type }) => (type === 'lethe.erase' ? { status: 503 } : undefined)
  house.letters.answer = async ({ type }) => {
    if (type === 'lethe.erase' && added === undefined) added = await hold(1)
    return undefined
  }
  await house.ask(1)
  await house.work()
  const letters = added?.gone.find(({ store }) => store === 'letters')
  expect(letters).toMatchObject({ counts: {}, access: false })
  expect(letters?.unanswered).not.toBeNull()
  expect(added?.alreadyGone).not.toBe(false)
})

test('a hold that comes between two pages ends the call, and what its page removed is counted', async () => {
  await house.people(1)
  const asked = await house.ask(1)
  let pages = 0
  house.letters.answer = async ({ type }) => {
    if (type !== 'lethe.erase') return undefined
    pages += 1
    if (pages === 1) await hold(1)
    return json(200, { removed: { letters: 1 }, retained: [], refused: {}, pending: [], more: pages < 5 })
  }
  await house.work()
  await house.later()
  expect(pages).toBe(1)
  expect((await house.request(asked.id)).state).toBe('on-hold')
  expect((await house.legs(asked.id))['letters']).toMatchObject({ state: 'pending', counts: { letters: 1 } })
})

test('a page that removed something counts also where the holds can not be written into the target after it', async () => {
  await house.people(1)
  const asked = await house.ask(1)
  await house.app.execute('ALTER TABLE lethe.holds ADD CONSTRAINT no_holds CHECK (false) NOT VALID')
  let pages = 0
  house.letters.answer = async ({ type }) => {
    if (type !== 'lethe.erase') return undefined
    pages += 1
    if (pages === 1) await hold(1).catch(() => undefined)
    return json(200, { removed: { letters: 1 }, retained: [], refused: {}, pending: [], more: pages < 5 })
  }
  await house.work().catch(() => undefined)
  await house.app.execute('ALTER TABLE lethe.holds DROP CONSTRAINT no_holds')
  expect(pages).toBe(1)
  const { letters } = await house.legs(asked.id)
  expect(letters).toMatchObject({ counts: { letters: 1 } })
  expect(letters?.requestedAt).not.toBeNull()
})

test('a call that was begun and did not go out, since a hold had come, counts as not begun: its ledger entry is voided', async () => {
  await house.people(1)
  const asked = await house.ask(1)
  // the hold commits once the intent of the call to parcels is recorded, and before the lane looks at the holds
  await house.control
    .execute(`CREATE FUNCTION lethe_control.hold_now() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.store = 'parcels' AND OLD.attempt = 0 AND NEW.attempt = 1 THEN PERFORM pg_advisory_xact_lock_shared(7310); END IF; RETURN NEW; END $$`)
  await house.control.execute(
    'CREATE TRIGGER hold_now BEFORE UPDATE ON lethe_control.erasure_legs FOR EACH ROW EXECUTE FUNCTION lethe_control.hold_now()',
  )
  let told = 0
  house.parcels.before = ({ type }) => {
    if (type === 'lethe.erase') told += 1
    return undefined
  }
  try {
    const working = await house.control.transaction(async (tx) => {
      await tx.execute('SELECT pg_advisory_xact_lock(7310)')
      const running = house.work()
      // the lane of parcels waits in the statement that records its intent
      await expect
        .poll(
          async () =>
            tx.execute(`SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 7310 AND NOT granted`),
          { timeout: 20_000 },
        )
        .toBeGreaterThan(0)
      await hold(1)
      return { running }
    })
    await working.running
  } finally {
    await house.control.execute('DROP FUNCTION lethe_control.hold_now() CASCADE')
  }
  expect(told).toBe(0)
  expect((await house.request(asked.id)).state).toBe('on-hold')
  expect((await house.legs(asked.id))['parcels']).toMatchObject({ attempt: 0, requestedAt: null })
  expect(await house.ledger(1)).not.toContain('parcels:1')
})
