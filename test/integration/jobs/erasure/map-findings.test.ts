/** C5 of issue 10: what people ask for is written down whatever the map lacks; only destruction waits for a sound plan. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { cancelRequest, confirmRequest, isPresent, requestStatus } from '../../../../jobs/erasure/index.ts'
import { examineRequests } from '../../../../jobs/doctor/requests.ts'
import { registry } from '../../../../jobs/registry.ts'
import { intakeState } from '../../../../lib/record/requests/index.ts'
import { listRuns } from '../../../../lib/record/ledger/index.ts'
import { emailOf, openErasureHouse, type ErasureHouse } from '../../../support/stages/erasure-house.ts'

const whole = { app: 3, sessions: 2, letters: 2, parcels: 2 }
const finding = 'unclassified-table:app/public.surprise'
const surprise = 'CREATE TABLE surprise (person_id bigint REFERENCES people ON DELETE CASCADE)'
const mend = () => house.app.execute('DROP TABLE IF EXISTS surprise')
const observe = async () => registry.get('erasure.cascade').observe?.(house.context)

let house: ErasureHouse
beforeAll(async () => {
  house = await openErasureHouse()
})
beforeEach(async () => {
  await house.empty()
  await house.people(1, 2)
  await house.app.execute(surprise)
})
afterEach(mend)
afterAll(() => house.close())

/** The tables fit again, and the dispatcher looks. */
async function fits(): Promise<void> {
  await mend()
  await house.configure()
  await observe()
  await house.work()
}

const asked = {
  'by key': () => house.ask(1).then(({ id }) => id),
  'by an identifier': () =>
    house.ask(1, { who: { identifier: 'email', value: emailOf(1) } }).then(({ id }) => id),
  'by SQL': () => house.askSql(1),
}

test.each(Object.entries(asked))(
  'a request %s is written down while a table is unclassified, waits for that with its month running, and goes on by itself',
  async (_how, ask) => {
    const [before] = await house.app.query(z.object({ at: z.date() }), 'SELECT clock_timestamp() AS at')
    const id = await ask()
    await house.work()
    expect(await house.left(1)).toEqual(whole)
    expect(await house.ledger(1)).toEqual([])
    const request = await house.request(id)
    expect(request).toMatchObject({ state: 'confirmed', planHash: null, accessCutAt: null })
    const days = (request.dueAt.getTime() - (before?.at.getTime() ?? 0)) / 86_400_000
    expect(days).toBeGreaterThan(27)
    expect(days).toBeLessThan(31.1)
    const { next, standstill } = await requestStatus(house.context, id)
    expect(standstill?.stopped).toMatchObject({ code: 'E_MAP_FINDINGS' })
    expect(next).toContain(finding)
    const [run] = await listRuns(house.control)
    expect(run).toMatchObject({ state: 'refused', errorMessage: expect.stringContaining(finding) })
    const doctor = JSON.stringify(await examineRequests(house.control, house.context.config))
    expect(doctor).toContain(finding)
    expect(doctor).toContain('1 request waits for that')
    await fits()
    expect(await house.request(id)).toMatchObject({ state: 'completed-with-retained' })
    expect(await house.left(1)).toMatchObject({ app: 0, sessions: 0 })
    expect(await house.left(2)).toEqual(whole)
  },
)

test('what applications ask for after the cascade stopped is taken in at the next look, and not after five minutes', async () => {
  await house.ask(1)
  await house.work()
  const [row] = await house.app.query(
    z.object({ id: z.string() }),
    `SELECT lethe.request_erasure('person', ARRAY['2'], kind => 'article-17', identity => 'signed-in-session') AS id`,
  )
  const id = row?.id ?? ''
  await observe()
  await house.work()
  expect(await house.request(id)).toMatchObject({ state: 'confirmed' })
  expect(await intakeState(house.app)).toMatchObject({ waiting: 0, failing: {} })
  expect(await house.left(2)).toEqual(whole)
})

test('a request can be confirmed and cancelled while a table is unclassified', async () => {
  const id = await house.askSql(1, `kind => 'article-17'`)
  await house.work()
  await confirmRequest(
    house.context,
    id,
    'staff-check',
    await house.by('erasure.confirm', id, { method: 'staff-check' }),
  )
  await cancelRequest(house.context, id, await house.by('erasure.cancel', id))
  await fits()
  expect(await house.request(id)).toMatchObject({ state: 'cancelled' })
  expect(await house.left(1)).toEqual(whole)
})

test('whether a person is there is known while a table is unclassified', async () => {
  expect(await isPresent(house.context, 'person', ['1'])).toBe(true)
  expect(await isPresent(house.context, 'person', ['99'])).toBe(false)
})

test('a hold on a person is added, and is in force in the store, while a table is unclassified', async () => {
  const { id } = await house.ask(1)
  const hold = { level: 'subject', subject: 'person', key: ['01'] } as const
  expect(await house.hold(hold)).toMatchObject({ found: true, alreadyGone: false })
  const held = await house.app.query(z.object({ key: z.array(z.string()) }), 'SELECT key FROM lethe.holds')
  expect(held).toEqual([{ key: ['1'] }])
  await fits()
  expect(await house.request(id)).toMatchObject({ state: 'on-hold' })
  expect(await house.left(1)).toMatchObject({ app: 3, letters: 2 })
})

test('a key that several rows have is written down, and no other person of that moment is taken for it', async () => {
  await mend()
  await house.configure({}, { key: ['tenant'] })
  await house.app.execute('INSERT INTO people (id, tenant) VALUES (11, 1)')
  await house.askSql(1)
  await house.askSql(2)
  await house.work()
  const hashes = await house.control.query(
    z.object({ hash: z.string() }),
    `SELECT DISTINCT encode(subject_hash, 'hex') AS hash FROM lethe_control.erasure_requests`,
  )
  const expected = ['1', '2'].map((key) =>
    house.context.keystore.subjectHash('app', 'person', [key]).toString('hex'),
  )
  expect(hashes.map(({ hash }) => hash).sort()).toEqual(expected.sort())
  expect(await house.ids('people')).toEqual([1, 2, 11])
})

test('where the root table is gone nobody can say who is meant: what an application asked stays in its store, with its due date, until it is back', async () => {
  await mend()
  await house.app.execute('ALTER TABLE people RENAME TO humans')
  await house.configure()
  const id = await house.askSql(1)
  try {
    await expect(house.ask(1)).rejects.toMatchObject({ code: 'E_MAP_FINDINGS' })
    await house.work()
    expect(await intakeState(house.app)).toMatchObject({ failing: { E_MAP_FINDINGS: 1 } })
  } finally {
    await house.app.execute('ALTER TABLE humans RENAME TO people')
  }
  await house.configure()
  await house.later()
  expect(await house.request(id)).toMatchObject({ state: 'completed-with-retained' })
})
