import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { runBatch, type BatchHooks } from '../../../../lib/erasers/index.ts'
import { openSmallClinic, type SmallClinic } from '../../../support/small-clinic.ts'

let clinic: SmallClinic
beforeAll(async () => {
  clinic = await openSmallClinic()
})
afterAll(() => clinic.close())
beforeEach(async () => {
  await clinic.db.execute(
    `TRUNCATE people, addresses, visits, samples, invoices, app_holds, loose_holds, lethe.population, lethe.holds,
       lethe.kept_roots, lethe.removing`,
  )
})

const hooks: BatchHooks = { beforeDestruction: () => Promise.resolve() }

describe('a batch', () => {
  test('removes each subject with all its rows and leaves the others', async () => {
    await clinic.addPeople([1, 2, 3])
    const run = await clinic.run()
    const outcome = await runBatch(clinic.db, clinic.plan, run.batch(1n, [1, 2]), hooks)
    expect(outcome.done).toEqual([1n, 2n])
    expect(outcome.removed).toEqual({
      'public.people': 2,
      'public.addresses': 2,
      'public.visits': 4,
      'public.samples': 6,
    })
    expect(await clinic.count('people')).toBe(1)
    expect(await clinic.count('samples')).toBe(3)
    expect(await clinic.count('addresses')).toBe(1)
  })
})
