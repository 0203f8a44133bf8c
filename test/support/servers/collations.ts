/** A collation that calls different texts equal. A server that was built without ICU has none: there are no tests of it there. */
import { inject } from 'vitest'
import type { Database } from '../../../lib/base/db/index.ts'

/** Whether this server has columns of that type; the others are left out where tests are drawn up, so that none is skipped. */
export function isThere(type: string): boolean {
  return inject('hasIcu') || !type.endsWith('caseless')
}

/** Makes collation `caseless`, where the server can. */
export async function createCaseless(db: Database): Promise<void> {
  if (inject('hasIcu'))
    await db.execute(
      `CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
    )
}
