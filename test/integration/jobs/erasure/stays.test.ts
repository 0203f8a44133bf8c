/** What an erasure says stays and nothing can read back: payments of a customer who was found by address. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readReceipt } from '../../../../jobs/erasure/index.ts'
import {
  emailOf,
  openErasureHouse,
  otherStores,
  type ErasureHouse,
} from '../../../support/stages/erasure-house.ts'
import { startStripe, type StripeServer } from '../../../support/vendors/stripe.ts'

let house: ErasureHouse
let stripe: StripeServer
beforeAll(async () => {
  stripe = await startStripe()
  house = await openErasureHouse({ STRIPE_KEY: 'sk_test_of_the_tests' })
  await house.configure(
    {},
    { other_stores: [...Object.keys(otherStores), 'billing'] },
    { billing: { kind: 'stripe', api_key: 'env:STRIPE_KEY', email: 'email', base_url: stripe.url } },
  )
})
afterAll(async () => {
  await house.close()
  await stripe.close()
})

test('it is retained for whom it concerns, and for nobody beside them', async () => {
  await house.people(1, 2)
  stripe.customers.push({ id: 'cus_1', email: emailOf(1), state: 'present' })
  const [payer, other] = [await house.ask(1), await house.ask(2)]
  await house.work()
  await house.later()
  await house.later()
  expect((await house.legs(payer.id))['billing']).toMatchObject({
    state: 'retained',
    retained: [{ place: 'payments of deleted customers', count: 1, until: null }],
  })
  expect((await house.legs(other.id))['billing']).toMatchObject({ state: 'verified', retained: [] })
  expect(await readReceipt(house.context, payer.id)).toContain('payments of deleted customers')
  expect(await readReceipt(house.context, other.id)).not.toContain('payments of deleted customers')
})
