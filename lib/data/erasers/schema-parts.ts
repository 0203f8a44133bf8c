/** What several stores declare in the same words. */
import { z } from 'zod'

/** What every store may say of itself. */
export const about = {
  owner: z.string().optional().describe('Who answers for it: a team or a role.'),
  location: z.string().optional().describe('Where the data is: a country or a region, for receipts.'),
}
/** Of an address that a team typed in. */
export const allowPrivate = z
  .boolean()
  .default(false)
  .describe('Allows plain http and addresses of this machine and of private networks.')
/** Of a network of caches. */
export const goneStatuses = z
  .array(z.int().min(300).max(499))
  .min(1)
  .default([404, 410])
  .describe('Statuses that say there is nothing there; 403 where the origin answers so for what is missing.')
/** Of a server on the web or in the team's own network. */
export const httpUrl = z.url({ protocol: /^https?$/ })
