/**
 * Reads back what a sweep removed. A removed root's key stays in lethe.population as `erased` until its absence was seen
 * with a statement of its own, after the commit, and the caller has that on record; only then does the key leave the
 * target. A crash loses no check and counts none twice.
 */
import { z } from 'zod'
import { summed } from '../../../base/counts/index.ts'
import type { DeletionPlan } from '../../deletion/index.ts'
import type { Database } from '../../../base/db/index.ts'
import { verifyKeys } from '../batch/verify.ts'

export interface ReadBack {
  /** Subjects looked at in this call; 0: none is left to look at. */
  checked: number
  /** Rows still found, by table. */
  left: Record<string, number>
  /** Where the next call begins, once this one is on record; keys up to here leave the target then. */
  to: bigint
}

/** One page behind ordinal `after` (-1: from the start). Retained rows of kept roots are no failure. */
export async function readBackErased(
  db: Database,
  plan: DeletionPlan,
  proposalId: string,
  { after, limit }: { after: bigint; limit: number },
): Promise<ReadBack> {
  await db.execute(
    `DELETE FROM lethe.population WHERE proposal_id = $1 AND state = 'erased' AND ordinal <= $2`,
    [proposalId, after.toString()],
  )
  const page = await db.query(
    z.object({ ordinal: z.coerce.bigint(), root_key: z.array(z.string()) }),
    `SELECT ordinal, root_key FROM lethe.population WHERE proposal_id = $1 AND state = 'erased' AND ordinal > $2
     ORDER BY ordinal LIMIT $3`,
    [proposalId, after.toString(), limit],
  )
  if (page.length === 0) return { checked: 0, left: {}, to: after }
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
  const left = summed(found.map((subject) => subject.left))
  return { checked: page.length, left, to: page.at(-1)?.ordinal ?? after }
}
