/**
 * Warnings before an inactivity purge, sent to the data subject's own address: 30, 7 and 1 days before by default. A
 * warning belongs to one value of the retention clock: new activity voids it. At least once: the attempt is recorded, then
 * the message goes, then its delivery is recorded, so a crash between the last two sends that one again.
 */
import pg from 'pg'
import { z } from 'zod'
import { sleep } from '../../lib/base/clock/index.ts'
import type { ResolvedPolicy } from '../../lib/config/index.ts'
import type { Database } from '../../lib/base/db/index.ts'
import { fullGuard, rootKeyText, rootTable } from '../../lib/data/rows/index.ts'
import { LetheError, type ErrorCode } from '../../lib/base/errors/index.ts'
import { recordStep, type Run } from '../../lib/record/ledger/index.ts'
import type { Context } from '../context.ts'
import type { JobKind, StepResult } from '../kind.ts'
import { policyMode } from './arm.ts'
import { loadPolicyPlan, type PolicyPlan } from './plan.ts'
import { findPolicy } from './policy.ts'
import { clockSql, dueAtSql, proposalGuard } from './rules.ts'

const payload = z.strictObject({ policy: z.string() })
/** Deliveries in one step, so that a pause or a stop is obeyed soon. */
const PAGE = 50
/** Milliseconds between two messages: 20 a second at most, which no mail server takes for a flood. */
const PACE_MS = 50
/** A pass tries each warning once; the next night's tries it again. Its subject is never purged without it. */
const RETRY_AFTER = `interval '1 hour'`

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

const dueWarning = z.object({
  key: z.array(z.string()),
  /** As PostgreSQL prints it, to the microsecond: the sweep compares it with the clock itself. */
  clock: z.string(),
  days: z.number(),
  contact: z.string(),
  lastActive: z.string(),
  due: z.string(),
})
type Due = z.infer<typeof dueWarning>

async function sendPage(context: Context, run: Run, signal: AbortSignal): Promise<StepResult> {
  const policy = findPolicy(context, payload.parse(run.payload).policy)
  if (policy.warnings.length === 0) return { kind: 'done', outcome: 'nothing-due' }
  // a policy that only observes purges nobody, so it announces no purge
  if ((await policyMode(context.control, policy)).mode === 'observe')
    return { kind: 'done', outcome: 'observed' }
  const plan = await loadPolicyPlan(context, policy)
  const target = await context.target(policy.store)
  const { due, withoutContact } = await dueWarnings(target, policy, plan, contactSql(context, policy))
  /** What went wrong with each; null: delivered. */
  const sent: (ErrorCode | null)[] = []
  for (const warning of due) {
    if (signal.aborted) break
    if (sent.length > 0) await sleep(PACE_MS, signal).catch(() => undefined)
    sent.push(await send(context, target, policy, warning))
  }
  const delivered = sent.filter((code) => code === null).length
  const all = (run.counters['delivered'] ?? 0) + delivered
  const failed = (run.counters['failed'] ?? 0) + sent.length - delivered
  await recordStep(context.control, run, {
    name: 'warn',
    counters: {
      delivered: all,
      failed,
      'without-contact': withoutContact,
    },
    events:
      sent.length === 0
        ? []
        : [
            {
              type: 'warnings.sent',
              data: { policy: policy.name, delivered, failed: sent.length - delivered },
            },
          ],
  })
  refuseDeadChannel(context, policy, sent)
  if (due.length === PAGE || signal.aborted) return { kind: 'more' }
  if (failed > 0) return { kind: 'done', outcome: all > 0 ? 'partly-warned' : 'not-delivered' }
  return { kind: 'done', outcome: all > 0 ? 'warned' : 'nothing-due' }
}

/**
 * A page on which nothing was delivered is the channel's failure, not that of fifty recipients: the run fails loudly and
 * its backoff tries again. The channel log never delivers, and that is no failure of it.
 */
function refuseDeadChannel(
  context: Context,
  policy: ResolvedPolicy,
  sent: readonly (ErrorCode | null)[],
): void {
  const dead = sent.filter((code) => code !== null && code !== 'E_NOTIFY_REFUSED').length
  if (dead === 0 || sent.includes(null)) return
  const { channel } = context.notifier
  if (channel === 'log') return
  throw new LetheError('E_NOTIFY', {
    message: `Policy ${policy.name}: none of ${sent.length} warnings was delivered by channel ${channel}.`,
    left: 'They are recorded as not delivered; no subject is purged without its warnings.',
  })
}

/**
 * The next warning of each root whose time has come. Each waits as long after the one before as their days differ, so a
 * subject that is overdue already still gets all of them, in their order, before it goes.
 */
async function dueWarnings(
  target: Database,
  policy: ResolvedPolicy,
  plan: PolicyPlan,
  contact: string,
): Promise<{ due: Due[]; withoutContact: number }> {
  const days = `ARRAY[${policy.warnings.join(', ')}]::int[]`
  const clock = clockSql(policy)
  return target.transaction(
    async (tx) => {
      await tx.execute(`SET LOCAL TimeZone = ${pg.escapeLiteral(plan.timeZone)}`)
      // who stays for another reason is not frightened: the same conditions, without the warnings themselves
      const guard = await fullGuard(tx, plan, proposalGuard({ ...policy, warnings: [] }, plan, 'infinity'))
      const free = guard.clear.map(({ sql }) => ` AND (${sql}) IS NOT TRUE`).join('')
      const pending = `(
        SELECT candidate.*, d.days FROM (
          SELECT ${rootKeyText(plan)} AS root_key, ${clock} AS clock_at, (${contact})::text AS contact,
            ${dueAtSql(policy, clock)} AS due_at
          FROM ${rootTable(plan)} AS root
          WHERE isfinite(${clock}) AND ${dueAtSql(policy, clock)} <= now() + interval '${Math.max(...policy.warnings)} days'${free}
        ) AS candidate
        CROSS JOIN LATERAL (
          SELECT given.days, lag(given.days) OVER (ORDER BY given.days DESC) AS earlier FROM unnest(${days}) AS given(days)
        ) AS d
        LEFT JOIN lethe.warnings sent ON sent.policy = $1 AND sent.root_key = candidate.root_key
          AND sent.clock_at = candidate.clock_at AND sent.days = d.days
        LEFT JOIN lethe.warnings before ON before.policy = $1 AND before.root_key = candidate.root_key
          AND before.clock_at = candidate.clock_at AND before.days = d.earlier
        WHERE sent.delivered_at IS NULL
          AND (sent.attempted_at IS NULL OR sent.attempted_at <= now() - ${RETRY_AFTER})
          AND due_at - make_interval(days => d.days) <= now()
          AND (d.earlier IS NULL OR before.delivered_at + make_interval(days => d.earlier - d.days) <= now())) AS pending`
      const due = await tx.query(
        dueWarning,
        `SELECT root_key AS key, clock_at::text AS clock, days, contact, clock_at::date::text AS "lastActive",
           greatest(due_at, now() + make_interval(days => days))::date::text AS due
         FROM ${pending} WHERE contact <> '' ORDER BY clock_at, root_key, days DESC LIMIT ${PAGE}`,
        [policy.name],
      )
      const [without] = await tx.query(
        z.object({ n: z.coerce.number() }),
        `SELECT count(*) AS n FROM ${pending} WHERE coalesce(contact, '') = ''`,
        [policy.name],
      )
      return { due, withoutContact: without?.n ?? 0 }
    },
    { readOnly: true, retry: true },
  )
}

/** Null where it was delivered. The address goes to the channel and nowhere else. */
async function send(
  context: Context,
  target: Database,
  policy: ResolvedPolicy,
  warning: Due,
): Promise<ErrorCode | null> {
  const id = [policy.name, warning.key, warning.clock, warning.days]
  await target.execute(
    `INSERT INTO lethe.warnings (policy, root_key, clock_at, days, attempts, attempted_at, error_code)
     VALUES ($1, $2, $3::timestamptz, $4, 1, now(), 'E_INTERRUPTED')
     ON CONFLICT (policy, root_key, clock_at, days) DO UPDATE SET attempts = warnings.attempts + 1,
       attempted_at = now(), error_code = EXCLUDED.error_code`,
    id,
  )
  const errorCode = await deliver(context, policy, warning)
  await target.execute(
    `UPDATE lethe.warnings SET error_code = $5, delivered_at = CASE WHEN $5::text IS NULL THEN now() END
     WHERE policy = $1 AND root_key = $2 AND clock_at = $3::timestamptz AND days = $4`,
    [...id, errorCode],
  )
  return errorCode
}

async function deliver(context: Context, policy: ResolvedPolicy, warning: Due): Promise<ErrorCode | null> {
  const { subject_line: subject, body } = context.config.file.notifications
  const about = `warning:${policy.name}:${warning.days}:${warning.clock}`
  const result = await context.notifier.deliver({
    to: warning.contact,
    subject,
    body: body.replaceAll('{last_active}', warning.lastActive).replaceAll('{due}', warning.due),
    id: context.vault.subjectHash(policy.store, about, warning.key).toString('hex'),
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
