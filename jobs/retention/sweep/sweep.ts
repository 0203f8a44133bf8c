/**
 * The retention sweep, a run of one policy: propose → a person or a standing appraisal decides → execute → read back →
 * tidy up → report. Each phase is made of steps that end within seconds; killed anywhere, the next worker goes on.
 */
import { z } from 'zod'
import { newId } from '../../../lib/base/clock/index.ts'
import { summed, total } from '../../../lib/base/counts/index.ts'
import { databaseNow, openDatabase } from '../../../lib/base/db/index.ts'
import { exemptPopulation, populationStates, tidy, type Pass } from '../../../lib/data/rows/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { projectHolds } from '../../../lib/record/holds/index.ts'
import { batchCounters, recordStep, type Run } from '../../../lib/record/ledger/index.ts'
import {
  approvalOf,
  approveByAppraisal,
  armedVersion,
  getProposal,
  insertProposal,
  trailingMedian,
} from '../../../lib/record/proposals/index.ts'
import type { Context } from '../../context.ts'
import { awaitBucket, catchUpBucket } from '../../erasure-ledger.ts'
import type { JobKind, StepResult } from '../../kind.ts'
import { awaitResume, requireGoing } from '../../stops.ts'
import { verifiedMode } from '../decisions/arm.ts'
import { cursorSchema, type Cursor } from './cursor.ts'
import { catchUp, copyNewBatches, executeSome, type Work } from './execute.ts'
import { closing, ending, endsRun, executed, forgetting, readBack, standVoided } from './finish.ts'
import { HANDED_OVER, handOver, handsOver } from './hand-over.ts'
import { settleLost } from './lost.ts'
import { named } from './outcome.ts'
import { observe } from './observe.ts'
import { exceeded, judgeLimits, limitsError } from '../decisions/limits.ts'
import { loadClosingPlan, loadPolicyPlan } from '../plan.ts'
import { storeZone } from '../../deletion-plan.ts'
import { findPolicy, policyVersion } from '../policy.ts'
import { propose, refuseOthers } from '../propose.ts'
import { verifyApproval } from '../decisions/verify-approval.ts'

const payload = z.strictObject({ policy: z.string() })

export const sweep: JobKind = {
  kind: 'retention.sweep',
  queue: 'retention',
  payload,
  maxAttempts: 8,
  scope: (given) => payload.parse(given).policy,
  step: async (context, run, signal) =>
    awaitBucket(context, run.id, async () => going(context, run, async () => step(context, run, signal))),
  windUp: async (context, run, signal) =>
    awaitBucket(context, run.id, async () => going(context, run, async () => windUp(context, run, signal))),
  schedules: (config) =>
    Object.values(config.policies).flatMap(({ name, schedule }) =>
      schedule === undefined
        ? []
        : [
            {
              id: `sweep:${name}`,
              payload: { policy: name },
              cron: schedule.cron,
              timeZone: schedule.time_zone,
              catchUp: schedule.catch_up,
            },
          ],
    ),
  observe,
}

async function going(context: Context, run: Run, act: () => Promise<StepResult>): Promise<StepResult> {
  return awaitResume(context, findPolicy(context, payload.parse(run.payload).policy).store, act)
}

async function step(context: Context, run: Run, signal: AbortSignal): Promise<StepResult> {
  const cursor = cursorSchema.parse(run.cursor)
  if (cursor.phase === 'propose') return proposing(context, run, cursor, signal)
  const work = await workOf(context, run, cursor, signal)
  return guarded(work, cursor, () => nextStep(work, cursor))
}

/** Whatever ends the run for good, its record is completed first. */
async function guarded(work: Work, cursor: Cursor, act: () => Promise<StepResult>): Promise<StepResult> {
  if (cursor.ended !== null) {
    const ended = await forgetting(work, cursor.ended)
    if (cursor.refusal === null) return ended
    throw new LetheError(cursor.refusal.code, cursor.refusal)
  }
  try {
    if (cursor.refusal !== null) throw new LetheError(cursor.refusal.code, cursor.refusal)
    return await act()
  } catch (error) {
    if (endsRun(error)) await closing(work, cursor, error)
    throw error
  }
}

async function nextStep(work: Work, cursor: Cursor): Promise<StepResult> {
  if (cursor.phase === 'decide') return deciding(work, cursor)
  if (destroying.has(cursor.phase) && (await armedVersion(work.context.control, work.policy.name)) === null)
    return disarmed(work, cursor)
  if (cursor.phase === 'hand-over') return handingOver(work, cursor)
  if (cursor.phase === 'light' || cursor.phase === 'heavy' || cursor.phase === 'locked')
    return executing(work, cursor, cursor.phase)
  if (cursor.phase === 'verify') return verifying(work, cursor)
  if (cursor.phase === 'tidy') return tidying(work, cursor)
  return ending(work, cursor, 'executed', 'executed')
}

const destroying: ReadonlySet<Cursor['phase']> = new Set(['hand-over', 'light', 'heavy', 'locked'])

/** Whoever disarms asks the run to cancel too; where that was lost, or taken out of the record, it ends all the same. */
async function disarmed(work: Work, cursor: Cursor): Promise<StepResult> {
  const result = await cancelling(work, cursor)
  return result.kind === 'done' ? { ...result, state: 'cancelled' } : result
}

async function proposing(
  context: Context,
  run: Run,
  cursor: Cursor,
  signal: AbortSignal,
): Promise<StepResult> {
  const policy = findPolicy(context, payload.parse(run.payload).policy)
  const { control } = context
  if (cursor.proposal === undefined) {
    await recordStep(control, run, { name: 'begin', cursor: { ...cursor, proposal: newId() } })
    return { kind: 'more' }
  }
  const startedAt = await databaseNow(control)
  const target = await context.target(policy.store)
  await projectHolds(control, context.keystore, policy.store, target)
  const plan = await loadPolicyPlan(context, policy)
  await settleLost({ context, claim: run, policy, plan, target, signal })
  await catchUpBucket(context)
  const found = await propose(target, policy, plan, cursor.proposal, storeZone(context, policy.store), run)
  const mode = await verifiedMode(context, policy)
  const limits = judgeLimits(found, policy.limits, await trailingMedian(control, policy.name))
  const state = mode.mode === 'observe' ? 'observed' : found.population === 0 ? 'executed' : 'waiting'
  const { rootRows: _rootRows, ...figures } = found
  const proposal = {
    id: cursor.proposal,
    runId: run.id,
    policy: policy.name,
    policyVersion: mode.version,
    mapVersion: plan.mapVersion,
    planHash: plan.hash,
    store: policy.store,
    ...figures,
    limits,
    state,
    days: policy.proposal_days,
  } as const
  const {
    id,
    runId: _run,
    store: _store,
    cutoff: _cutoff,
    oldest: _oldest,
    newest: _newest,
    limits: _limits,
    days: _days,
    ...told
  } = proposal
  await recordStep(
    control,
    run,
    {
      name: 'propose',
      note: `${found.population} subjects, ${total(found.rows)} rows`,
      counters: { proposed: found.population, 'proposed-rows': total(found.rows) },
      cursor: { ...cursor, phase: 'decide' },
      events: [{ type: 'proposal.created', data: { proposal: id, ...told } }],
      startedAt,
    },
    async (tx) => {
      await insertProposal(tx, proposal)
      if (state === 'waiting' && policy.approval === 'standing') await approveByAppraisal(tx, proposal)
    },
  )
  return { kind: 'more' }
}

/** From the decision on, what executes must be what was decided about: same plan, same map, same policy. */
async function workOf(context: Context, run: Run, cursor: Cursor, signal: AbortSignal): Promise<Work> {
  const policy = findPolicy(context, payload.parse(run.payload).policy)
  const proposal = await getProposal(context.control, cursor.proposal ?? '')
  const target = await context.target(policy.store)
  const parts = { context, run, claim: run, policy, proposal, target, signal }
  try {
    return { ...parts, plan: await loadPolicyPlan(context, policy) }
  } catch (error) {
    // a table that nobody classified since, say: nothing more is deleted, but the record is completed
    const plan = endsRun(error) ? await loadClosingPlan(context, policy) : null
    if (endsRun(error) && plan !== null && cursor.ended === null)
      await closing({ ...parts, plan }, cursor, error)
    throw error
  }
}

async function deciding(work: Work, cursor: Cursor): Promise<StepResult> {
  const { context, policy, proposal, run } = work
  if (proposal.state === 'observed') return ending(work, cursor, 'observed')
  if (proposal.population === 0) return ending(work, cursor, 'nothing-due')
  if (proposal.state === 'rejected') return ending(work, cursor, 'rejected')
  if (proposal.state === 'waiting') {
    if ((await databaseNow(context.control)) < proposal.expiresAt)
      return { kind: 'wait', for: 'approval', until: proposal.expiresAt }
    return ending(work, cursor, 'expired', 'expired', [
      { type: 'proposal.expired', data: { proposal: proposal.id } },
    ])
  }
  const approval = await approvalOf(context.control, proposal.id)
  if (approval === null)
    throw new LetheError('E_APPROVAL_MISSING', {
      message: `Proposal ${proposal.id} is ${proposal.state}, but no decision is recorded.`,
    })
  await verifyApproval(context, policy, proposal, approval)
  await refuseOthers(work.target, proposal)
  if (approval.outcome === 'extend' || approval.outcome === 'preserve') {
    await exemptPopulation(work.target, {
      proposalId: proposal.id,
      policy: proposal.policy,
      until: approval.outcome === 'preserve' ? null : approval.extendUntil,
    })
    return ending(work, cursor, approval.outcome === 'extend' ? 'extended' : 'preserved', 'executed')
  }
  refuseChanged(work)
  const { mode } = await verifiedMode(context, policy)
  if (mode === 'observe')
    return ending(work, cursor, 'disarmed', 'cancelled', [
      { type: 'proposal.cancelled', data: { proposal: proposal.id } },
    ])
  const open = exceeded(proposal).filter((name) => !approval.overrides.includes(name))
  if (open.length > 0) throw limitsError(proposal, open)
  await recordStep(context.control, run, {
    name: 'begin-execution',
    cursor: { ...cursor, phase: handsOver(work) ? 'hand-over' : 'light' },
  })
  return { kind: 'more' }
}

function changes({ plan, policy, proposal }: Pick<Work, 'plan' | 'policy' | 'proposal'>): string[] {
  return [
    ...(plan.mapVersion === proposal.mapVersion ? [] : ['the data map']),
    ...(plan.hash === proposal.planHash ? [] : ['the plan (map or database schema)']),
    ...(policyVersion(policy) === proposal.policyVersion ? [] : ['the policy']),
  ]
}

function refuseChanged(work: Pick<Work, 'plan' | 'policy' | 'proposal' | 'run'>): void {
  const { policy, proposal } = work
  const changed = changes(work)
  if (changed.length === 0) return
  throw new LetheError('E_PLAN_CHANGED', {
    message: `Proposal ${proposal.id} was approved before this changed: ${changed.join(', ')}.`,
    left: 'What was removed before the change is recorded; nothing more goes under this approval.',
    next: `Look at the new plan and propose again: lethe retention run ${policy.name}.`,
    facts: { proposal: proposal.id, changed },
  })
}

/** The cascade reads back, tidies up and gives receipts; what is left here is the report. */
async function handingOver(work: Work, cursor: Cursor): Promise<StepResult> {
  refuseChanged(work)
  await requireGoing(work.context, work.policy)
  const handed = await handOver(work, cursor)
  return handed === 'done' ? ending(work, cursor, HANDED_OVER, 'executed') : handed
}

const nextPhase = { light: 'heavy', heavy: 'locked', locked: 'verify' } as const

async function executing(work: Work, cursor: Cursor, pass: Pass): Promise<StepResult> {
  const { context, run } = work
  refuseChanged(work)
  await requireGoing(context, work.policy)
  // a worker that was killed may have committed batches that no step counts
  if (run.attempt > 0) await recordBatches(work)
  const done = await executeSome(work, pass).catch(async (error: unknown) => {
    // what was removed before is progress: only a run that removes nothing uses its attempts up
    if (!endsRun(error)) await recordBatches(work).catch(() => undefined)
    throw error
  })
  const heldBy = done.heldBack?.reason ?? null
  await recordStep(context.control, run, {
    name: `execute-${pass}`,
    counters: done.counters,
    // that it waited is none
    progress: done.finished || brought(run, done.counters),
    cursor: {
      ...cursor,
      throttled: summed([cursor.throttled, done.throttled]),
      heldBy,
      phase: done.finished ? nextPhase[pass] : pass,
    },
    // when it changes, not each time the run looks again
    events:
      heldBy === cursor.heldBy
        ? []
        : [
            {
              type: 'throttle.changed',
              data: { reason: heldBy, waitSeconds: Math.round((done.heldBack?.waitMs ?? 0) / 1000) },
            },
          ],
  })
  if (done.heldBack !== null && !done.indivisible && !signalled(work)) {
    const now = await databaseNow(context.control)
    return { kind: 'wait', for: done.heldBack.reason, until: new Date(now.getTime() + done.heldBack.waitMs) }
  }
  return { kind: 'more', indivisible: done.indivisible }
}

/** Counts the batches that the target has and no step counted yet. Idempotent. Throws E_FENCED. */
async function recordBatches(work: Work): Promise<void> {
  const { context, run } = work
  const counters = await copyNewBatches(work)
  if (brought(run, counters)) await recordStep(context.control, run, { name: 'count-batches', counters })
}

function brought(run: Run, counters: Readonly<Record<string, number>>): boolean {
  return Object.entries(counters).some(([name, count]) => run.counters[name] !== count)
}

/** Reads back every subject that went, page by page; only then does its key leave the target. */
async function verifying(work: Work, cursor: Cursor): Promise<StepResult> {
  if (await readBack(work, cursor)) return { kind: 'more' }
  await standVoided(work, { ...cursor, phase: 'tidy' })
  return { kind: 'more' }
}

async function tidying(work: Work, cursor: Cursor): Promise<StepResult> {
  const { context, plan, policy, run } = work
  // a vacuum takes as long as it takes: a connection of its own, without a statement timeout
  const db = openDatabase(context.config.storeUrl(policy.store), {
    name: policy.store,
    applicationName: 'lethe tidy',
    max: 1,
    statementTimeoutMs: 0,
  })
  const removed = named(await batchCounters(context.control, run.id), 'removed.')
  const tidied = await tidy(db, plan, removed).catch(async (error: unknown) => {
    await db.close()
    throw error
  })
  await db.close()
  await recordStep(context.control, run, {
    name: 'tidy',
    cursor: { ...cursor, phase: 'report', tidied },
    events: [
      {
        type: 'tidy.done',
        data: {
          refreshed: tidied.refreshed.length,
          vacuumed: tidied.vacuumed.length,
          refused: tidied.refused.length,
        },
      },
    ],
  })
  return { kind: 'more' }
}

/** A cancel finishes the subject that was begun, reads back what went, voids the entries of what stays, and reports. */
async function windUp(context: Context, run: Run, signal: AbortSignal): Promise<StepResult> {
  const cursor = cursorSchema.parse(run.cursor)
  if (cursor.proposal === undefined || cursor.phase === 'propose')
    return { kind: 'done', outcome: 'cancelled' }
  const work = await workOf(context, { ...run, request: null }, cursor, signal)
  return guarded(work, cursor, () => cancelling(work, cursor))
}

async function cancelling(work: Work, cursor: Cursor): Promise<StepResult> {
  const { context, run } = work
  if (executed(cursor)) await catchUp(work)
  // under another plan it can't go on: lethe.removing keeps the decision, and the next run finishes it
  if (changes(work).length === 0 && (await hasBegun(work))) {
    await requireGoing(context, work.policy)
    const done = await executeSome(work, 'heavy', true)
    await recordStep(context.control, run, { name: 'finish-subject', counters: done.counters, cursor })
    if (!done.finished || !(await hasBegun(work))) return { kind: 'more' }
    const now = await databaseNow(context.control)
    return { kind: 'wait', for: 'locked', until: new Date(now.getTime() + 10_000) }
  }
  if (await readBack(work, cursor)) return { kind: 'more' }
  if (executed(cursor)) await standVoided(work, cursor)
  return ending(work, cursor, 'cancelled', 'cancelled', [
    { type: 'proposal.cancelled', data: { proposal: work.proposal.id } },
  ])
}

async function hasBegun({ target, proposal }: Work): Promise<boolean> {
  return (await populationStates(target, proposal.id)).some((entry) => entry.state === 'removing')
}

function signalled(work: Work): boolean {
  return work.signal.aborted
}
