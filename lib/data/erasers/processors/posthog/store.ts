import { z } from 'zod'
import { nameSchema as name, secretSchema as secret } from '../../../../base/settings/index.ts'
import { braces, defineStore, given } from '../../define.ts'
import { about, httpUrl } from '../../schema-parts.ts'

const schema = z
  .strictObject({
    kind: z.literal('posthog'),
    ...about,
    url: httpUrl.describe(
      'https://eu.posthog.com, https://us.posthog.com or your own; not the address for capture (i.posthog.com).',
    ),
    project: z.string().regex(/^\d+$/).describe("The project's number."),
    api_key: secret.describe('Personal API key with person:read, person:write and query:read.'),
    distinct_id: name
      .optional()
      .describe('The identifier that holds distinct ids. Events that are left over are found by these.'),
    email: name.optional().describe('The identifier that holds addresses, as in the person property email.'),
  })
  .refine(({ distinct_id, email }) => distinct_id !== undefined || email !== undefined, {
    message: 'needs distinct_id, email or both: an identifier that leads to a person',
  })

export const posthog = defineStore({
  kind: 'posthog',
  schema,
  async open(entry, { store, secret, pace }) {
    const { posthogEraser } = await import('./eraser.ts')
    const { distinct_id: distinctId, email } = entry
    return {
      eraser: posthogEraser({
        store,
        pace,
        url: entry.url,
        project: entry.project,
        apiKey: secret(entry.api_key),
      }),
      plan: given({ distinctId, email }),
      leads: braces(distinctId, email),
    }
  },
})
