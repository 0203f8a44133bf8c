/** D2 of issue 10 (race E25): a processor that says "1 removed, more" for ever held the step for ever, at 1,110 calls a minute. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { retryLeg } from '../../../../jobs/erasure/index.ts'
import { emailOf, openErasureHouse, type ErasureHouse } from '../../../support/stages/erasure-house.ts'
import { json } from '../../../support/servers/http-server.ts'

const gone = { app: 0, sessions: 0, letters: 0, parcels: 0 }

let house: ErasureHouse
beforeAll(async () => {
  house = await openErasureHouse()
})
beforeEach(async () => {
  await house.empty()
  // a step is as long as its slot
  await house.configure({ operations: { give_back_seconds: 1 } })
  await house.people(1, 2)
})
afterAll(() => house.close())

const more = (count: number) =>
  json(200, { removed: { letters: count }, retained: [], refused: {}, pending: [], more: true })

test('a processor that has always more holds up nobody, is called at a bounded rate, and comes before a person', async () => {
  let calls = 0
  house.letters.answer = ({ type, data }) => {
    if (type !== 'lethe.erase' || JSON.stringify(data).includes('p2@')) return undefined
    calls += 1
    return more(1)
  }
  const { id } = await house.ask(1)
  await house.work()
  expect(calls).toBeLessThanOrEqual(12)
  expect(await house.legs(id)).toMatchObject({
    letters: { state: 'pending', unfinished: 1 },
    app: { state: 'verified' },
    parcels: { state: 'verified' },
  })
  const other = await house.ask(2)
  await house.work()
  expect(await house.left(2)).toEqual(gone)
  expect((await house.request(other.id)).state).toBe('completed-with-retained')
  for (let step = 0; step < 7; step += 1) await house.later()
  expect(await house.legs(id)).toMatchObject({
    letters: { state: 'failed', errorCode: 'E_NO_END', nextAt: null },
  })
  expect((await house.request(id)).state).toBe('needs-attention')
  house.letters.answer = undefined
  await retryLeg(house.context, id, 'letters', await house.by('erasure.retry', id, { store: 'letters' }))
  await house.later()
  expect(await house.left(1)).toEqual(gone)
}, 60_000)

test('one that has much and takes a bit at a time is gone on with until nothing is left', async () => {
  let left = 40
  house.letters.answer = ({ type }) => {
    if (type !== 'lethe.erase' || left <= 1) return undefined
    left -= 1
    house.letters.letters.set(emailOf(1), left)
    return more(1)
  }
  const { id } = await house.ask(1)
  await house.work()
  expect(await house.legs(id)).toMatchObject({ letters: { state: 'pending', unfinished: 1 } })
  for (let step = 0; step < 6; step += 1) await house.later()
  expect(await house.left(1)).toEqual(gone)
  expect((await house.request(id)).state).toBe('completed-with-retained')
}, 60_000)
