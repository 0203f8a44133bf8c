/** Decisions about proposals: each names the statement that was signed for it. */
import { z } from 'zod'
import { newId } from '../../base/clock/index.ts'
import type { Queryable } from '../../base/db/index.ts'
import { joinStatement, reasonOf } from '../decisions/index.ts'
import { appendEvent } from '../evidence/index.ts'
import { decisionOutcomes, type Proposal } from './proposals.ts'

const approvalRow = z
  .object({
    id: z.string(),
    outcome: z.enum(decisionOutcomes),
    extend_until: z.date().nullable(),
    overrides: z.array(z.string()),
    actor: z.string(),
    method: z.string(),
    /** The hash of what was signed, in hex. */
    statement: z.string(),
    /** What was signed; null once erased. */
    text: z.string().nullable(),
    signature: z.string().nullable(),
    appraisal_id: z.string().nullable(),
    at: z.date(),
  })
  .transform(({ extend_until: extendUntil, appraisal_id: appraisalId, ...row }) => ({
    ...row,
    extendUntil,
    appraisalId,
  }))
export type Approval = z.infer<typeof approvalRow>

export async function approvalOf(control: Queryable, proposalId: string): Promise<Approval | null> {
  const [found] = await control.query(
    approvalRow,
    `SELECT a.id, a.outcome, a.extend_until, a.overrides, a.actor, a.method, encode(a.statement_hash, 'hex') AS statement,
       s.statement AS text, s.signature, a.appraisal_id, a.at
     FROM lethe_control.approvals a ${joinStatement('s', 'a.statement_hash')}
     WHERE a.proposal_id = $1 ORDER BY a.at DESC LIMIT 1`,
    [proposalId],
  )
  return found ?? null
}

export async function insertApproval(
  control: Queryable,
  proposalId: string,
  approval: Omit<Approval, 'at' | 'text' | 'signature'>,
): Promise<void> {
  await control.execute(
    `INSERT INTO lethe_control.approvals (id, proposal_id, outcome, extend_until, overrides, actor, method, statement_hash,
       appraisal_id) VALUES ($1, $2, $3, $4, $5, $6, $7, decode($8, 'hex'), $9)`,
    [
      approval.id,
      proposalId,
      approval.outcome,
      approval.extendUntil,
      approval.overrides,
      approval.actor,
      approval.method,
      approval.statement,
      approval.appraisalId,
    ],
  )
}

/**
 * Approves the proposal by the policy's appraisal in force, if one covers it: same version, under the ceiling, no limit
 * passed. The database judges and records it (lethe_control.approve_by_appraisal): the worker has no right to.
 */
export async function approveByAppraisal(
  tx: Queryable,
  proposal: Pick<Proposal, 'id' | 'runId'>,
): Promise<boolean> {
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

/** SQL: the decision that stands on statement `$1` (its hash in hex) while its proposal is open. */
export const approvalsInForce = `SELECT 'proposal' AS what, p.id::text, p.state, p.run_id::text AS of
   FROM lethe_control.approvals a JOIN lethe_control.proposals p ON p.id = a.proposal_id
   WHERE a.statement_hash = decode($1, 'hex') AND p.state IN ('waiting', 'approved')`

const toldApproval = z
  .object({
    proposalId: z.string(),
    outcome: z.string(),
    statement: z.string(),
    text: z.string().nullable(),
    actor: z.string(),
    method: z.string(),
    at: z.date(),
  })
  .transform(({ text, ...row }) => ({ ...row, reason: reasonOf(text) }))
export type RunApproval = z.infer<typeof toldApproval>

/** Decisions about a run's proposals, with the reasons that were signed. */
export async function approvalsOfRun(tx: Queryable, runId: string): Promise<RunApproval[]> {
  return tx.query(
    toldApproval,
    `SELECT a.proposal_id AS "proposalId", a.outcome, encode(a.statement_hash, 'hex') AS statement, s.statement AS text,
       a.actor, a.method, a.at
     FROM lethe_control.approvals a JOIN lethe_control.proposals p ON p.id = a.proposal_id
       ${joinStatement('s', 'a.statement_hash')}
     WHERE p.run_id = $1 ORDER BY a.at`,
    [runId],
  )
}
