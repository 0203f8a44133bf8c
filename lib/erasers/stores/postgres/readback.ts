/**
 * Reads back what a sweep removed. A removed root's key stays in lethe.population as `erased` until its absence was seen
 * with a statement of its own, after the commit; only then does the key leave the target. A crash loses no check.
 */
import { z } from 'zod'
import type { DeletionPlan } from '../../../datamap/index.ts'
import type { Database } from '../../../db/index.ts'
import { verifyKeys } from './verify.ts'

export interface ReadBack {
  /** Subjects looked at in this call; 0: none is left to look at. */
  checked: number
  /** Rows still found, by table; while there are any, the page's keys stay and the next call finds the same. */
  left: Record<string, number>
}

/** One page. Retained rows of kept roots are no failure. */
export async function readBackErased(
  db: Database,
  plan: DeletionPlan,
  proposalId: string,
  limit: number,
): Promise<ReadBack> {
  const page = await db.query(
    z.object({ ordinal: z.string(), root_key: z.array(z.string()) }),
    `SELECT ordinal, root_key FROM lethe.population WHERE proposal_id = $1 AND state = 'erased' ORDER BY ordinal LIMIT $2`,
    [proposalId, limit],
  )
  if (page.length === 0) return { checked: 0, left: {} }
  const found = await db.transaction(
    async (tx) => {
      // by index, whatever the statistics say of tables that have just lost rows
      await tx.execute(`SET LOCAL enable_seqscan = off`)
      return verifyKeys(
        tx,
        plan,
        page.map((row) => row.root_key),
      )
    },
    { readOnly: true, retry: true },
  )
  // A crash behind this line must not lose what was found, so those keys stay until the caller has dealt with them.
  if (Object.keys(found.left).length > 0) return { checked: page.length, left: { ...found.left } }
  await db.execute(`DELETE FROM lethe.population WHERE proposal_id = $1 AND ordinal = ANY ($2::bigint[])`, [
    proposalId,
    page.map((row) => row.ordinal),
  ])
  return { checked: page.length, left: { ...found.left } }
}
