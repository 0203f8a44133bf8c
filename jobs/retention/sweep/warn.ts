/**
 * Warnings before an inactivity purge, sent to the data subject's own address: 30, 7 and 1 days before by default. A
 * warning belongs to one value of the retention clock: new activity voids it. At least once: the attempt is recorded, then
 * the message goes, then its delivery is recorded, so a crash between the last two sends that one again.
 */
import pg from 'pg'
import { z } from 'zod'
import { sleep } from '../../../lib/base/clock/index.ts'
import type { ResolvedPolicy } from '../../../lib/config/index.ts'
import type { Database } from '../../../lib/base/db/index.ts'
import {
  beginWarning,
  dueWarnings,
  fullGuard,
  settleWarning,
  type DueWarning,
} from '../../../lib/data/rows/index.ts'
import { LetheError, type ErrorCode } from '../../../lib/base/errors/index.ts'
import { recordStep, type Run } from '../../../lib/record/ledger/index.ts'
import type { Context } from '../../context.ts'
import type { JobKind, StepResult } from '../../kind.ts'
import { policyMode } from '../decisions/arm.ts'
import type { DeletionPlan } from '../../../lib/data/deletion/index.ts'
import { loadPolicyPlan } from '../plan.ts'
import { findPolicy } from '../policy.ts'
import { clockSql, dueAtSql, proposalGuard } from '../rules.ts'

const payload = z.strictObject({ policy: z.string() })
/** Deliveries in one step, so that a pause or a stop is obeyed soon. */
const PAGE = 50
/** Milliseconds between two messages: 20 a second at most, which no mail server takes for a flood. */
const PACE_MS = 50
/** A pass tries each warning once; the next night's tries it again. Its subject is never purged without it. */
const RETRY_AFTER = '1 hour'

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

async function sendPage(context: Context, run: Run, signal: AbortSignal): Promise<StepResult> {
  const policy = findPolicy(context, payload.parse(run.payload).policy)
  if (policy.warnings.length === 0) return { kind: 'done', outcome: 'nothing-due' }
  // a policy that only observes purges nobody, so it announces no purge
  if ((await policyMode(context.control, policy)).mode === 'observe')
    return { kind: 'done', outcome: 'observed' }
  const plan = await loadPolicyPlan(context, policy)
  const target = await context.target(policy.store)
  const { due, withoutContact } = await findDue(target, policy, plan, contactSql(context, policy))
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

async function findDue(
  target: Database,
  policy: ResolvedPolicy,
  plan: DeletionPlan,
  contact: string,
): Promise<{ due: DueWarning[]; withoutContact: number }> {
  const clock = clockSql(policy)
  return target.transaction(
    async (tx) => {
      await tx.execute(`SET LOCAL TimeZone = ${pg.escapeLiteral(plan.timeZone)}`)
      // who stays for another reason is not frightened: the same conditions, without the warnings themselves
      const guard = await fullGuard(tx, plan, proposalGuard({ ...policy, warnings: [] }, plan, 'infinity'))
      return dueWarnings(tx, plan, {
        policy: policy.name,
        days: policy.warnings,
        clock,
        dueAt: dueAtSql(policy, clock),
        contact,
        free: guard.clear.map(({ sql }) => `(${sql}) IS NOT TRUE`).join(' AND ') || 'true',
        retryAfter: RETRY_AFTER,
        limit: PAGE,
      })
    },
    { readOnly: true, retry: true },
  )
}

/** Null where it was delivered. The address goes to the channel and nowhere else. */
async function send(
  context: Context,
  target: Database,
  policy: ResolvedPolicy,
  warning: DueWarning,
): Promise<ErrorCode | null> {
  await beginWarning(target, policy.name, warning)
  const errorCode = await deliver(context, policy, warning)
  await settleWarning(target, policy.name, warning, errorCode)
  return errorCode
}

async function deliver(
  context: Context,
  policy: ResolvedPolicy,
  warning: DueWarning,
): Promise<ErrorCode | null> {
  const { subject_line: subject, body } = context.config.file.notifications
  const about = `warning:${policy.name}:${warning.days}:${warning.clock}`
  const result = await context.notifier.deliver({
    to: warning.contact,
    subject,
    body: body.replaceAll('{last_active}', warning.lastActive).replaceAll('{due}', warning.due),
    id: context.keystore.subjectHash(policy.store, about, warning.key).toString('hex'),
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
