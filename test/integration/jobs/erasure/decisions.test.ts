/** What is asked for wrongly, and what people decide. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  acceptLeg,
  approveRequest,
  assessRequest,
  confirmRequest,
  instructRequest,
  readReceipt,
  requestStatus,
  resolveSubject,
  retryLeg,
} from '../../../../jobs/erasure/index.ts'
import {
  emailOf,
  openErasureHouse,
  otherStores,
  type ErasureHouse,
} from '../../../support/stages/erasure-house.ts'
import { makeFolder } from '../../../support/servers/process.ts'
import { startJsonServer } from '../../../support/servers/json-server.ts'

const gone = { app: 0, sessions: 0, letters: 0, parcels: 0 }
const whole = { app: 3, sessions: 2, letters: 2, parcels: 2 }
const injection = `x' OR true; DELETE FROM people; --`

let house: ErasureHouse
beforeAll(async () => {
  house = await openErasureHouse()
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.empty()
  await house.people(1, 2)
})

const resolve = (who: { identifier: string; value: string } | { key: string[] }) =>
  resolveSubject(house.context, { subject: 'person', who })

async function calls(): Promise<number> {
  return Promise.resolve(house.letters.messages.length + house.parcels.messages.length)
}

describe('an identifier', () => {
  test('that two persons have is refused: nobody is erased on a guess', async () => {
    await house.app.execute('UPDATE people SET email = $1', [emailOf(1)])
    await expect(resolve({ identifier: 'email', value: emailOf(1) })).rejects.toMatchObject({
      code: 'E_IDENTIFIER',
    })
  })

  test('that nobody has is told as such, without the value', async () => {
    const failed: unknown = await resolve({ identifier: 'email', value: 'canary@example.org' }).catch(
      (error: unknown) => error,
    )
    expect(failed).toMatchObject({ code: 'E_NOT_FOUND' })
    expect(String(failed)).not.toContain('canary')
  })

  test.each([
    ['as a value', { identifier: 'email', value: injection }, 'E_NOT_FOUND'],
    ['as a name', { identifier: injection, value: 'x' }, 'E_IDENTIFIER'],
    ['of an object', { identifier: 'constructor', value: 'x' }, 'E_IDENTIFIER'],
    ['as a key', { key: [injection] }, 'E_IDENTIFIER'],
  ] as const)('with SQL in it, %s, changes nothing', async (_how, who, code) => {
    await expect(resolve('key' in who ? { key: [...who.key] } : who)).rejects.toMatchObject({ code })
    expect(await house.ids('people')).toEqual([1, 2])
  })

  test('with SQL in it, from an application, is refused by its id; others of that moment are followed', async () => {
    await house.askSql(injection)
    const id = await house.askSql(2)
    await house.work()
    expect(await house.ids('people')).toEqual([1])
    expect(await house.request(id)).toMatchObject({ state: 'completed-with-retained' })
    const [open] = await house.app.query(
      z.object({ n: z.coerce.number() }),
      'SELECT count(*) AS n FROM lethe.intake WHERE taken_at IS NULL OR root_key IS NOT NULL',
    )
    expect(open?.n).toBe(0)
  })

  test('collected from a row, with SQL and glob in it, leads to nobody else', async () => {
    await house.app.execute('UPDATE people SET email = $1 WHERE id = 1', [`*' OR true --`])
    await house.ask(1)
    await house.work()
    expect(await house.left(2)).toEqual(whole)
    expect(await house.ids('people')).toEqual([2])
  })
})

describe('a subject that is not there', () => {
  test('gets a receipt that says nothing was found', async () => {
    await house.configure({}, { other_stores: ['letters', 'parcels', 'sessions'] })
    const { id } = await house.ask(99)
    await house.work()
    expect(await house.request(id)).toMatchObject({ state: 'completed', nobody: true })
    expect(await readReceipt(house.context, id)).toContain('"outcome":"nothing-found"')
    expect((await requestStatus(house.context, id)).next).toContain('Nothing of this person was found')
    expect(await house.left(1)).toEqual(whole)
  })
})

describe('a processor without credentials', () => {
  const secret = join(makeFolder('secret'), 'letters')
  const letters = { ...otherStores.letters, secret: `file:${secret}` }
  beforeEach(() => rmSync(secret, { force: true }))

  test('stops the request before anything is touched, and the request says which', async () => {
    await house.configure({}, {}, { letters })
    const { id } = await house.ask(1)
    await house.work()
    expect(await house.left(1)).toEqual({ ...whole, sessions: 0 })
    expect(await calls()).toBe(0)
    expect(await house.ledger(1)).toEqual([])
    expect(await house.request(id)).toMatchObject({
      state: 'needs-attention',
      waitingFor: 'unusable:letters',
    })
    expect((await requestStatus(house.context, id)).next).toContain('letters')
    // once they are there
    writeFileSync(secret, house.letters.secret)
    await retryLeg(house.context, id, null, await house.by('erasure.retry', id))
    await house.later()
    expect(await house.left(1)).toEqual(gone)
  })

  test('is passed over once a named person accepted that, and the rest is erased', async () => {
    await house.configure({}, {}, { letters })
    const { id } = await house.ask(1)
    await house.work()
    await acceptLeg(house.context, id, 'letters', await house.by('erasure.accept', id, { store: 'letters' }))
    await house.later()
    expect(await house.left(1)).toEqual({ ...gone, letters: 2 })
    expect(await house.request(id)).toMatchObject({ state: 'completed-with-left' })
  })
})

describe('a map that changed after planning', () => {
  test('is looked at by a person before anything goes, and then planned anew', async () => {
    const { id } = await house.ask(1)
    await house.control.execute(
      `CREATE FUNCTION public.stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'stop'; END $$`,
    )
    await house.control.execute(
      `CREATE TRIGGER stop BEFORE INSERT ON lethe_control.erasures EXECUTE FUNCTION public.stop()`,
    )
    await house.work()
    await house.control.execute('DROP FUNCTION public.stop CASCADE')
    expect(await house.request(id)).toMatchObject({ state: 'planned' })
    await house.configure({}, { contact: `root.email || ''` })
    await house.later()
    expect(await house.request(id)).toMatchObject({ state: 'needs-attention', waitingFor: 'plan-changed' })
    expect(await house.left(1)).toEqual({ ...whole, sessions: 0 })
    expect(await calls()).toBe(0)
    await retryLeg(house.context, id, null, await house.by('erasure.retry', id))
    await house.later()
    expect(await house.left(1)).toEqual(gone)
  })
})

describe('a processor that answers with a redirect', () => {
  test('to the internal network is refused, and nothing goes there', async () => {
    const inside = await startJsonServer(() => ({ status: 200, body: { removed: {}, subjects: [] } }))
    house.letters.before = () => ({ status: 307, headers: { location: `${inside.url}/latest/meta-data` } })
    try {
      const { id } = await house.ask(1)
      await house.work()
      expect(await house.legs(id)).toMatchObject({
        letters: { state: 'failed', errorCode: 'E_STORE_REFUSED' },
        parcels: { state: 'verified' },
      })
      await house.later()
      await house.later()
      expect(await house.request(id)).toMatchObject({ state: 'needs-attention', waitingFor: 'failed-leg' })
      expect(inside.seen).toEqual([])
    } finally {
      await inside.close()
    }
  })
})

describe('a person who asks twice', () => {
  test('joins the open request, whoever asked; the calls are made once', async () => {
    const { id } = await house.ask(1)
    expect(await house.ask(1)).toMatchObject({ id, joined: true })
    await house.askSql(1)
    await house.askSql(1)
    await house.work()
    const [row] = await house.control.query(
      z.object({ n: z.coerce.number() }),
      'SELECT count(*) AS n FROM lethe_control.erasure_requests',
    )
    expect(row?.n).toBe(1)
    expect(house.letters.messages.filter(({ message }) => message.type === 'lethe.erase')).toHaveLength(1)
  })

  test('is confirmed by the second where the first did not know who it was', async () => {
    const id = await house.askSql(1, `kind => 'article-17'`)
    await house.work()
    expect(await house.request(id)).toMatchObject({ state: 'received', waitingFor: 'identity' })
    expect(await house.left(1)).toEqual(whole)
    await house.askSql(1)
    await house.work()
    expect(await house.left(1)).toEqual(gone)
  })
})

describe('the ceiling of an actor', () => {
  test.each(['staff', 'application'])(
    'stops what goes beyond it, of %s too, until somebody approves',
    async (who) => {
      await house.configure({ erasure: { ceiling: 1 } })
      const ask = async (id: number) => (who === 'staff' ? (await house.ask(id)).id : house.askSql(id))
      await ask(1)
      const id = await ask(2)
      await house.work()
      expect(await house.left(1)).toEqual(gone)
      expect(await house.left(2)).toEqual(whole)
      expect(await house.request(id)).toMatchObject({
        state: 'received',
        overCeiling: true,
        waitingFor: 'ceiling',
      })
      // neither time nor a confirmation is an approval
      await house.later()
      const method = who === 'staff' ? 'staff-check' : 'signed-in-session'
      await confirmRequest(house.context, id, method, await house.by('erasure.confirm', id, { method }))
      await house.later()
      expect(await house.left(2)).toEqual(whole)
      const refused = house.by('erasure.approve', id, {}, 'desk')
      await expect(refused.then((by) => approveRequest(house.context, id, by))).rejects.toMatchObject({
        code: 'E_ROLE_MISSING',
      })
      await approveRequest(house.context, id, await house.by('erasure.approve', id))
      await house.later()
      expect(await house.left(2)).toEqual(gone)
    },
  )
})

test('Nobody lifts the ceiling for a request of their own.', async () => {
  await house.configure({ erasure: { ceiling: 1 } })
  await house.ask(1, {}, 'cto')
  const { id } = await house.ask(2, {}, 'cto')
  const own = await house.by('erasure.approve', id, {}, 'cto')
  await expect(approveRequest(house.context, id, own)).rejects.toMatchObject({ code: 'E_ROLE_MISSING' })
  await approveRequest(house.context, id, await house.by('erasure.approve', id, {}, 'clerk'))
  expect(await house.request(id)).toMatchObject({ overCeiling: false })
})

describe('a confirmation', () => {
  const confirm = async (id: string, method: 'staff-check' | 'representative') =>
    confirmRequest(house.context, id, method, await house.by('erasure.confirm', id, { method }))
  const verbs = async (id: string) =>
    (await requestStatus(house.context, id)).decisions.map(({ verb }) => verb)

  test('that was given is given again without a trace, and by another method refused', async () => {
    const { id } = await house.ask(1, { kind: 'account-closure' })
    await confirm(id, 'staff-check')
    expect(await verbs(id)).toEqual(['request'])
    await expect(confirm(id, 'representative')).rejects.toMatchObject({ code: 'E_ILLEGAL_TRANSITION' })
  })

  test('of a request that has ended is refused, and its decisions stay what they were', async () => {
    const { id } = await house.ask(1)
    await house.work()
    expect((await house.request(id)).finishedAt).not.toBeNull()
    await expect(confirm(id, 'staff-check')).rejects.toMatchObject({ code: 'E_ILLEGAL_TRANSITION' })
    const instruct = house.by('erasure.instruct', id, { reference: 'x' })
    await expect(instruct.then((by) => instructRequest(house.context, id, 'x', by))).rejects.toMatchObject({
      code: 'E_ILLEGAL_TRANSITION',
    })
    expect(await verbs(id)).toEqual(['request'])
  })
})

describe('a processor of somebody else’s data', () => {
  test('refers a request without an instruction, and carries it out with one', async () => {
    await house.configure({ erasure: { role: 'processor' } })
    const { id } = await house.ask(1)
    const other = await house.ask(2, { instruction: 'DPA-7' })
    await house.work()
    expect(await house.request(id)).toMatchObject({ state: 'referred', waitingFor: 'instruction' })
    expect(await house.left(1)).toEqual(whole)
    expect(await house.request(other.id)).toMatchObject({ state: 'completed-with-retained' })
    await instructRequest(
      house.context,
      id,
      'DPA-8',
      await house.by('erasure.instruct', id, { reference: 'DPA-8' }),
    )
    await house.later()
    expect(await house.left(1)).toEqual(gone)
  })
})

describe('a class of records', () => {
  const care = (decision: string) => ({
    erasure: { classes: { care: { decision, ground: 'care records act', until: 't.keep_until' } } },
  })
  const records = async () => house.ids('records')

  test('that is retained stays, with its ground, and the person without a name', async () => {
    await house.configure(care('retain'))
    const { id } = await house.ask(1)
    await house.work()
    expect(await records()).toEqual([10, 20])
    expect(await house.ids('visits')).toEqual([20])
    expect(await house.request(id)).toMatchObject({
      state: 'completed-with-retained',
      retainedClasses: ['care'],
    })
    expect(await readReceipt(house.context, id)).toContain('care records act')
    const [row] = await house.app.query(
      z.object({ email: z.string().nullable() }),
      'SELECT email FROM people WHERE id = 1',
    )
    expect(row?.email).toBeNull()
  })

  test('that asks is decided for each person, and each keeps what was decided', async () => {
    await house.configure(care('ask'))
    const [first, second] = [await house.ask(1), await house.ask(2)]
    await house.work()
    for (const { id } of [first, second])
      expect(await house.request(id)).toMatchObject({ state: 'confirmed', waitingFor: 'assessment' })
    expect(await house.left(1)).toEqual(whole)
    for (const [{ id }, decision] of [
      [first, 'retain'],
      [second, 'erase'],
    ] as const)
      await assessRequest(
        house.context,
        id,
        { care: decision },
        await house.by('erasure.assess', id, { care: decision }),
      )
    await house.later()
    expect(await records()).toEqual([10])
    expect(await house.ids('people')).toEqual([1])
    expect(await house.legs(first.id)).toMatchObject({ app: { state: 'retained' } })
    expect(await house.legs(second.id)).toMatchObject({ app: { state: 'verified' } })
  })

  test('is read back for each person by what was decided for them, not for their neighbour', async () => {
    await house.configure(care('ask'))
    house.letters.before = () => ({ status: 500 })
    const [first, second] = [await house.ask(1), await house.ask(2)]
    await house.work()
    for (const [{ id }, decision] of [
      [first, 'retain'],
      [second, 'erase'],
    ] as const)
      await assessRequest(
        house.context,
        id,
        { care: decision },
        await house.by('erasure.assess', id, { care: decision }),
      )
    await house.later()
    // both were accepted and could not be read at once; meanwhile the second one's record came back
    await house.app.execute('INSERT INTO people (id, tenant) VALUES (2, 2)')
    await house.app.execute(`INSERT INTO records VALUES (20, 2, now() + interval '5 years')`)
    await house.control.execute(
      `UPDATE lethe_control.erasure_legs SET state = 'accepted',
         next_at = clock_timestamp() - CASE request_id WHEN $1 THEN interval '1 hour' ELSE interval '1 minute' END WHERE store = 'app'`,
      [second.id],
    )
    await house.later()
    expect(await house.legs(first.id)).toMatchObject({ app: { state: 'retained', reopened: 0 } })
    expect(await house.legs(second.id)).toMatchObject({ app: { state: 'failed', reopened: 1 } })
  })
})
