/** How lethe.yaml declares someone the data was disclosed to, who is told of each erasure (Art. 19 GDPR). */
import { z } from 'zod'
import { secretSchema as secret } from '../../../../base/settings/index.ts'
import { columnSchema as column } from '../../../datamap/index.ts'
import { braces, defineStore } from '../../define.ts'
import { about, allowPrivate } from '../../schema-parts.ts'

const schema = z.strictObject({
  kind: z.literal('recipient'),
  name_in_receipt: z
    .string()
    .max(200)
    .regex(/^(?!.*%40)[^@\p{C}\p{Zl}\p{Zp}]+$/u, 'a name in one line, without an address')
    .optional()
    .describe("What receipts and answers call it; the store's name by default."),
  location: about.location,
  url: secret.describe(
    'Where the address stands that notices are posted to: https, and no redirect is followed.',
  ),
  secret: secret.describe(
    'Where the secret stands that signs each notice: base64 of 24 to 64 bytes, with or without whsec_.',
  ),
  sends: z.array(column).min(1).describe('The identifiers that the recipient gets, by name, and no others.'),
  allow_private: allowPrivate,
  rate_per_minute: z
    .int()
    .min(1)
    .optional()
    .describe('Notices a minute that the recipient bears; no limit by default.'),
})

export const recipient = defineStore({
  kind: 'recipient',
  schema,
  tells: true,
  async open(entry, { store, secret, pace, requestKey }) {
    const { recipientEraser } = await import('./eraser.ts')
    return {
      eraser: recipientEraser({
        store,
        pace,
        requestKey,
        url: secret(entry.url),
        secret: secret(entry.secret),
        allowPrivate: entry.allow_private,
        ratePerMinute: entry.rate_per_minute ?? null,
      }),
      plan: { sends: entry.sends },
      leads: braces(...entry.sends),
    }
  },
})
