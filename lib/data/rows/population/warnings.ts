/**
 * lethe.warnings: what data subjects were told before an inactivity purge. A warning belongs to one value of the retention
 * clock, so new activity voids it. The attempt is recorded before the delivery: a crash can't send it without end.
 */
import { z } from 'zod'
import { sqlLiteral } from '../../datamap/index.ts'
import type { DeletionPlan } from '../../deletion/index.ts'
import type { Queryable } from '../../../base/db/index.ts'
import { namesRoot, rootKeyText, rootTable } from '../batch/root-sql.ts'

/** SQL condition over `root`: the warning of so many days before is not delivered, or not that long ago. `clock`: SQL over `root`. */
export function unwarnedCondition(
  plan: DeletionPlan,
  { policy, clock, days }: { policy: string; clock: string; days: number },
): string {
  const ours = `w.policy = ${sqlLiteral(policy)}`
  return `NOT EXISTS (SELECT 1 FROM lethe.warnings w WHERE ${ours}
      AND ${namesRoot(plan, 'w.root_key', ours)} AND w.clock_at = ${clock} AND w.days = ${days}
      AND w.delivered_at <= now() - interval '${days} days')`
}

const dueWarning = z.object({
  key: z.array(z.string()),
  /** As PostgreSQL prints it, to the microsecond: the sweep compares it with the clock itself. */
  clock: z.string(),
  days: z.number(),
  contact: z.string(),
  lastActive: z.string(),
  due: z.string(),
})
export type DueWarning = z.infer<typeof dueWarning>

/** What a policy says of its warnings; `clock`, `dueAt`, `contact` and `free` are SQL over `root`. */
export interface WarningRules {
  policy: string
  /** Days before the purge at which a warning goes out. */
  days: readonly number[]
  clock: string
  /** When the root falls due. */
  dueAt: string
  contact: string
  /** Nothing else keeps the root. */
  free: string
  /** How long after an attempt the next one may be made, as an interval. */
  retryAfter: string
  limit: number
}

/**
 * The next warning of each root whose time has come, and how many have no contact. Each waits as long after the one before
 * as their days differ, so a subject that is overdue already still gets all of them, in their order, before it goes.
 */
export async function dueWarnings(
  tx: Queryable,
  plan: DeletionPlan,
  { policy, days, clock, dueAt, contact, free, retryAfter, limit }: WarningRules,
): Promise<{ due: DueWarning[]; withoutContact: number }> {
  const pending = `(
        SELECT candidate.*, d.days FROM (
          SELECT ${rootKeyText(plan)} AS root_key, ${clock} AS clock_at, (${contact})::text AS contact,
            ${dueAt} AS due_at
          FROM ${rootTable(plan)} AS root
          WHERE isfinite(${clock}) AND ${dueAt} <= now() + interval '${Math.max(...days)} days' AND ${free}
        ) AS candidate
        CROSS JOIN LATERAL (
          SELECT given.days, lag(given.days) OVER (ORDER BY given.days DESC) AS earlier
          FROM unnest(ARRAY[${days.join(', ')}]::int[]) AS given(days)
        ) AS d
        LEFT JOIN lethe.warnings sent ON sent.policy = $1 AND sent.root_key = candidate.root_key
          AND sent.clock_at = candidate.clock_at AND sent.days = d.days
        LEFT JOIN lethe.warnings before ON before.policy = $1 AND before.root_key = candidate.root_key
          AND before.clock_at = candidate.clock_at AND before.days = d.earlier
        WHERE sent.delivered_at IS NULL
          AND (sent.attempted_at IS NULL OR sent.attempted_at <= now() - interval ${sqlLiteral(retryAfter)})
          AND due_at - make_interval(days => d.days) <= now()
          AND (d.earlier IS NULL OR before.delivered_at + make_interval(days => d.earlier - d.days) <= now())) AS pending`
  const due = await tx.query(
    dueWarning,
    `SELECT root_key AS key, clock_at::text AS clock, days, contact, clock_at::date::text AS "lastActive",
           greatest(due_at, now() + make_interval(days => days))::date::text AS due
         FROM ${pending} WHERE contact <> '' ORDER BY clock_at, root_key, days DESC LIMIT ${limit}`,
    [policy],
  )
  const [without] = await tx.query(
    z.object({ n: z.coerce.number() }),
    `SELECT count(*) AS n FROM ${pending} WHERE coalesce(contact, '') = ''`,
    [policy],
  )
  return { due, withoutContact: without?.n ?? 0 }
}

type Warning = Pick<DueWarning, 'key' | 'clock' | 'days'>

/** Before it is sent. */
export async function beginWarning(db: Queryable, policy: string, warning: Warning): Promise<void> {
  await db.execute(
    `INSERT INTO lethe.warnings (policy, root_key, clock_at, days, attempts, attempted_at, error_code)
     VALUES ($1, $2, $3::timestamptz, $4, 1, now(), 'E_INTERRUPTED')
     ON CONFLICT (policy, root_key, clock_at, days) DO UPDATE SET attempts = warnings.attempts + 1,
       attempted_at = now(), error_code = EXCLUDED.error_code`,
    [policy, warning.key, warning.clock, warning.days],
  )
}

/** `errorCode` null: it was delivered. */
export async function settleWarning(
  db: Queryable,
  policy: string,
  warning: Warning,
  errorCode: string | null,
): Promise<void> {
  await db.execute(
    `UPDATE lethe.warnings SET error_code = $5, delivered_at = CASE WHEN $5::text IS NULL THEN now() END
     WHERE policy = $1 AND root_key = $2 AND clock_at = $3::timestamptz AND days = $4`,
    [policy, warning.key, warning.clock, warning.days, errorCode],
  )
}
