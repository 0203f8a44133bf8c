/** Stripe: customers, deleted or, where the account has the preview, redacted. Follows docs.stripe.com/api/customers and docs.stripe.com/privacy. */
import type { Eraser } from '../../eraser.ts'
import { LetheError } from '../../../../base/errors/index.ts'
import { VERSION, PREVIEW, type StripeSide } from './client.ts'
import { findCustomers, listByAddress, searchByAddress } from './customers.ts'
import { eraseCustomers, idsOf, retainedOf } from './erase.ts'
import type { StripeEraserOptions, StripePlan } from './plan.ts'
import { probeRedaction } from './redaction.ts'

/** Nobody's: .invalid never resolves. */
const NOBODY = 'probe@lethe.invalid'

/** Needs a key that may read and write customers, for redaction also redaction jobs. */
export function stripeEraser(options: StripeEraserOptions): Eraser<StripePlan> {
  const { store, pace, patience, redaction = false, search = true, byAddress = false } = options
  const side: StripeSide = {
    store,
    vendor: 'Stripe',
    pace,
    options,
    patience,
  }
  return {
    store,
    capabilities: {
      // Customers are deleted one by one.
      bulk: byAddress && !redaction ? 1 : 100,
      // What a sandbox allows (25 a second); a live account has four times that.
      ratePerMinute: 1500,
      reversible: false,
      verifiable: true,
      sideEffects: redaction
        ? [
            'redacted payments cannot be refunded, and disputes about them are lost',
            'payments can be redacted from 90 days after they were made on: before, the job fails',
            'Stripe itself may keep what the law makes it keep',
            'a customer that was deleted before is not redacted: its payments stay',
          ]
        : [
            'active subscriptions of a deleted customer are cancelled at once',
            'payments, invoices and events keep name and address of a deleted customer',
            'a customer found by its address only is not found again once deleted: what stays of it is reported by the call that deletes it',
          ],
      irreversibleAfter: redaction ? 'the start of the redaction job' : 'the call',
      settleSeconds: search ? 60 : 0,
      follows: redaction ? `Stripe ${VERSION}, redaction jobs ${PREVIEW}` : `Stripe ${VERSION}`,
    },
    async probe(plan, signal) {
      if (plan.customer === undefined && plan.email === undefined)
        throw new LetheError('E_CONFIG', {
          message: `Stripe (${store}) needs to know which identifier leads to a customer: customer, email or both.`,
        })
      await listByAddress(side, NOBODY, signal)
      if (search) await searchByAddress(side, [NOBODY], signal)
      if (redaction) await probeRedaction(side, signal)
    },
    async locate(subjects, plan, signal) {
      const present = idsOf(await findCustomers(side, subjects, plan, signal), 'present')
      return { counts: present.length === 0 ? {} : { customers: present.length } }
    },
    async erase(subjects, plan, page, signal) {
      signal.throwIfAborted()
      return eraseCustomers(side, subjects, plan, page, signal)
    },
    async verify(subjects, plan, signal) {
      const found = await findCustomers(side, subjects, plan, signal)
      return found.map((known) => {
        const present = idsOf([known], 'present').length
        const left = {
          ...(present === 0 ? {} : { customers: present }),
          ...(known.unfit === 0 ? {} : { "values that are no customer's id": known.unfit }),
        }
        return {
          absent: Object.keys(left).length === 0,
          left,
          retained: retainedOf(idsOf([known], 'deleted').length),
        }
      })
    },
  }
}
