/** A proposal as the control database holds it: what was found, who decided, what became of it. No row keys. */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { runEnded, runWaitsFor } from '../ledger/index.ts'

export const limitVerdict = z.object({
  name: z.enum(['rows', 'share', 'median']),
  value: z.number(),
  limit: z.number(),
  exceeded: z.boolean(),
})
export type LimitVerdict = z.infer<typeof limitVerdict>

export const proposalStates = [
  'observed',
  'waiting',
  'approved',
  'rejected',
  'expired',
  'executed',
  'cancelled',
] as const
export const decisionOutcomes = ['destroy', 'extend', 'preserve', 'reject'] as const

const proposalRow = z
  .object({
    id: z.string(),
    run_id: z.string(),
    policy: z.string(),
    policy_version: z.string(),
    map_version: z.string(),
    plan_hash: z.string(),
    store: z.string(),
    cutoff: z.date(),
    population: z.coerce.number(),
    population_hash: z.string().nullable(),
    rows: z.record(z.string(), z.number()),
    excluded: z.record(z.string(), z.number()),
    oldest: z.date().nullable(),
    newest: z.date().nullable(),
    limits: z.array(limitVerdict),
    state: z.enum(proposalStates),
    expires_at: z.date(),
    created_at: z.date(),
    decided_at: z.date().nullable(),
  })
  .transform((row) => ({
    id: row.id,
    runId: row.run_id,
    policy: row.policy,
    policyVersion: row.policy_version,
    mapVersion: row.map_version,
    planHash: row.plan_hash,
    store: row.store,
    cutoff: row.cutoff,
    /** Subjects (roots) found due and free to go. */
    population: row.population,
    /** Of the population's ordinals and keys, made in the target: what executes is these and no other. */
    populationHash: row.population_hash,
    /** Rows that would go with them, by table. */
    rows: row.rows,
    /** Subjects that are due but stay, by the first reason. */
    excluded: row.excluded,
    oldest: row.oldest,
    newest: row.newest,
    limits: row.limits,
    state: row.state,
    expiresAt: row.expires_at,
    createdAt: row.created_at,
    decidedAt: row.decided_at,
  }))
export type Proposal = z.infer<typeof proposalRow>

export type NewProposal = Omit<Proposal, 'createdAt' | 'decidedAt' | 'expiresAt'> & { days: number }

const columns = `id, run_id, policy, policy_version, map_version, plan_hash, store, cutoff, population, population_hash, rows, excluded,
  oldest, newest, limits, state, expires_at, created_at, decided_at`

/** Throws E_NOT_FOUND. */
export async function getProposal(control: Queryable, id: string, lock = false): Promise<Proposal> {
  const [found] = z.uuid().safeParse(id).success
    ? await control.query(
        proposalRow,
        `SELECT ${columns} FROM lethe_control.proposals WHERE id = $1${lock ? ' FOR UPDATE' : ''}`,
        [id],
      )
    : []
  if (found !== undefined) return found
  throw new LetheError('E_NOT_FOUND', {
    message: `There is no proposal ${id}.`,
    next: 'See `lethe retention list` for those that wait.',
  })
}

export async function listProposals(
  control: Queryable,
  filter: { policy?: string; waiting?: boolean; limit?: number } = {},
): Promise<Proposal[]> {
  return control.query(
    proposalRow,
    `SELECT ${columns} FROM lethe_control.proposals
     WHERE ($1::text IS NULL OR policy = $1) AND (NOT $2 OR state = 'waiting') ORDER BY created_at DESC LIMIT $3`,
    [filter.policy ?? null, filter.waiting ?? false, filter.limit ?? 50],
  )
}

/** Proposals that wait or execute although their run has ended, oldest first. */
export async function lostProposals(control: Queryable, policy: string, store: string): Promise<Proposal[]> {
  return control.query(
    proposalRow,
    `SELECT ${columns} FROM lethe_control.proposals p
     WHERE policy = $1 AND store = $2 AND state IN ('waiting', 'approved')
       AND ${runEnded('p.run_id')}
     ORDER BY created_at`,
    [policy, store],
  )
}

export async function insertProposal(control: Queryable, proposal: NewProposal): Promise<void> {
  await control.execute(
    `INSERT INTO lethe_control.proposals (id, run_id, policy, policy_version, map_version, plan_hash, store, cutoff,
       population, rows, excluded, oldest, newest, limits, state, expires_at, population_hash)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::jsonb, $15, now() + make_interval(days => $16), $17)`,
    [
      proposal.id,
      proposal.runId,
      proposal.policy,
      proposal.policyVersion,
      proposal.mapVersion,
      proposal.planHash,
      proposal.store,
      proposal.cutoff,
      proposal.population,
      proposal.rows,
      proposal.excluded,
      proposal.oldest,
      proposal.newest,
      JSON.stringify(proposal.limits),
      proposal.state,
      proposal.days,
      proposal.populationHash,
    ],
  )
}

export async function setProposalState(
  control: Queryable,
  id: string,
  state: Proposal['state'],
): Promise<void> {
  await control.execute(
    `UPDATE lethe_control.proposals SET state = $2, decided_at = coalesce(decided_at, now()) WHERE id = $1`,
    [id, state],
  )
}

/** Median population of the policy's last ten executed proposals; null before there are three: too few to judge by. */
export async function trailingMedian(control: Queryable, policy: string): Promise<number | null> {
  const [row] = await control.query(
    z.object({ median: z.number().nullable(), runs: z.coerce.number() }),
    `SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY population) AS median, count(*) AS runs FROM (
       SELECT population FROM lethe_control.proposals p WHERE policy = $1 AND state = 'executed' AND population > 0
         AND EXISTS (SELECT FROM lethe_control.approvals a WHERE a.proposal_id = p.id AND a.outcome = 'destroy')
       ORDER BY created_at DESC LIMIT 10) AS last`,
    [policy],
  )
  return row === undefined || row.runs < 3 ? null : row.median
}

export async function countWaiting(control: Queryable): Promise<number> {
  const [row] = await control.query(
    z.object({ n: z.coerce.number() }),
    `SELECT count(*) AS n FROM lethe_control.proposals WHERE state = 'waiting'`,
  )
  return row?.n ?? 0
}

/** Runs that wait for a decision although their proposal is decided: it came between a run's last look and its wait. */
export async function runsDecided(control: Queryable): Promise<string[]> {
  const rows = await control.query(
    z.object({ id: z.string() }),
    `SELECT p.run_id AS id FROM lethe_control.proposals p
     WHERE p.state IN ('approved', 'rejected') AND ${runWaitsFor('p.run_id', 'approval')}`,
  )
  return rows.map(({ id }) => id)
}

const toldProposal = z.object({
  id: z.string(),
  policy: z.string(),
  state: z.string(),
  population: z.coerce.number(),
  cutoff: z.date(),
  createdAt: z.date(),
  decidedAt: z.date().nullable(),
})
export type RunProposal = z.infer<typeof toldProposal>

export async function proposalsOfRun(tx: Queryable, runId: string): Promise<RunProposal[]> {
  return tx.query(
    toldProposal,
    `SELECT id, policy, state, population, cutoff, created_at AS "createdAt", decided_at AS "decidedAt"
     FROM lethe_control.proposals WHERE run_id = $1 ORDER BY created_at`,
    [runId],
  )
}

const guardSchema = z.object({
  due: z.string(),
  clear: z.array(z.object({ reason: z.string(), sql: z.string() })),
})
/** A policy's conditions over `root`, as they were approved. */
export type StoredGuard = z.infer<typeof guardSchema>

/** Kept once, before anybody is handed over: later words of the policy change nothing for them. Idempotent. */
export async function keepGuard(tx: Queryable, proposalId: string, guard: StoredGuard): Promise<void> {
  await tx.execute(`UPDATE lethe_control.proposals SET guard = $2::jsonb WHERE id = $1 AND guard IS NULL`, [
    proposalId,
    JSON.stringify(guardSchema.parse(guard)),
  ])
}

const approvedRow = z.object({
  id: z.string(),
  policy: z.string(),
  version: z.string(),
  guard: guardSchema.nullable(),
})
/** The policy behind a request, as it was approved. */
export type ApprovedPolicy = z.infer<typeof approvedRow>

export async function approvedPolicies(
  control: Queryable,
  proposalIds: readonly string[],
): Promise<ApprovedPolicy[]> {
  return control.query(
    approvedRow,
    `SELECT id, policy, policy_version AS version, guard FROM lethe_control.proposals WHERE id = ANY ($1::uuid[])`,
    [proposalIds],
  )
}
