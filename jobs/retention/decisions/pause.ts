/**
 * A pause of a policy holds whatever it began: its run, and the erasure requests that it handed over. Nobody has to sign it, since
 * nothing is lost by it.
 */
import { LetheError } from '../../../lib/base/errors/index.ts'
import { pausePolicy as recordPause, resumePolicy as recordResume } from '../../../lib/record/holds/index.ts'
import { listRuns, requestRun, type Run } from '../../../lib/record/ledger/index.ts'
import { openOfPolicy, wakeRequests } from '../../../lib/record/requests/index.ts'
import type { Context } from '../../context.ts'
import { findPolicy } from '../policy.ts'

export interface Paused {
  policy: string
  /** The active run that was asked too; null: there is none. */
  run: Run | null
  /** Open erasure requests that the policy began. */
  requests: number
}

/** Idempotent. Throws E_NOT_FOUND. */
export async function pausePolicy(context: Context, name: string, actor: string): Promise<Paused> {
  findPolicy(context, name)
  await recordPause(context.control, name, actor)
  return {
    policy: name,
    run: await askRun(context, name, 'pause', actor),
    requests: (await openOfPolicy(context.control, name)).length,
  }
}

/** Idempotent. Throws E_NOT_FOUND. */
export async function resumePolicy(context: Context, name: string, actor: string): Promise<Paused> {
  findPolicy(context, name)
  const { control } = context
  await recordResume(control, name, actor)
  const requests = await openOfPolicy(control, name)
  await wakeRequests(control, requests)
  return { policy: name, run: await askRun(context, name, 'resume', actor), requests: requests.length }
}

async function askRun(
  { control }: Context,
  policy: string,
  verb: 'pause' | 'resume',
  actor: string,
): Promise<Run | null> {
  const states =
    verb === 'pause' ? (['queued', 'running', 'waiting'] as const) : (['running', 'paused'] as const)
  const [run] = await listRuns(control, { kind: 'retention.sweep', scope: policy, states })
  if (run === undefined) return null
  try {
    return await requestRun(control, run.id, verb, actor)
  } catch (error) {
    // it ended, or went on, by itself meanwhile
    if (error instanceof LetheError && error.code === 'E_ILLEGAL_TRANSITION') return null
    throw error
  }
}
