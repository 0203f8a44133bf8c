/** A sweep by hand. */
import { LetheError } from '../../lib/base/errors/index.ts'
import { createRun, type Run } from '../../lib/record/ledger/index.ts'
import type { Context } from '../context.ts'
import { findPolicy } from './policy.ts'
import { sweep } from './sweep/sweep.ts'

/** Throws E_NOT_FOUND, and E_ALREADY_RUNNING with the run that is there: a policy never runs twice at once. */
export async function startSweep(context: Context, policyName: string, createdBy: string): Promise<Run> {
  const policy = findPolicy(context, policyName)
  const payload = { policy: policy.name }
  const made = await createRun(context.control, {
    kind: sweep.kind,
    queue: sweep.queue,
    scope: sweep.scope(payload),
    payload,
    maxAttempts: sweep.maxAttempts,
    createdBy,
  })
  if (!('existing' in made)) return made
  const { existing } = made
  throw new LetheError('E_ALREADY_RUNNING', {
    message: `Policy ${policy.name} has run ${existing.id} already; it is ${existing.state}${existing.waitingFor === null ? '' : ` (for ${existing.waitingFor})`}.`,
    next: `Look at it: lethe runs show ${existing.id}. Decide or cancel it before you start another.`,
    facts: { policy: policy.name, run: existing.id, state: existing.state },
  })
}
