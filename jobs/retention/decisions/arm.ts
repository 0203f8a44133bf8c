/** A new policy only observes. Arming says: this version may destroy. Another version observes until it is armed too. */
import type { ResolvedPolicy } from '../../../lib/config/index.ts'
import type { Database, Queryable } from '../../../lib/base/db/index.ts'
import { listRuns, requestRun } from '../../../lib/record/ledger/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { authorise, type Attested } from '../../../lib/people/identity/index.ts'
import {
  armedVersion,
  armingOf,
  listProposals,
  writeMode,
  type Mode,
} from '../../../lib/record/proposals/index.ts'
import { openOfPolicy, wakeRequests } from '../../../lib/record/requests/index.ts'
import type { Context } from '../../context.ts'
import { verifyDecision } from '../../verify-decision.ts'
import { findPolicy, policyVersion } from '../policy.ts'
import { armStatement } from './statements.ts'

export interface PolicyMode {
  policy: string
  mode: Mode
  version: string
  /** Armed once, but as another version: it observes. */
  changed: boolean
}

export async function policyMode(control: Queryable, policy: ResolvedPolicy): Promise<PolicyMode> {
  const version = policyVersion(policy)
  const armed = await armedVersion(control, policy.name)
  return {
    policy: policy.name,
    mode: armed === version ? 'armed' : 'observe',
    version,
    changed: armed !== null && armed !== version,
  }
}

/**
 * The mode as the process that destroys takes it: an arming counts only where its statement is verified, now and by this
 * configuration. Throws E_APPROVAL_FORGED, and what verifyDecision and `authorise` throw.
 */
export async function verifiedMode(
  context: Pick<Context, 'config' | 'control' | 'keystore'>,
  policy: ResolvedPolicy,
): Promise<PolicyMode> {
  const mode = await policyMode(context.control, policy)
  if (mode.mode === 'observe') return mode
  const next = `Look at who wrote it, then arm it again: lethe arm ${policy.name} --reason …`
  const what = `The arming of policy ${policy.name}`
  const arming = await armingOf(context.control, policy.name)
  if (arming === null)
    throw new LetheError('E_APPROVAL_FORGED', {
      message: `${what} carries no signed statement.`,
      next,
      facts: { policy: policy.name },
    })
  const identity = await verifyDecision(
    context,
    { what, ...arming, facts: { policy: policy.name }, next },
    (reason) => armStatement(policy, 'armed', reason),
  )
  authorise(context.config.file, identity, 'policy.arm', { secondFactor: policy.second_factor })
  return mode
}

/**
 * Idempotent. To disarm also calls off the run that waits for a decision or destroys now: it ends after the subject in
 * hand; a run that only observes goes on. Throws E_NOT_FOUND and what `authorise` throws.
 */
export async function setMode(context: Context, name: string, mode: Mode, by: Attested): Promise<PolicyMode> {
  const policy = findPolicy(context, name)
  if (mode === 'armed')
    authorise(context.config.file, by.identity, 'policy.arm', { secondFactor: policy.second_factor })
  else authorise(context.config.file, by.identity, 'policy.disarm')
  await writeMode(context.control, { policy: name, version: policyVersion(policy), mode }, by)
  if (mode === 'observe') {
    await callOff(context.control, name, by.identity.name)
    // who was handed over and not begun is let go at once
    await wakeRequests(context.control, await openOfPolicy(context.control, name))
  }
  return policyMode(context.control, policy)
}

/** A run that has no proposal yet reads the mode when it makes one, and again before it destroys. */
async function callOff(control: Database, policy: string, actor: string): Promise<void> {
  const states = ['queued', 'running', 'waiting', 'paused'] as const
  const [run] = await listRuns(control, { kind: 'retention.sweep', scope: policy, states })
  if (run === undefined) return
  const proposal = (await listProposals(control, { policy })).find((one) => one.runId === run.id)
  if (proposal?.state !== 'waiting' && proposal?.state !== 'approved') return
  try {
    await requestRun(control, run.id, 'cancel', actor)
  } catch (error) {
    // it ended by itself meanwhile
    if (!(error instanceof LetheError) || error.code !== 'E_ILLEGAL_TRANSITION') throw error
  }
}
