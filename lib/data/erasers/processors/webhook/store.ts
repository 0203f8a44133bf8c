/** How lethe.yaml declares a service of the team's own that erases when it is told to. */
import { z } from 'zod'
import { nameSchema as name, secretSchema as secret } from '../../../../base/settings/index.ts'
import { columnSchema as column } from '../../../datamap/index.ts'
import { braces, defineStore } from '../../define.ts'
import { about, allowPrivate } from '../../schema-parts.ts'

const schema = z.strictObject({
  kind: z.literal('webhook'),
  ...about,
  url: secret.describe(
    'Where the address stands that events are posted to: https, and no redirect is followed.',
  ),
  secret: secret.describe(
    'Where the secret stands that signs each post: base64 of 24 to 64 bytes, with or without whsec_.',
  ),
  sends: z.array(column).min(1).describe('The identifiers that the service gets, by name, and no others.'),
  places: z.array(name).min(1).describe('Every place that the service may name in an answer.'),
  allow_private: allowPrivate,
  rate_per_minute: z
    .int()
    .min(1)
    .optional()
    .describe('Calls a minute that the service bears; no limit by default.'),
  settle_seconds: z
    .int()
    .min(0)
    .max(604_800)
    .default(0)
    .describe('How long after an erasure the service may still show what has gone.'),
  side_effects: z
    .array(z.string().min(1).max(300))
    .default([])
    .describe('What else an erasure there does, in plain sentences; shown before it is approved.'),
  irreversible_after: z
    .string()
    .min(1)
    .max(200)
    .default('the call')
    .describe('From when on an erasure there cannot be undone, in words.'),
})

export const webhook = defineStore({
  kind: 'webhook',
  schema,
  async open(entry, { store, secret, pace }) {
    const { webhookEraser } = await import('./eraser.ts')
    return {
      eraser: webhookEraser({
        store,
        pace,
        url: secret(entry.url),
        secret: secret(entry.secret),
        allowPrivate: entry.allow_private,
        declared: {
          settleSeconds: entry.settle_seconds,
          ratePerMinute: entry.rate_per_minute ?? null,
          sideEffects: entry.side_effects,
          irreversibleAfter: entry.irreversible_after,
        },
      }),
      plan: { sends: entry.sends, places: entry.places },
      leads: braces(...entry.sends),
    }
  },
})
