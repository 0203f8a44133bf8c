/**
 * Warnings before an inactivity purge, sent to the data subject's own address: 30, 7 and 1 days before by default. A
 * warning belongs to one value of the retention clock: new activity voids it. At least once: a crash between the delivery
 * and its record sends that one again.
 */
import pg from 'pg'
import { z } from 'zod'
import type { ResolvedPolicy } from '../../lib/config/index.ts'
import type { Database } from '../../lib/db/index.ts'
import type { DeletionPlan } from '../../lib/datamap/index.ts'
import { fullGuard } from '../../lib/erasers/index.ts'
import { LetheError } from '../../lib/errors/index.ts'
import { recordStep, type Run } from '../../lib/ledger/index.ts'
import type { Context } from '../context.ts'
import type { JobKind, StepResult } from '../kind.ts'
import { loadPolicyPlan } from './plan.ts'
import { effectivePeriod, findPolicy } from './policy.ts'
import { clockSql, proposalGuard, rootKeySql, rootTableSql } from './rules.ts'

const payload = z.strictObject({ policy: z.string() })
/** Deliveries in one step, so that a pause or a stop is obeyed soon. */
const PAGE = 50

export const warn: JobKind = {
  kind: 'retention.warn',
  queue: 'retention',
  payload,
  maxAttempts: 5,
  scope: (given) => payload.parse(given).policy,
  step: sendPage,
  schedules: (config) =>
    Object.values(config.policies)
      .filter((policy) => policy.warnings.length > 0 && policy.schedule !== undefined)
      .map((policy) => ({
        id: `warn:${policy.name}`,
        payload: { policy: policy.name },
        cron: policy.schedule?.cron ?? '0 1 * * *',
        timeZone: policy.schedule?.time_zone ?? 'UTC',
        catchUp: 'latest',
      })),
}

interface Due {
  key: string[]
  clockAt: Date
  days: number
  contact: string | null
  dueAt: Date
}

/** How many of this pass could not be delivered: they stay at the head of the list and are passed over. */
const cursorSchema = z.object({ undelivered: z.number().default(0) })

async function sendPage(context: Context, run: Run, signal: AbortSignal): Promise<StepResult> {
  const policy = findPolicy(context, payload.parse(run.payload).policy)
  const { undelivered } = cursorSchema.parse(run.cursor)
  const plan = await loadPolicyPlan(context, policy)
  const contact = contactSql(context, policy)
  const target = await context.target(policy.store)
  const due = await dueWarnings(target, policy, plan, contact, undelivered)
  let delivered = 0
  let failed = 0
  for (const warning of due) {
    if (signal.aborted) break
    const errorCode = await deliver(context, policy, warning)
    await target.execute(
      `INSERT INTO lethe.warnings (policy, root_key, clock_at, days, attempts, delivered_at, error_code)
       VALUES ($1, $2, $3, $4, 1, CASE WHEN $5::text IS NULL THEN now() END, $5)
       ON CONFLICT (policy, root_key, clock_at, days) DO UPDATE SET attempts = warnings.attempts + 1,
         delivered_at = EXCLUDED.delivered_at, error_code = EXCLUDED.error_code`,
      [policy.name, warning.key, warning.clockAt, warning.days, errorCode],
    )
    if (errorCode === null) delivered += 1
    else failed += 1
  }
  const sent = (run.counters['delivered'] ?? 0) + delivered
  const missed = undelivered + failed
  const over = due.length < PAGE && !signal.aborted
  await recordStep(context.control, run, {
    name: 'warn',
    counters: { delivered: sent, failed: missed },
    cursor: { undelivered: over ? 0 : missed },
    events:
      delivered + failed === 0
        ? []
        : [{ type: 'warnings.sent', data: { policy: policy.name, delivered, failed } }],
  })
  if (!over) return { kind: 'more' }
  if (missed === 0) return { kind: 'done', outcome: sent > 0 ? 'warned' : 'nothing-due' }
  if (sent > 0 || context.notifier.channel === 'log')
    return { kind: 'done', outcome: sent > 0 ? 'partly-warned' : 'not-delivered' }
  // a pass in which nothing was delivered is the channel's failure: the run's own backoff tries the whole pass again
  throw new LetheError('E_NOTIFY', {
    message: `Policy ${policy.name}: none of ${missed} warnings was delivered by ${context.notifier.channel}.`,
    left: 'They are recorded as not delivered; no subject is purged without its warnings.',
  })
}

/** The next warning of each root whose time has come; each waits as long after the one before as their days differ. */
async function dueWarnings(
  target: Database,
  policy: ResolvedPolicy,
  plan: DeletionPlan,
  contact: string,
  passOver: number,
): Promise<Due[]> {
  const { period } = effectivePeriod(policy)
  const interval = `interval ${pg.escapeLiteral(period)}`
  const days = `ARRAY[${policy.warnings.join(', ')}]::int[]`
  return target.transaction(
    async (tx) => {
      await tx.execute(`SET LOCAL TimeZone = ${pg.escapeLiteral(plan.timeZone)}`)
      // who stays for another reason is not frightened: the same conditions, without the warnings themselves
      const guard = await fullGuard(tx, plan, proposalGuard({ ...policy, warnings: [] }, plan, 'infinity'))
      const free = guard.clear.map(({ sql }) => `(${sql}) IS NOT TRUE`)
      return tx.query(
        z.object({
          key: z.array(z.string()),
          clockAt: z.date(),
          days: z.number(),
          contact: z.string().nullable(),
          dueAt: z.date(),
        }),
        `SELECT root_key AS key, clock_at AS "clockAt", d.days, contact, clock_at + ${interval} AS "dueAt"
         FROM (SELECT ${rootKeySql(plan)} AS root_key, ${clockSql(policy)} AS clock_at, (${contact})::text AS contact
               FROM ${rootTableSql(plan)} AS root
               WHERE ${clockSql(policy)} <= now() - ${interval} + make_interval(days => ${Math.max(...policy.warnings)})
                 AND ${['true', ...free].join(' AND ')}) AS candidate
         CROSS JOIN LATERAL (
           SELECT given.days, lag(given.days) OVER (ORDER BY given.days DESC) AS earlier
           FROM unnest(${days}) AS given(days)
         ) AS d
         LEFT JOIN lethe.warnings sent ON sent.policy = $1 AND sent.root_key = candidate.root_key
           AND sent.clock_at = candidate.clock_at AND sent.days = d.days
         LEFT JOIN lethe.warnings before ON before.policy = $1 AND before.root_key = candidate.root_key
           AND before.clock_at = candidate.clock_at AND before.days = d.earlier
         WHERE sent.delivered_at IS NULL
           AND clock_at + ${interval} - make_interval(days => d.days) <= now()
           AND (d.earlier IS NULL OR before.delivered_at + make_interval(days => d.earlier - d.days) <= now())
         ORDER BY clock_at, root_key, d.days DESC LIMIT ${PAGE} OFFSET $2`,
        [policy.name, passOver],
      )
    },
    { readOnly: true, retry: true },
  )
}

/** Null where it was delivered; otherwise the code of what went wrong. The address goes to the channel and nowhere else. */
async function deliver(context: Context, policy: ResolvedPolicy, warning: Due): Promise<string | null> {
  if (warning.contact === null || warning.contact === '') return 'E_NO_CONTACT'
  const { subject_line: subject, body } = context.config.file.notifications
  const day = (instant: Date) => instant.toISOString().slice(0, 10)
  const result = await context.notifier.deliver({
    to: warning.contact,
    subject,
    body: body.replaceAll('{last_active}', day(warning.clockAt)).replaceAll('{due}', day(warning.dueAt)),
    id: context.vault
      .subjectHash(
        policy.store,
        `warning:${policy.name}:${warning.days}:${warning.clockAt.toISOString()}`,
        warning.key,
      )
      .toString('hex'),
  })
  return result.delivered ? null : (result.errorCode ?? 'E_NOTIFY')
}

function contactSql(context: Context, policy: ResolvedPolicy): string {
  const contact =
    policy.subject === undefined ? undefined : context.config.file.subjects[policy.subject]?.contact
  if (contact !== undefined) return contact
  throw new LetheError('E_NO_CONTACT', {
    message: `Policy ${policy.name} warns before it purges, but its subject names no contact.`,
    next: 'Give the subject a contact in the map: SQL over its root (alias root) giving the address.',
  })
}
