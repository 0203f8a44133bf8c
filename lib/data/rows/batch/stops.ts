/**
 * lethe.stops: stores of this database that are stopped. Written under the hold lock taken exclusively, so that no batch runs on
 * once a store is stopped; every batch looks after it has the lock shared.
 */
import type { Database } from '../../../base/db/index.ts'
import { LetheError } from '../../../base/errors/index.ts'
import { takeHoldLock } from './holds.ts'

/** A batch holds the lock shared for its target duration; a piece or a slow one a little longer. */
const LOCK_WAIT_MS = 60_000

/** When it returns, no batch of this database deletes in a stopped store any more. Idempotent. */
export async function projectStop(target: Database, store: string, stopped: boolean): Promise<void> {
  await target.transaction(
    async (tx) => {
      await takeHoldLock(tx)
      await tx.execute(
        stopped
          ? 'INSERT INTO lethe.stops (store) VALUES ($1) ON CONFLICT DO NOTHING'
          : 'DELETE FROM lethe.stops WHERE store = $1',
        [store],
      )
    },
    { lockTimeoutMs: LOCK_WAIT_MS, statementTimeoutMs: LOCK_WAIT_MS, retry: true },
  )
}

export function stopped(store: string): LetheError {
  return new LetheError('E_STOPPED', {
    message: `Store ${store} is stopped: nothing is destroyed in it, or for its subjects elsewhere.`,
    left: 'What was removed before is recorded.',
    next: `Once it may go on: lethe resume ${store} --reason …`,
    facts: { store },
  })
}
