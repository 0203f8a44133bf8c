/** Whether a target has the holds of the record: asked by whoever destroys, before and in the transaction that destroys. */
import { z } from 'zod'
import { prepared, type Database, type Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import type { Keystore } from '../../base/keystore/index.ts'
import { HOLDS_VERSION, projectedVersion } from '../../data/rows/index.ts'
import './errors.ts'
import { projectHolds } from './project.ts'

/**
 * Projects where the target's holds differ from the record's, as after a restore of the target or a projection that failed.
 * Returns their version. Throws E_HOLDS_BEHIND where the projection fails: nothing may be destroyed then.
 */
export async function ensureHolds(
  control: Database,
  keystore: Keystore,
  store: string,
  target: Database,
): Promise<string> {
  const { recorded, projected } = await versions(control, store, target)
  if (recorded === projected) return recorded
  try {
    await projectHolds(control, keystore, store, target)
  } catch (error) {
    if (!(error instanceof LetheError)) throw error
    throw new LetheError('E_HOLDS_BEHIND', {
      message: `The holds of store ${store} could not be written into it: ${error.message}`,
      left: 'Nothing is destroyed in this store, or for its subjects, until they are.',
      facts: { store, reason: error.code },
      cause: error,
    })
  }
  return recorded
}

/**
 * For the transaction that destroys: `target` sees what is committed, and the hold lock is held shared, so that no projection
 * can end before it. Throws E_HOLDS_BEHIND.
 */
export async function refuseHoldsBehind(control: Queryable, store: string, target: Queryable): Promise<void> {
  const { recorded, projected } = await versions(control, store, target)
  if (recorded === projected) return
  throw new LetheError('E_HOLDS_BEHIND', {
    message: `Store ${store} does not have the holds of the record.`,
    left: 'Nothing of this batch was destroyed.',
    facts: { store },
  })
}

async function versions(
  control: Queryable,
  store: string,
  target: Queryable,
): Promise<{ recorded: string; projected: string }> {
  const [projected, [row]] = await Promise.all([
    projectedVersion(target, store),
    control.query(
      z.object({ version: z.string() }),
      prepared(
        `SELECT ${HOLDS_VERSION} AS version FROM lethe_control.holds WHERE store = $1 AND released_at IS NULL`,
      ),
      [store],
    ),
  ])
  return { recorded: row?.version ?? '', projected }
}
