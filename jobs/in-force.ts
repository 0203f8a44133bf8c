/** What stands on a signed statement now: it needs the text, and the token that proved it. */
import { z } from 'zod'
import type { Queryable } from '../lib/base/db/index.ts'
import { holdsInForce } from '../lib/record/holds/index.ts'
import { appraisalsInForce, approvalsInForce, armingsInForce } from '../lib/record/proposals/index.ts'

const standing = z.object({
  what: z.enum(['proposal', 'appraisal', 'hold', 'policy']),
  id: z.string(),
  state: z.string(),
  /** The run of a proposal, the policy of an appraisal, the store of a hold. */
  of: z.string(),
})
export type Standing = z.infer<typeof standing>

/** Null: nothing. `statement`: its hash in hex. */
export async function inForce(tx: Queryable, statement: string): Promise<Standing | null> {
  const [found] = await tx.query(
    standing,
    `${[approvalsInForce, appraisalsInForce, holdsInForce, armingsInForce].join(' UNION ALL ')} LIMIT 1`,
    [statement],
  )
  return found ?? null
}
