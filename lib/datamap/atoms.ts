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
/** Where a secret or an address stands: never in the map itself. */
export const secret = z.string().regex(/^(env:[A-Z][A-Z0-9_]*|file:\/.+)$/, '"env:NAME" or "file:/path"')
