/** A collation that calls different texts equal. */
import { z } from 'zod'
import type { Database } from '../../../lib/base/db/index.ts'

/** Makes collation `caseless`; false: this server was built without ICU, which alone has such collations. */
export async function createCaseless(db: Database): Promise<boolean> {
  const [row] = await db.query(
    z.object({ icu: z.boolean() }),
    `SELECT EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i' AND collname <> 'unicode') AS icu`,
  )
  if (row?.icu !== true) return false
  await db.execute(
    `CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
  )
  return true
}
