/**
 * What a policy means in SQL: when a root row is due, and each reason for which it must stay all the same. The conditions
 * stand over the alias `root` and carry their values as literals, so the same text serves the proposal, the recheck under
 * the row lock and the deleting statement.
 */
import pg from 'pg'
import { z } from 'zod'
import type { ResolvedPolicy } from '../../lib/config/index.ts'
import type { Queryable } from '../../lib/base/db/index.ts'
import type { DeletionPlan } from '../../lib/data/deletion/index.ts'
import {
  exemptedCondition,
  keptByDecision,
  keptIsDue,
  mergedCondition,
  rootTable,
  unwarnedCondition,
  type Guard,
} from '../../lib/data/rows/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'

/** The clock as an instant; dates and timestamps without a zone are read in the session's TimeZone (plan.timeZone). */
export function clockSql(policy: ResolvedPolicy): string {
  return `(${policy.clock})::timestamptz`
}

/**
 * For the executor, which puts holds, legal minimums, kept roots and merged rows around it. `due` is asked of the root
 * alone, `clear` also of the rows merged into it. `cutoff`: an ISO instant fixed at the proposal by the target's clock.
 */
export function guardFor(policy: ResolvedPolicy, plan: DeletionPlan, cutoff: string): Guard {
  const warned = unwarned(policy, plan).map(({ sql }) => `(${sql}) IS NOT TRUE`)
  return {
    due: [dueSql(policy, plan, cutoff), ...warned].join(' AND '),
    clear: stays(policy, plan),
    values: [],
  }
}

/** For the proposal: the same conditions, each with its reason, so that a subject that stays can be told why. */
export function proposalGuard(policy: ResolvedPolicy, plan: DeletionPlan, cutoff: string): Guard {
  const merged = plan.alias === null ? [] : [{ reason: 'merged', sql: mergedCondition(plan) }]
  return {
    due: dueSql(policy, plan, cutoff),
    clear: [...merged, ...stays(policy, plan), ...unwarned(policy, plan)],
    values: [],
  }
}

/** A null clock is never due; a root once pseudonymised is, when its ground has ended. */
function dueSql(policy: ResolvedPolicy, plan: DeletionPlan, cutoff: string): string {
  const byClock = `(${clockSql(policy)} <= ${pg.escapeLiteral(cutoff)}::timestamptz)`
  return plan.keptCondition === null ? byClock : `(${byClock} OR ${keptIsDue(plan)})`
}

function stays(policy: ResolvedPolicy, plan: DeletionPlan): Guard['clear'] {
  return [
    ...policy.unless.map(({ name, sql }) => ({ reason: `unless:${name}`, sql })),
    { reason: 'kept', sql: keptByDecision(plan) },
    { reason: 'exempted', sql: exemptedCondition(plan, policy.name) },
  ]
}

/**
 * The instant before which a clock must lie, by the target's own clock. The clamps are applied to instants, in PostgreSQL's
 * calendar: "1 month" is 28 to 31 days, and a minimum of it must hold in every month. The minimum wins.
 */
export async function cutoffNow(target: Queryable, policy: ResolvedPolicy): Promise<Date> {
  const [row] = await target.query(z.object({ cutoff: z.date() }), `SELECT ${cutoffSql(policy)} AS cutoff`)
  if (row === undefined) throw new LetheError('E_INTERNAL', { message: 'The target gave no clock.' })
  return row.cutoff
}

function cutoffSql(policy: ResolvedPolicy): string {
  return clamped(policy, (period) => `now() - ${period}`, { later: 'greatest', earlier: 'least' })
}

/** When a root row with this value of the clock falls due (SQL, clamps applied). */
export function dueAtSql(policy: ResolvedPolicy, clock: string): string {
  return clamped(policy, (period) => `${clock} + ${period}`, { later: 'least', earlier: 'greatest' })
}

/** `later` picks the instant that makes more rows due (the maximum's way), `earlier` the one that makes fewer. */
function clamped(
  policy: Pick<ResolvedPolicy, 'period' | 'clamp'>,
  instant: (period: string) => string,
  pick: { later: 'least' | 'greatest'; earlier: 'least' | 'greatest' },
): string {
  const { minimum, maximum } = policy.clamp
  const of = (period: string) => `(${instant(`interval ${pg.escapeLiteral(period)}`)})`
  const longest =
    maximum === undefined ? of(policy.period) : `${pick.later}(${of(policy.period)}, ${of(maximum.period)})`
  return minimum === undefined ? longest : `${pick.earlier}(${longest}, ${of(minimum.period)})`
}

/**
 * Has PostgreSQL parse every expression of the policy against the live root. Throws E_POLICY_SQL naming the key that
 * fails, and E_POLICY_CLOCK where the clock isn't an instant or has no zone and the store names none.
 */
export async function checkExpressions(
  target: Queryable,
  policy: ResolvedPolicy,
  plan: DeletionPlan,
  storeZone: string | undefined,
): Promise<void> {
  const table = rootTable(plan)
  const parse = async (key: string, sql: string) => {
    try {
      await target.execute(sql)
    } catch (error) {
      if (!(error instanceof LetheError) || error.code === 'E_DATABASE_UNAVAILABLE') throw error
      throw new LetheError('E_POLICY_SQL', {
        message: `Policy ${policy.name}: PostgreSQL refuses its ${key} (${sqlState(error)}).`,
        facts: { policy: policy.name, key },
        cause: error,
      })
    }
  }
  // as they are used: in a WHERE clause, where an aggregate or a set has no place
  const where = (condition: string) => `SELECT FROM ${table} AS root WHERE ${condition} LIMIT 0`
  await parse('period or clamp', `SELECT ${dueAtSql(policy, 'now()')}, ${cutoffSql(policy)}`)
  await parse('clock', where(`${clockSql(policy)} <= now()`))
  for (const { name, sql } of policy.unless) await parse(`unless ${name}`, where(`(${sql})::boolean`))
  const [found] = await target.query(
    z.object({ type: z.string() }),
    `SELECT pg_typeof((SELECT (${policy.clock}) FROM ${table} AS root WHERE false))::text AS type`,
  )
  const type = found?.type ?? 'unknown'
  const known = ['timestamp with time zone', 'timestamp without time zone', 'date']
  if (!known.includes(type))
    throw new LetheError('E_POLICY_CLOCK', {
      message: `Policy ${policy.name}: its clock gives ${type}, not an instant or a date.`,
    })
  if (type === 'timestamp without time zone' && storeZone === undefined)
    throw new LetheError('E_POLICY_CLOCK', {
      message: `Policy ${policy.name}: its clock is a timestamp without a time zone, and store ${policy.store} names none.`,
      next: `Set time_zone of store ${policy.store} to the zone its timestamps are written in.`,
    })
}

/**
 * No purge without delivered warnings: each for the present value of the clock (new activity voids them), and each as
 * many days ago as it promised.
 */
function unwarned(policy: ResolvedPolicy, plan: DeletionPlan): { reason: string; sql: string }[] {
  return policy.warnings.map((days) => ({
    reason: `unwarned:${days}-days`,
    sql: unwarnedCondition(plan, { policy: policy.name, clock: clockSql(policy), days }),
  }))
}

function sqlState(error: LetheError): string {
  const { sqlstate } = error.facts
  return typeof sqlstate === 'string' ? `SQLSTATE ${sqlstate}` : error.code
}
