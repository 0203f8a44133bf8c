/** What a verified person decides about a proposal. */
import { newId } from '../../../lib/base/clock/index.ts'
import { databaseNow, type Queryable } from '../../../lib/base/db/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { authorise, type Attested } from '../../../lib/people/identity/index.ts'
import { recordDecision } from '../../../lib/record/decisions/index.ts'
import type { NewEvent } from '../../../lib/record/evidence/index.ts'
import { wakeRun } from '../../../lib/record/ledger/index.ts'
import {
  getProposal,
  insertApproval,
  runsDecided,
  setProposalState,
  type Proposal,
} from '../../../lib/record/proposals/index.ts'
import type { Context } from '../../context.ts'
import { exceeded, limitsError } from './limits.ts'
import { deciderOf, findPolicy } from '../policy.ts'
import type { Decision } from './statements.ts'

/**
 * Records the decision with the signed statement and wakes the run. Throws E_NOT_FOUND; E_PROPOSAL_DECIDED where someone
 * was faster or it expired; E_LIMITS while an exceeded limit isn't named; what `authorise` throws.
 */
export async function decide(context: Context, decision: Decision, by: Attested): Promise<Proposal> {
  const { control } = context
  const proposal = await control.transaction(
    async (tx) => {
      const found = await getProposal(tx, decision.proposalId, true)
      const policy = findPolicy(context, found.policy)
      authorise(context.config.file, by.identity, 'proposal.approve', deciderOf(policy))
      refuseDecided(found, await databaseNow(tx))
      if (decision.outcome === 'extend' && decision.until === undefined)
        throw new LetheError('E_USAGE', {
          message: 'To extend a retention, say until when.',
          next: 'Add --until DATE.',
        })
      if (decision.until !== undefined && decision.until <= (await databaseNow(tx)))
        throw new LetheError('E_USAGE', {
          message: 'A retention can only be extended into the future.',
          next: 'Give a later --until.',
        })
      if (decision.outcome === 'destroy') checkOverrides(context, found, decision.overrides, by)
      const id = newId()
      await recordDecision(
        tx,
        by,
        async (statement) => {
          await insertApproval(tx, found.id, {
            id,
            outcome: decision.outcome,
            extendUntil: decision.until ?? null,
            overrides: [...decision.overrides],
            actor: by.identity.name,
            method: by.identity.method,
            statement,
            appraisalId: null,
          })
          await setProposalState(tx, found.id, decision.outcome === 'reject' ? 'rejected' : 'approved')
        },
        (signed) => ({ ...eventOf(found, decision, { approval: id, ...signed }), runId: found.runId }),
      )
      // with the decision, or not at all; a run that is just going to wait is woken by the dispatcher (wakeDecided)
      await wakeRun(tx, found.runId)
      return found
    },
    { retry: true },
  )
  return getProposal(control, proposal.id)
}

/**
 * Wakes runs that wait although their proposal is decided: the decision came between a run's last look and its wait.
 * Idempotent; the dispatcher calls it after each round.
 */
export async function wakeDecided(control: Queryable): Promise<void> {
  for (const id of await runsDecided(control)) await wakeRun(control, id)
}

/** Throws E_PROPOSAL_DECIDED. */
export function refuseDecided(proposal: Proposal, now: Date): void {
  const state = proposal.state === 'waiting' && proposal.expiresAt <= now ? 'expired' : proposal.state
  if (state === 'waiting') return
  throw new LetheError('E_PROPOSAL_DECIDED', {
    message: `Proposal ${proposal.id} doesn't wait for a decision: it is ${state}.`,
    facts: { proposal: proposal.id, state },
  })
}

function checkOverrides(
  { config }: Pick<Context, 'config'>,
  proposal: Proposal,
  overrides: readonly string[],
  by: Attested,
): void {
  const unknown = overrides.filter((name) => !proposal.limits.some((limit) => limit.name === name))
  if (unknown.length > 0)
    throw new LetheError('E_USAGE', {
      message: `Proposal ${proposal.id} has no limit ${unknown.join(', ')} to override.`,
      next: `Name those it passes: ${exceeded(proposal).join(', ') || '(none)'}.`,
    })
  const missing = exceeded(proposal).filter((name) => !overrides.includes(name))
  if (missing.length > 0) throw limitsError(proposal, missing)
  if (overrides.length > 0) authorise(config.file, by.identity, 'proposal.override')
}

function eventOf(
  proposal: Proposal,
  decision: Decision,
  by: { approval: string; method: string; statement: string },
): NewEvent {
  const data = { proposal: proposal.id, ...by }
  if (decision.outcome === 'destroy')
    return { type: 'proposal.approved', data: { ...data, overrides: [...decision.overrides] } }
  if (decision.outcome === 'extend' && decision.until !== undefined)
    return { type: 'proposal.extended', data: { ...data, until: decision.until.toISOString() } }
  return decision.outcome === 'preserve'
    ? { type: 'proposal.preserved', data }
    : { type: 'proposal.rejected', data }
}
