import { z } from 'zod'
import { nameSchema as name, secretSchema as secret } from '../../../../base/settings/index.ts'
import { braces, defineStore, given } from '../../define.ts'
import { about, httpUrl } from '../../schema-parts.ts'

const schema = z
  .strictObject({
    kind: z.literal('supabase'),
    ...about,
    url: httpUrl.describe('Of the Auth server: https://PROJECT.supabase.co/auth/v1, or your own.'),
    secret_key: secret.describe('A secret key (sb_secret_…) or the older service_role key.'),
    user: name.optional().describe("The identifier that holds users' ids. The cheap way to find them."),
    email: name
      .optional()
      .describe('The identifier that holds addresses. Finding by address reads all users of the project.'),
  })
  .refine(({ user, email }) => user !== undefined || email !== undefined, {
    message: 'needs user, email or both: an identifier that leads to a user',
  })

export const supabase = defineStore({
  kind: 'supabase',
  schema,
  async open(entry, { store, secret, pace }) {
    const { supabaseEraser } = await import('./eraser.ts')
    const { user, email } = entry
    return {
      eraser: supabaseEraser({ store, pace, url: entry.url, secretKey: secret(entry.secret_key) }),
      plan: given({ user, email }),
      leads: braces(user, email),
    }
  },
})
