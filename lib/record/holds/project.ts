/** The projection of the holds into a target, where the deleting statements check them. */
import { z } from 'zod'
import type { Database } from '../../base/db/index.ts'
import type { Keystore } from '../../base/keystore/index.ts'
import { replaceHolds, takeHoldLock } from '../../data/rows/index.ts'
import { appendEvent } from '../evidence/index.ts'
import { holdLevels } from './hold.ts'

/** A batch holds the lock shared for its target duration; a piece or a slow one a little longer. */
const LOCK_WAIT_MS = 60_000

const stored = z.object({
  id: z.string(),
  level: z.enum(holdLevels),
  subject_kind: z.string().nullable(),
  table_name: z.string().nullable(),
  key_cipher: z.instanceof(Buffer).nullable(),
  key_id: z.string().nullable(),
  kind: z.string(),
})

/**
 * Makes the target's projection equal to the record: every sweep does it first, because a restored target has the holds
 * of its backup. One transaction under the exclusive hold lock; idempotent.
 */
export async function projectHolds(
  control: Database,
  keystore: Keystore,
  store: string,
  target: Database,
): Promise<void> {
  const projected = await target.transaction(
    async (tx) => {
      await takeHoldLock(tx)
      // read after the lock is ours: whoever projects later reads a newer record
      const active = await control.query(
        stored,
        `SELECT id, level, subject_kind, table_name, key_cipher, key_id, kind FROM lethe_control.holds
         WHERE store = $1 AND released_at IS NULL`,
        [store],
      )
      const everywhere = await control.query(
        z.object({ id: z.string() }),
        'SELECT id FROM lethe_control.holds WHERE released_at IS NULL',
      )
      await replaceHolds(
        tx,
        store,
        active.map((hold) => ({
          id: hold.id,
          level: hold.level,
          subjectKind: hold.subject_kind,
          tableName: hold.table_name,
          key:
            hold.key_cipher === null || hold.key_id === null
              ? null
              : z.array(z.string()).parse(JSON.parse(keystore.open(hold.key_id, hold.key_cipher).toString())),
          kind: hold.kind,
        })),
        everywhere.map(({ id }) => id),
      )
      return active.map((hold) => hold.id)
    },
    { lockTimeoutMs: LOCK_WAIT_MS, statementTimeoutMs: LOCK_WAIT_MS, retry: true },
  )
  await noteProjected(control, store, projected)
}

/** Only the holds that were read under the lock: one that was added since is projected by whoever added it. */
async function noteProjected(control: Database, store: string, projected: readonly string[]): Promise<void> {
  await control.transaction(
    async (tx) => {
      const fresh = await tx.query(
        z.object({ id: z.string() }),
        `UPDATE lethe_control.holds SET projected_at = now() WHERE id = ANY($1::uuid[]) AND projected_at IS NULL RETURNING id`,
        [projected],
      )
      for (const { id } of fresh) await appendEvent(tx, { type: 'hold.projected', data: { hold: id, store } })
      await tx.execute(
        `UPDATE lethe_control.holds SET unprojected_at = now()
         WHERE store = $1 AND released_at IS NOT NULL AND unprojected_at IS NULL AND NOT id = ANY($2::uuid[])`,
        [store, projected],
      )
    },
    { retry: true },
  )
}
