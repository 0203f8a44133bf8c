/** Rows that another session has locked. */
import type { Database } from '../../../lib/base/db/index.ts'

/** Holds what `lock` locks until `act` is done. */
export async function lockedMeanwhile<T>(db: Database, lock: string, act: () => Promise<T>): Promise<T> {
  return db.transaction(async (tx) => {
    await tx.execute(lock)
    return act()
  })
}
