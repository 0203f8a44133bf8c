/** What keys of the map are made of. */
import { z } from 'zod'

export const name = z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/, 'a lower-case name: letters, digits, - and _')
export const sql = z.string().min(1).max(4000)
export const column = z.string().min(1).max(63)
export const period = z
  .string()
  .regex(/^\d+ (day|days|month|months|year|years)$/, 'a period such as "30 days", "6 months" or "7 years"')
/** `schema.table`, each part as the catalogue spells it; quote a part that holds a dot: `public."odd.name"`. */
export const table = z.string().min(3).max(130)
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
/** For a refinement: half of a pair would be dropped without a word, and whoever the environment names would be asked. */
export function together(one: string, other: string) {
  return [
    (entry: Readonly<Record<string, unknown>>) => (entry[one] === undefined) === (entry[other] === undefined),
    { message: `${one} and ${other} go together` },
  ] as const
}
/** Where a secret or an address stands: never in the map itself. */
export const secret = z.string().regex(/^(env:[A-Z][A-Z0-9_]*|file:\/.+)$/, '"env:NAME" or "file:/path"')
