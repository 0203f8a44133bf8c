/**
 * Finds what a policy would remove, and says it in figures: one transaction on the target with a cutoff fixed by the
 * target's clock. The roots' keys stay in the target (lethe.population); only figures leave it.
 */
import pg from 'pg'
import { z } from 'zod'
import type { ResolvedPolicy } from '../../lib/config/index.ts'
import type { Database, Transaction } from '../../lib/base/db/index.ts'
import { sqlTable, tableKey } from '../../lib/data/datamap/index.ts'
import {
  firstReason,
  forgetPopulation,
  fullGuard,
  holdProgress,
  populationHash,
  raiseFence,
  rootKeyText,
  rootTable,
  storeDue,
  type FullGuard,
} from '../../lib/data/rows/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import type { Claim } from '../../lib/record/ledger/index.ts'
import { requireRights } from '../../lib/record/grants/index.ts'
import type { Proposal } from '../../lib/record/proposals/index.ts'
import type { DeletionPlan } from '../../lib/data/deletion/index.ts'
import { checkExpressions, clockSql, cutoffNow, proposalGuard } from './rules.ts'

/** A proposal may look at every row of a large table: an hour, not the minute that other statements get. */
const PROPOSAL_TIMEOUT_MS = 3_600_000

export interface Found {
  cutoff: Date
  population: number
  rows: Record<string, number>
  excluded: Record<string, number>
  oldest: Date | null
  newest: Date | null
  /** Rows of the root table, for the share. */
  rootRows: number
}

/** A population that was stored. */
export interface Proposed extends Found {
  /** Of its ordinals and keys: what is signed, and what executes. */
  populationHash: string
}

/**
 * Stores the population under `proposalId` and returns the figures. Repeatable: what an earlier try stored is replaced, but only
 * by the run's newest claim. Throws E_FENCED.
 */
export async function propose(
  target: Database,
  policy: ResolvedPolicy,
  plan: DeletionPlan,
  proposalId: string,
  zone: string | undefined,
  claim: Claim,
): Promise<Proposed> {
  await requireRights(target, plan)
  await checkExpressions(target, policy, plan, zone)
  await raiseFence(target, claim.id, claim.fence)
  return target.transaction(
    async (tx) => {
      // an overtaken worker must not write another population under a proposal that waits
      await holdProgress(tx, { runId: claim.id, fence: claim.fence })
      await forgetPopulation(tx, proposalId)
      const found = await find(tx, policy, plan, (due) => storePopulation(tx, plan, proposalId, due))
      return { ...found, populationHash: await populationHash(tx, proposalId) }
    },
    { statementTimeoutMs: PROPOSAL_TIMEOUT_MS, isolation: 'repeatable read', retry: true },
  )
}

/** The keys in the target are those that were proposed and signed. Throws E_PLAN_CHANGED. */
export async function refuseOthers(target: Database, proposal: Proposal): Promise<void> {
  if ((await populationHash(target, proposal.id)) === proposal.populationHash) return
  throw new LetheError('E_PLAN_CHANGED', {
    message: `Proposal ${proposal.id} was approved for other subjects than those that stand under it now in store ${proposal.store}.`,
    left: 'Nothing was removed.',
    next: `Find out who changed the population there, then propose again: lethe retention run ${proposal.policy}.`,
    facts: { proposal: proposal.id, changed: ['the population'] },
  })
}

/** The same figures in a read-only transaction: changes nothing. `sample` root keys are for the caller's terminal only. */
export async function preview(
  target: Database,
  policy: ResolvedPolicy,
  plan: DeletionPlan,
  zone: string | undefined,
  sample: number,
): Promise<{ found: Found; sample: string[][] }> {
  await checkExpressions(target, policy, plan, zone)
  return target.transaction(
    async (tx) => {
      const found = await find(tx, policy, plan, (due) => countPopulation(tx, plan, due))
      const guard = await fullGuard(tx, plan, proposalGuard(policy, plan, found.cutoff.toISOString()))
      const keys = await tx.query(
        z.object({ key: z.array(z.string()) }),
        `SELECT ${rootKeyText(plan)} AS key FROM ${rootTable(plan)} AS root
         WHERE ${freeToGo(guard)} ORDER BY ${clockSql(policy)} LIMIT $1`,
        [sample],
      )
      return { found, sample: keys.map((row) => row.key) }
    },
    { statementTimeoutMs: PROPOSAL_TIMEOUT_MS, isolation: 'repeatable read', readOnly: true, retry: true },
  )
}

interface DueQuery {
  /** CTEs ending in `due`: root_key, clock_at and, for each table of the plan, the rows that go with the subject (c0, c1, …). */
  ctes: string
}
type Counted = Pick<Found, 'population' | 'rows' | 'oldest' | 'newest'>

async function find(
  tx: Transaction,
  policy: ResolvedPolicy,
  plan: DeletionPlan,
  count: (due: DueQuery) => Promise<Counted>,
): Promise<Found> {
  await tx.execute(`SET LOCAL TimeZone = ${pg.escapeLiteral(plan.timeZone)}`)
  const cutoff = await cutoffNow(tx, policy)
  const guard = await fullGuard(tx, plan, proposalGuard(policy, plan, cutoff.toISOString()))
  const counted = await count(dueQuery(policy, plan, guard))
  const [size] = await tx.query(
    z.object({ n: z.coerce.number() }),
    `SELECT count(*) AS n FROM ${rootTable(plan)}`,
  )
  return { cutoff, ...counted, excluded: await excluded(tx, plan, guard), rootRows: size?.n ?? 0 }
}

/** A subject is its root and the rows merged into it: their rows count as its own. `roots` counts the root rows. */
function dueQuery(policy: ResolvedPolicy, plan: DeletionPlan, guard: FullGuard): DueQuery {
  const table = rootTable(plan)
  const counts = plan.tables.map(
    (entry, i) => `(SELECT count(*) FROM ${sqlTable(entry.table)} AS t WHERE ${entry.belongs}) AS c${i}`,
  )
  const head = `${rootKeyText(plan)} AS root_key, ${clockSql(policy)} AS clock_at`
  const [key] = plan.key
  if (plan.alias === null || key === undefined)
    return {
      ctes: `due AS MATERIALIZED (SELECT ${[head, '1 AS roots', ...counts].join(', ')} FROM ${table} AS root WHERE ${freeToGo(guard)})`,
    }
  const own = `root.${pg.escapeIdentifier(key.name)}`
  const sums = plan.tables.map((_, i) => `sum(c${i}) AS c${i}`)
  return {
    ctes: `free AS MATERIALIZED (SELECT ${head}, ${own} AS id FROM ${table} AS root WHERE ${freeToGo(guard)}),
      member AS (
        SELECT root_key, clock_at, id FROM free
        UNION
        SELECT m.root_key, m.clock_at, ${own} FROM member m JOIN ${table} AS root ON root.${pg.escapeIdentifier(plan.alias)} = m.id
      ),
      counted AS (SELECT ${['m.root_key', 'm.clock_at', ...counts].join(', ')} FROM member m JOIN ${table} AS root ON ${own} = m.id),
      due AS MATERIALIZED (SELECT ${['root_key', 'clock_at', 'count(*) AS roots', ...sums].join(', ')} FROM counted GROUP BY root_key, clock_at)`,
  }
}

async function storePopulation(
  tx: Transaction,
  plan: DeletionPlan,
  proposalId: string,
  due: DueQuery,
): Promise<Counted> {
  const weight = ['roots', ...plan.tables.map((_, i) => `c${i}`)].join(' + ')
  return summed(tx, plan, `${due.ctes}, stored AS (${storeDue(weight)})`, [proposalId])
}

async function countPopulation(tx: Transaction, plan: DeletionPlan, due: DueQuery): Promise<Counted> {
  return summed(tx, plan, due.ctes, [])
}

async function summed(
  tx: Transaction,
  plan: DeletionPlan,
  ctes: string,
  values: readonly unknown[],
): Promise<Counted> {
  const sums = plan.tables.map((_, i) => `coalesce(sum(c${i}), 0)`)
  const [row] = await tx.query(
    z.object({
      population: z.coerce.number(),
      roots: z.coerce.number(),
      oldest: z.date().nullable(),
      newest: z.date().nullable(),
      sums: z.array(z.coerce.number()),
    }),
    `WITH RECURSIVE ${ctes} SELECT count(*) AS population, coalesce(sum(roots), 0) AS roots, min(clock_at) FILTER (WHERE isfinite(clock_at)) AS oldest,
       max(clock_at) FILTER (WHERE isfinite(clock_at)) AS newest,
       ARRAY[${sums.join(', ')}]::float8[] AS sums FROM due`,
    values,
  )
  if (row === undefined) throw new LetheError('E_INTERNAL', { message: 'The proposal counted nothing.' })
  const rows: Record<string, number> = { [tableKey(plan.root)]: row.roots }
  plan.tables.forEach((entry, i) => {
    const n = row.sums[i] ?? 0
    if (n > 0) rows[tableKey(entry.table)] = (rows[tableKey(entry.table)] ?? 0) + n
  })
  return { population: row.population, oldest: row.oldest, newest: row.newest, rows }
}

/** Due roots that stay, by the first reason that holds. */
async function excluded(
  tx: Transaction,
  plan: DeletionPlan,
  guard: FullGuard,
): Promise<Record<string, number>> {
  const found = await tx.query(
    z.object({ reason: z.string(), n: z.coerce.number() }),
    `SELECT reason, count(*) AS n FROM (
       SELECT ${firstReason(guard)} AS reason FROM ${rootTable(plan)} AS root WHERE ${guard.due}
     ) AS due WHERE reason IS NOT NULL GROUP BY reason ORDER BY reason`,
  )
  return Object.fromEntries(found.map((row) => [row.reason, row.n]))
}

function freeToGo(guard: FullGuard): string {
  return [`(${guard.due})`, ...guard.clear.map(({ sql }) => `(${sql}) IS NOT TRUE`)].join(' AND ')
}
