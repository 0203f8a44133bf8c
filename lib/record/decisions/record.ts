/** How a decision is recorded, whatever it is about: what was signed, its effect and its event, or none of the three. */
import type { Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { appendEvent, type NewEvent } from '../evidence/index.ts'
import type { Attested } from './attested.ts'
import { statementHash, storeStatement } from './statements.ts'

/** What rows and events name a decision's evidence by. */
export interface Signed {
  method: string
  /** Hash of the statement, 64 hex digits. */
  statement: string
}

/**
 * In the caller's transaction. `write` is the effect; `event` says what was decided, null where it was so before. The actor is
 * the identity that was verified. A statement is good once. Where it was used already, `standing` looks for what it decided
 * then: while exactly that is in force nothing is written again, since whoever lost the answer repeats the command. Returns
 * what `write` returned, or `standing`. Throws E_STATEMENT_USED, and what `write` throws.
 */
export async function recordDecision<T>(
  tx: Queryable,
  by: Attested,
  write: (statement: string) => Promise<T>,
  event: (signed: Signed, written: T) => (NewEvent & { runId?: string }) | null,
  standing: (statement: string) => Promise<{ made: T } | null> = () => Promise.resolve(null),
): Promise<T> {
  const statement = statementHash(by.statement)
  if (!(await storeStatement(tx, by))) {
    const found = await standing(statement)
    if (found !== null) return found.made
    throw new LetheError('E_STATEMENT_USED', {
      message: `The statement ${statement} was used before, and each is good once.`,
      left: 'Nothing was changed now.',
      facts: { statement },
    })
  }
  const written = await write(statement)
  const made = event({ method: by.identity.method, statement }, written)
  if (made !== null) await appendEvent(tx, { ...made, actor: by.identity.name })
  return written
}
