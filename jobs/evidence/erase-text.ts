/**
 * Takes what somebody typed out of the record, where it says more than it should. The evidence keeps the hash; what is
 * still in force keeps its text, since the process that destroys checks it.
 */
import { z } from 'zod'
import type { Queryable } from '../../lib/base/db/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import { eraseStatement, lockStatement, storeStatement } from '../../lib/record/decisions/index.ts'
import { appendEvent } from '../../lib/record/evidence/index.ts'
import { authorise, verbs, type Attested, type Decided } from '../../lib/people/identity/index.ts'
import type { Context } from '../context.ts'

export interface TextErased {
  /** Hash of the statement, 64 hex digits. */
  text: string
  at: Date
  /** It was erased before: nothing was changed or recorded now. */
  before: boolean
}

export function eraseTextStatement(text: string, reason: string): Decided {
  return { verb: 'text.erase', object: text, facts: {}, reason }
}

/**
 * Erases statement and signature behind the hash; idempotent. Throws E_NOT_FOUND, E_USAGE while it is in force, and what
 * `authorise` throws.
 */
export async function eraseText(context: Context, text: string, by: Attested): Promise<TextErased> {
  authorise(by.identity, verbs['text.erase'])
  return context.control.transaction(
    async (tx) => {
      const erasedAt = /^[0-9a-f]{64}$/.test(text) ? await lockStatement(tx, text) : undefined
      if (erasedAt === undefined)
        throw new LetheError('E_NOT_FOUND', {
          message: `No statement has the hash ${text}.`,
          next: '`lethe runs show RUN` and `lethe hold list --json` show the hash beside each reason.',
        })
      if (erasedAt !== null) return { text, at: erasedAt, before: true }
      await refuseInForce(tx, text)
      const at = await eraseStatement(tx, text)
      const statement = await storeStatement(tx, by)
      await appendEvent(tx, {
        type: 'text.erased',
        actor: by.identity.name,
        data: { text, method: by.identity.method, statement },
      })
      return { text, at, before: false }
    },
    { retry: true },
  )
}

const standing = z.object({
  what: z.enum(['proposal', 'appraisal', 'hold']),
  id: z.string(),
  state: z.string(),
  of: z.string(),
})

/** How what is in force comes to its end. */
const ending: Readonly<
  Record<z.infer<typeof standing>['what'], (found: z.infer<typeof standing>) => string>
> = {
  proposal: ({ of }) =>
    `Erase it when its run has ended. To end that now: lethe runs cancel ${of}; where the run has ended already, the policy's next run closes the proposal.`,
  appraisal: ({ id, of }) => `Revoke it first: lethe retention appraise ${of} --revoke ${id} --reason …`,
  hold: ({ id }) =>
    `Release it first: lethe hold release ${id} --reason … (where it is still needed, add it anew before).`,
}

/** Asked under the statement's lock: whoever refers to it anew waits until this transaction has ended. */
async function refuseInForce(tx: Queryable, text: string): Promise<void> {
  const [found] = await tx.query(
    standing,
    `SELECT 'proposal' AS what, p.id, p.state, p.run_id::text AS of
     FROM lethe_control.approvals a JOIN lethe_control.proposals p ON p.id = a.proposal_id
     WHERE a.statement_hash = decode($1, 'hex') AND p.state IN ('waiting', 'approved')
     UNION ALL
     SELECT 'appraisal', id, 'valid', policy FROM lethe_control.appraisals
     WHERE statement_hash = decode($1, 'hex') AND revoked_at IS NULL AND valid_until > clock_timestamp()
     UNION ALL
     SELECT 'hold', id, 'not released', store FROM lethe_control.holds
     WHERE statement_hash = decode($1, 'hex') AND released_at IS NULL
     LIMIT 1`,
    [text],
  )
  if (found === undefined) return
  throw new LetheError('E_USAGE', {
    message: `The statement ${text} is still in force: ${found.what} ${found.id} is ${found.state}.`,
    next: ending[found.what](found),
    facts: { text, [found.what]: found.id },
  })
}
