/**
 * Takes what somebody typed out of the record, where it says more than it should. The evidence keeps the hash; what is
 * still in force keeps its text, since the process that destroys checks it.
 */
import type { Queryable } from '../../lib/base/db/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import { eraseStatement, lockStatement, recordDecision } from '../../lib/record/decisions/index.ts'
import { authorise, type Attested, type Decided } from '../../lib/people/identity/index.ts'
import type { Context } from '../context.ts'
import { inForce, type Standing } from '../in-force.ts'

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
  authorise(context.config.file, by.identity, 'text.erase')
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
      const at = await recordDecision(
        tx,
        by,
        () => eraseStatement(tx, text),
        (signed) => ({ type: 'text.erased', data: { text, ...signed } }),
      )
      return { text, at, before: false }
    },
    { retry: true },
  )
}

/** How what is in force comes to its end. */
const ending: Readonly<Record<Standing['what'], (found: Standing) => string>> = {
  proposal: ({ of }) =>
    `Erase it when its run has ended. To end that now: lethe runs cancel ${of}; where the run has ended already, the policy's next run closes the proposal.`,
  appraisal: ({ id, of }) => `Revoke it first: lethe retention appraise ${of} --revoke ${id} --reason …`,
  policy: ({ id }) =>
    `Arm it anew first, in other words: lethe arm ${id} --reason …; or disarm it: lethe arm ${id} --observe --reason …`,
  hold: ({ id }) =>
    `Release it first: lethe hold release ${id} --reason … (where it is still needed, add it anew before).`,
}

/** Asked under the statement's lock: whoever refers to it anew waits until this transaction has ended. */
async function refuseInForce(tx: Queryable, text: string): Promise<void> {
  const found = await inForce(tx, text)
  if (found === null) return
  throw new LetheError('E_USAGE', {
    message: `The statement ${text} is still in force: ${found.what} ${found.id} is ${found.state}.`,
    next: ending[found.what](found),
    facts: { text, [found.what]: found.id },
  })
}
