import { z } from 'zod'
import { nameSchema as name, secretSchema as secret } from '../../../../base/settings/index.ts'
import { braces, defineStore, given } from '../../define.ts'
import { about } from '../../schema-parts.ts'

const schema = z
  .strictObject({
    kind: z.literal('stripe'),
    ...about,
    api_key: secret.describe(
      'Key that may read and write customers; for redaction also redaction jobs. A restricted key will do.',
    ),
    base_url: z.url().optional().describe("Of a server that isn't Stripe's."),
    account: z
      .string()
      .regex(/^acct_[A-Za-z0-9]+$/)
      .optional()
      .describe("A connected account, in place of the key's own."),
    customer: name.optional().describe("The identifier that holds Stripe's ids of customers."),
    email: name
      .optional()
      .describe('The identifier that holds addresses under which customers are looked for.'),
    redaction: z
      .boolean()
      .default(false)
      .describe(
        'Redact customers with their payments in place of deleting them. A preview at Stripe and irreversible: no refunds, disputes are lost.',
      ),
    validation: z
      .enum(['error', 'fix'])
      .default('error')
      .describe(
        'What a redaction job does about open invoices and the like: say so, or settle them where it can.',
      ),
    search: z
      .boolean()
      .default(true)
      .describe("Look for addresses in any case by Stripe's search; off for accounts without it (India)."),
  })
  .refine(({ customer, email }) => customer !== undefined || email !== undefined, {
    message: 'needs customer, email or both: an identifier that leads to a customer',
  })

export const stripe = defineStore({
  kind: 'stripe',
  schema,
  async open(entry, { store, secret, pace }) {
    const { stripeEraser } = await import('./eraser.ts')
    const { account, customer, email, redaction, validation, search, base_url: baseUrl } = entry
    return {
      eraser: stripeEraser({
        store,
        pace,
        apiKey: secret(entry.api_key),
        redaction,
        validation,
        search,
        byAddress: email !== undefined,
        ...given({ account, baseUrl }),
      }),
      plan: given({ customer, email }),
      leads: braces(customer, email),
    }
  },
})
