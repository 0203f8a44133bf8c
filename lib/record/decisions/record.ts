/** How a decision is recorded, whatever it is about: what was signed, its effect and its event, or none of the three. */
import type { Queryable } from '../../base/db/index.ts'
import { appendEvent, type NewEvent } from '../evidence/index.ts'
import type { Attested } from './attested.ts'
import { storeStatement } from './statements.ts'

/** What rows and events name a decision's evidence by. */
export interface Signed {
  method: string
  /** Hash of the statement, 64 hex digits. */
  statement: string
}

/**
 * In the caller's transaction. `write` is the effect; `event` says what was decided, null where it was so before. The actor is
 * the identity that was verified. Returns what `write` returned. Throws what `storeStatement` and `write` throw.
 */
export async function recordDecision<T>(
  tx: Queryable,
  by: Attested,
  write: (statement: string) => Promise<T>,
  event: (signed: Signed, written: T) => (NewEvent & { runId?: string }) | null,
): Promise<T> {
  const statement = await storeStatement(tx, by)
  const written = await write(statement)
  const made = event({ method: by.identity.method, statement }, written)
  if (made !== null) await appendEvent(tx, { ...made, actor: by.identity.name })
  return written
}
