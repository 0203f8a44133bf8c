/** Decisions about a proposal, by a verified person or by a standing appraisal a person once gave. */
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { newId } from '../../lib/base/clock/index.ts'
import type { ResolvedPolicy } from '../../lib/config/index.ts'
import { databaseNow, type Queryable } from '../../lib/base/db/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import {
  authorise,
  parseStatement,
  verbs,
  verifySsh,
  type Attested,
  type Decided,
} from '../../lib/people/identity/index.ts'
import { statementHash, storeStatement } from '../../lib/record/decisions/index.ts'
import { appendEvent, type NewEvent } from '../../lib/record/evidence/index.ts'
import { wakeRun } from '../../lib/record/ledger/index.ts'
import type { Context } from '../context.ts'
import { findPolicy, policyVersion } from './policy.ts'
import {
  approvalOf,
  getProposal,
  insertApproval,
  setProposalState,
  type Approval,
  type Proposal,
} from './proposal.ts'
import { appraisalStatement, decisionStatement } from './statements.ts'

export interface Decision {
  proposalId: string
  /** destroy; extend until an instant; preserve for good; reject: nothing happens, the next occurrence proposes again. */
  outcome: 'destroy' | 'extend' | 'preserve' | 'reject'
  until?: Date
  /** Names of exceeded limits that this decision overrides: rows, share, median. Needs the role cto. */
  overrides: readonly string[]
  reason: string
}

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
      authorise(by.identity, [policy.approver_role, 'cto'], { secondFactor: policy.second_factor })
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
      if (decision.outcome === 'destroy') checkOverrides(found, decision.overrides, by)
      const id = newId()
      const statement = await storeStatement(tx, by)
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
      await appendEvent(tx, {
        ...eventOf(found, decision, { approval: id, method: by.identity.method, statement }),
        runId: found.runId,
        actor: by.identity.name,
      })
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
  const decided = await control.query(
    z.object({ id: z.string() }),
    `SELECT r.id FROM lethe_control.runs r JOIN lethe_control.proposals p ON p.run_id = r.id
     WHERE r.state = 'waiting' AND r.waiting_for = 'approval' AND p.state IN ('approved', 'rejected')`,
  )
  for (const { id } of decided) await wakeRun(control, id)
}

/** The limits of a proposal that stop it, with their figures and the command that overrides them by name. */
export function limitsError(proposal: Proposal, missing: readonly string[]): LetheError {
  const lines = proposal.limits
    .filter((limit) => missing.includes(limit.name))
    .map((limit) => `${limit.name}: ${round(limit.value)}, the limit is ${round(limit.limit)}`)
  return new LetheError('E_LIMITS', {
    message: `Proposal ${proposal.id} of policy ${proposal.policy} passes its blast radius: ${lines.join('; ')}.`,
    next: `If the figures are right: lethe retention approve ${proposal.id} --override ${missing.join(',')} --reason … (role cto).`,
    facts: { proposal: proposal.id, limits: proposal.limits },
  })
}

export function exceeded(proposal: Proposal): string[] {
  return proposal.limits.filter((limit) => limit.exceeded).map((limit) => limit.name)
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

function checkOverrides(proposal: Proposal, overrides: readonly string[], by: Attested): void {
  const unknown = overrides.filter((name) => !proposal.limits.some((limit) => limit.name === name))
  if (unknown.length > 0)
    throw new LetheError('E_USAGE', {
      message: `Proposal ${proposal.id} has no limit ${unknown.join(', ')} to override.`,
      next: `Name those it passes: ${exceeded(proposal).join(', ') || '(none)'}.`,
    })
  const missing = exceeded(proposal).filter((name) => !overrides.includes(name))
  if (missing.length > 0) throw limitsError(proposal, missing)
  if (overrides.length > 0) authorise(by.identity, verbs['proposal.override'])
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

/**
 * A row in a table is not yet an approval: the process that destroys builds the statement again, compares it with what
 * was signed, and checks the signature. A token can't be checked again once it has expired: then the statement alone is.
 * Throws E_APPROVAL_FORGED, also for a text that was erased, and what verifySsh throws.
 */
export async function verifyApproval(
  context: Context,
  policy: ResolvedPolicy,
  proposal: Proposal,
  approval: Approval,
): Promise<void> {
  const { text, signature, statement } = approval
  const facts = { proposal: proposal.id, approval: approval.id, statement }
  const forged = (what: string) =>
    new LetheError('E_APPROVAL_FORGED', {
      message: `The decision on proposal ${proposal.id} is not what a verified person agreed to: ${what}.`,
      facts,
    })
  if (text === null)
    throw new LetheError('E_APPROVAL_FORGED', {
      message: `The decision on proposal ${proposal.id} can't be checked: its signed statement ${statement} was erased.`,
      next: `See who erased it (the event text.erased), then propose again: lethe retention run ${policy.name}.`,
      facts,
    })
  if (signature === null) throw forged('it carries no signed statement')
  if (statementHash(text) !== statement) throw forged('the statement is not the one that the record names')
  const stated = parseStatement(text)
  const expected =
    approval.appraisalId === null
      ? expectedDecision(proposal, approval, stated.reason)
      : await expectedAppraisal(context, policy, approval.appraisalId, stated.reason)
  const differs = (['verb', 'object', 'facts'] as const).filter(
    (name) => !isDeepStrictEqual(stated[name], expected[name]),
  )
  if (differs.length > 0) throw forged(`the statement differs in ${differs.join(', ')}`)
  if (approval.method === 'oidc') return
  const identity = await verifySsh(text, signature, context.config.file.identities)
  if (identity.name !== approval.actor) throw forged('another person signed it')
  authorise(identity, [policy.approver_role, 'cto'], { secondFactor: policy.second_factor })
  if (approval.overrides.length > 0) authorise(identity, verbs['proposal.override'])
}

/** The reason stands nowhere else than in the statement itself. */
function expectedDecision(proposal: Proposal, approval: Approval, reason: string): Decided {
  const { outcome, overrides, extendUntil } = approval
  return decisionStatement(proposal, {
    outcome,
    overrides,
    reason,
    ...(extendUntil === null ? {} : { until: extendUntil }),
  })
}

async function expectedAppraisal(
  context: Context,
  policy: ResolvedPolicy,
  id: string,
  reason: string,
): Promise<Decided> {
  const [row] = await context.control.query(
    z.object({ ceiling: z.coerce.number(), valid_until: z.date(), revoked: z.boolean() }),
    `SELECT ceiling_subjects AS ceiling, valid_until, revoked_at IS NOT NULL AS revoked FROM lethe_control.appraisals WHERE id = $1`,
    [id],
  )
  if (row === undefined) throw new LetheError('E_NOT_FOUND', { message: `There is no appraisal ${id}.` })
  if (row.revoked)
    throw new LetheError('E_APPRAISAL', {
      message: `Appraisal ${id} was revoked before the run that stood on it began to destroy.`,
      next: `Approve the next proposal by hand, or give a new appraisal: lethe retention run ${policy.name}.`,
    })
  return appraisalStatement(policy, {
    policy: policy.name,
    ceiling: row.ceiling,
    validUntil: row.valid_until,
    reason,
  })
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000
}

export interface NewAppraisal {
  policy: string
  /** Subjects in one run at most; a larger proposal waits for a person. */
  ceiling: number
  validUntil: Date
  reason: string
}

/** One decision for a class of records, for at most twelve months (the database refuses longer). Returns its id. */
export async function addAppraisal(context: Context, appraisal: NewAppraisal, by: Attested): Promise<string> {
  const policy = findPolicy(context, appraisal.policy)
  authorise(by.identity, [policy.approver_role, 'cto'], { secondFactor: policy.second_factor })
  if (policy.approval !== 'standing')
    throw new LetheError('E_APPRAISAL', {
      message: `Policy ${policy.name} demands an approval for each run.`,
      next: 'Set approval: standing in the policy first, and arm it again.',
    })
  const [fits] = await context.control.query(
    z.object({ fits: z.boolean() }),
    `SELECT $1::timestamptz > now() AND $1::timestamptz <= now() + interval '12 months' AS fits`,
    [appraisal.validUntil],
  )
  if (fits?.fits !== true)
    throw new LetheError('E_APPRAISAL', {
      message: 'A standing appraisal ends in the future, and within twelve months.',
      next: 'Give an earlier --until.',
    })
  const id = newId()
  const version = policyVersion(policy)
  await context.control.transaction(
    async (tx) => {
      const statement = await storeStatement(tx, by)
      await tx.execute(
        `INSERT INTO lethe_control.appraisals (id, policy, policy_version, records_class, ceiling_subjects, valid_until,
           actor, method, statement_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, decode($9, 'hex'))`,
        [
          id,
          policy.name,
          version,
          policy.records_class,
          appraisal.ceiling,
          appraisal.validUntil,
          by.identity.name,
          by.identity.method,
          statement,
        ],
      )
      await appendEvent(tx, {
        type: 'appraisal.added',
        actor: by.identity.name,
        data: {
          appraisal: id,
          policy: policy.name,
          version,
          ceiling: appraisal.ceiling,
          validUntil: appraisal.validUntil.toISOString(),
          method: by.identity.method,
          statement,
        },
      })
    },
    { retry: true },
  )
  return id
}

/** Throws E_NOT_FOUND where there is none in force. */
export async function revokeAppraisal(context: Context, id: string, by: Attested): Promise<void> {
  authorise(by.identity, verbs['appraisal.revoke'])
  await context.control.transaction(
    async (tx) => {
      const statement = await storeStatement(tx, by)
      const revoked = await tx.execute(
        `UPDATE lethe_control.appraisals SET revoked_at = now(), revoked_by = $2, revocation_hash = decode($3, 'hex')
         WHERE id::text = $1 AND revoked_at IS NULL`,
        [id, by.identity.name, statement],
      )
      if (revoked === 0)
        throw new LetheError('E_NOT_FOUND', { message: `There is no appraisal ${id} in force.` })
      await appendEvent(tx, {
        type: 'appraisal.revoked',
        actor: by.identity.name,
        data: { appraisal: id, method: by.identity.method, statement },
      })
    },
    { retry: true },
  )
}

/**
 * Approves the proposal by the policy's appraisal in force, if one covers it: same version, under the ceiling, no limit
 * passed. The database judges and records it (lethe_control.approve_by_appraisal): the worker has no right to.
 */
export async function approveByAppraisal(
  tx: Queryable,
  policy: ResolvedPolicy,
  proposal: Proposal,
): Promise<boolean> {
  if (policy.approval !== 'standing') return false
  const id = newId()
  const approved = await tx.query(
    z.object({ actor: z.string() }),
    `SELECT actor FROM lethe_control.approve_by_appraisal($1, $2)`,
    [id, proposal.id],
  )
  const approval = approved.length === 0 ? null : await approvalOf(tx, proposal.id)
  if (approval === null) return false
  await appendEvent(tx, {
    type: 'proposal.approved',
    runId: proposal.runId,
    actor: approval.actor,
    data: {
      proposal: proposal.id,
      approval: id,
      method: 'standing-appraisal',
      statement: approval.statement,
      overrides: [],
    },
  })
  return true
}
