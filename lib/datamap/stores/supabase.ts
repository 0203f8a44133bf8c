import { z } from 'zod'
import { name, secret } from '../atoms.ts'

export const supabaseStore = z
  .strictObject({
    kind: z.literal('supabase'),
    owner: z.string().optional().describe('Who answers for it: a team or a role.'),
    location: z.string().optional().describe('Where the data stands: a country or a region.'),
    url: z
      .url({ protocol: /^https?$/ })
      .describe('Of the Auth server: https://PROJECT.supabase.co/auth/v1, or your own.'),
    secret_key: secret.describe('A secret key (sb_secret_…) or the older service_role key.'),
    user: name.optional().describe("The identifier that holds users' ids. The cheap way to find them."),
    email: name
      .optional()
      .describe('The identifier that holds addresses. Finding by address reads all users of the project.'),
  })
  .refine(({ user, email }) => user !== undefined || email !== undefined, {
    message: 'needs user, email or both: an identifier that leads to a user',
  })
