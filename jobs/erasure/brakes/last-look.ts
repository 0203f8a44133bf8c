/** The look at a store's intake in the transaction that destroys. */
import type { Queryable } from '../../../lib/base/db/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { hasCancel } from '../../../lib/record/requests/index.ts'

/** What one step knows of the intake, where people take back what they asked for. */
export interface Intake {
  /** Cancels that were read and could not be followed. */
  passed: readonly string[]
  /** A call was called off for what stands there: it is read before the next one begins. */
  due: boolean
}

/** For the transaction that destroys rows; `own`: the subject's own store, whose intake it is. Throws E_TAKEN_BACK. */
export async function refuseTakenBack(
  own: string,
  intake: Intake,
  store: string,
  tx: Queryable,
): Promise<void> {
  if (store !== own || !(await hasCancel(tx, intake.passed))) return
  throw new LetheError('E_TAKEN_BACK', {
    message: 'A request was taken back while its rows were about to be deleted.',
    left: 'Nothing of this batch was destroyed.',
  })
}

/** Also where the store was stopped meanwhile, or lacks holds of the record: nothing of the batch was destroyed. */
export function isTakenBack(error: unknown): boolean {
  return error instanceof LetheError && ['E_TAKEN_BACK', 'E_STOPPED', 'E_HOLDS_BEHIND'].includes(error.code)
}
