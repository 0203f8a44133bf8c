import { z } from 'zod'
import { about, httpUrl, name, secret } from '../atoms.ts'

export const supabaseStore = z
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
