import { z } from 'zod'
import { nameSchema as name, secretSchema as secret } from '../../../../base/settings/index.ts'
import { defineStore, given } from '../../define.ts'
import { about } from '../../schema-parts.ts'

const schema = z.strictObject({
  kind: z.literal('sendgrid'),
  ...about,
  api_key: secret.describe(
    'Key with the scopes recipients.erasejob.create and those of marketing contacts and suppressions.',
  ),
  base_url: z.url().optional().describe("Of a server that isn't SendGrid's."),
  region: z
    .enum(['global', 'eu'])
    .default('global')
    .describe('eu: the account or subuser keeps its data in the EU.'),
  subuser: z
    .string()
    .min(1)
    .max(64)
    .regex(/^[^\s:]+$/)
    .optional()
    .describe(
      "User name of a subuser of the key's account. Its sent mail and suppressions are erased; its marketing contacts need a store with a key of its own.",
    ),
  email: name.default('email').describe("The identifier that holds a subject's addresses."),
  delete_suppressions: z
    .array(
      z.enum(['unsubscribes', 'group_unsubscribes', 'spam_reports', 'bounces', 'blocks', 'invalid_emails']),
    )
    .default([])
    .describe(
      'Lists from which addresses are deleted. By default all keep them: an address that is no longer listed gets mail again, also where the person had unsubscribed.',
    ),
})

export const sendgrid = defineStore({
  kind: 'sendgrid',
  schema,
  async open(entry, { store, secret, pace }) {
    const { sendgridEraser } = await import('./eraser.ts')
    return {
      eraser: sendgridEraser({
        store,
        pace,
        apiKey: secret(entry.api_key),
        region: entry.region,
        deleteSuppressions: entry.delete_suppressions,
        ...given({ subuser: entry.subuser, baseUrl: entry.base_url }),
      }),
      plan: { email: entry.email },
      leads: [`{${entry.email}}`],
    }
  },
})
