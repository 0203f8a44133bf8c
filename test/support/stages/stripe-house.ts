/** An eraser on the small Stripe: subjects `p1`, `p2`… with one customer each, found by address. */
import type { Eraser } from '../../../lib/data/erasers/index.ts'
import { stripeEraser } from '../../../lib/data/erasers/processors/stripe/eraser.ts'
import type { StripeEraserOptions, StripePlan } from '../../../lib/data/erasers/processors/stripe/plan.ts'
import { freePace, knowing, type Known } from './erasing.ts'
import { startStripe, type StripeServer } from '../vendors/stripe.ts'

export interface StripeHouse {
  server: StripeServer
  eraser: (options?: Partial<StripeEraserOptions>) => Eraser<Known<StripePlan>>
  byEmail: Known<StripePlan>
  byId: Known<StripePlan>
  /** As the address of `p1` or as given. */
  addCustomer: (id: string, email?: string) => void
}

export async function openStripeHouse(): Promise<StripeHouse> {
  const server = await startStripe()
  return {
    server,
    eraser: (options = {}) =>
      knowing(
        stripeEraser({
          store: 'billing',
          apiKey: 'sk_test_of_the_tests',
          pace: freePace(),
          baseUrl: server.url,
          patience: { deadlineMs: 2000, attempts: 1 },
          ...options,
        }),
      ),
    byEmail: { email: 'email', identifiers: ({ key: [id = ''] }) => ({ email: [`${id}@example.org`] }) },
    byId: { customer: 'customer', identifiers: ({ key: [id = ''] }) => ({ customer: [`cus_${id}`] }) },
    addCustomer(id, email = `${id}@example.org`) {
      server.customers.push({ id: `cus_${id}`, email, state: 'present' })
    },
  }
}
