/** Between the look for what is due and the call: whoever was held, cancelled or settled meanwhile gets no call. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { acceptLeg } from '../../../../jobs/erasure/index.ts'
import { beginLegs, dueLegs } from '../../../../lib/record/requests/index.ts'
import { openErasureHouse, type ErasureHouse } from '../../../support/stages/erasure-house.ts'

let house: ErasureHouse
beforeAll(async () => {
  house = await openErasureHouse()
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.empty()
  await house.people(1, 2, 3)
})

/** Requests whose letters are due, and the claim of the run that is about to call. */
async function aboutToCall() {
  house.letters.before = () => ({ status: 500 })
  const ids: string[] = []
  for (const person of [1, 2, 3]) ids.push((await house.ask(person)).id)
  await house.work()
  await house.control.execute('UPDATE lethe_control.erasure_legs SET next_at = clock_timestamp()')
  const [run] = await house.control.query(
    z.object({ id: z.string(), fence: z.coerce.bigint() }),
    `UPDATE lethe_control.runs SET state = 'running' WHERE kind = 'erasure.cascade' AND state = 'waiting' RETURNING id, fence`,
  )
  if (run === undefined) throw new Error('no run waits')
  const due = await dueLegs(house.control, ids, ['letters', 'parcels'])
  expect(due.map(({ requestId, store }) => `${requestId} ${store}`).sort()).toEqual(
    ids.map((id) => `${id} letters`).sort(),
  )
  return { ids, run }
}

test('a call goes out for those whose request is still being erased, and whose leg nobody settled', async () => {
  const { ids, run } = await aboutToCall()
  const [held = '', settled = '', third = ''] = ids
  await house.control.execute(`UPDATE lethe_control.erasure_requests SET state = 'on-hold' WHERE id = $1`, [
    held,
  ])
  await acceptLeg(
    house.context,
    settled,
    'letters',
    await house.by('erasure.accept', settled, { object: 'letters' }, 'cto'),
  )
  const before = await house.legs(held)
  expect(await beginLegs(house.control, run, 'letters', ids)).toEqual(new Set([third]))
  expect((await house.legs(held))['letters']?.attempt).toBe(before['letters']?.attempt)
  await house.control.execute(`UPDATE lethe_control.runs SET state = 'waiting' WHERE id = $1`, [run.id])
})

test('an overtaken worker calls nobody', async () => {
  const { ids, run } = await aboutToCall()
  await house.control.execute('UPDATE lethe_control.runs SET fence = fence + 1 WHERE id = $1', [run.id])
  await expect(beginLegs(house.control, run, 'letters', ids)).rejects.toMatchObject({ code: 'E_FENCED' })
  await house.control.execute(`UPDATE lethe_control.runs SET state = 'waiting' WHERE id = $1`, [run.id])
})
