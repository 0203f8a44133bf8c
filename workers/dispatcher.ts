/**
 * The one role that a clock drives. node-cron is only its heartbeat: a tick that never comes, comes late or comes twice
 * changes nothing, because each round asks PostgreSQL what is due. One dispatcher at a time leads by a lease; two at
 * once would still do no harm, since every change below is made by a statement that looks again.
 */
import './errors.ts'
import cron from 'node-cron'
import { monotonicMs, newId } from '../lib/base/clock/index.ts'
import type { Transaction } from '../lib/base/db/index.ts'
import { LetheError } from '../lib/base/errors/index.ts'
import {
  acquireLease,
  countRuns,
  createRun,
  currentProbe,
  enqueuedBefore,
  forgetEnqueue,
  freeExpiredLeases,
  markProbeSent,
  noteMissed,
  probesAnswered,
  releaseLease,
  takeForEnqueue,
  wakeDueRuns,
} from '../lib/record/ledger/index.ts'
import { errorFields } from '../lib/base/log/index.ts'
import { decideOccurrences, syncSchedules, type Schedule } from '../lib/base/schedule/index.ts'
import type { Process } from './process.ts'
import type { StartRole } from './role.ts'

export interface DispatcherSettings {
  /** Six fields, seconds first: when to look. */
  heartbeat: string
  /** A run that no worker has claimed this long after it was enqueued: look whether its job is still in Redis. */
  staleSeconds: number
}

export const defaultDispatcher: DispatcherSettings = {
  heartbeat: '*/5 * * * * *',
  staleSeconds: 60,
}

export interface Round {
  /** False: another dispatcher leads, and nothing else was done. */
  leader: boolean
  created: number
  skipped: number
  freed: number
  woken: number
  enqueued: number
  probed: number
  /** Parts that failed; the others were done. The next round tries all of them again. */
  failures: string[]
}

export const leaseName = 'dispatcher'
const postgresParts = ['schedules', 'leases', 'waiting']
/** A job that is active this many times `staleSeconds` without a claim belongs to a worker that hangs. */
const hangs = 5

export function dispatch(process: Process, settings: DispatcherSettings = defaultDispatcher): StartRole {
  return async () => {
    let turned = monotonicMs()
    let round: Promise<void> | null = null
    const tick = async (): Promise<void> => {
      try {
        await runOnce(process, settings)
      } catch (error) {
        process.context.log.error(errorFields(error), 'a dispatcher round failed')
      } finally {
        turned = monotonicMs()
        round = null
      }
    }
    const begin = (): Promise<void> => (round ??= tick())
    const task = cron.schedule(settings.heartbeat, begin, { noOverlap: true, suppressMissedWarning: true })
    void begin()
    return {
      name: 'dispatcher',
      problem() {
        const silent = monotonicMs() - turned
        return silent > 300_000
          ? `The dispatcher has not ended a round for ${Math.round(silent / 1000)} s.`
          : null
      },
      async stop() {
        await task.destroy()
        await round
        await releaseLease(process.context.control, leaseName, process.context.workerId)
      },
    }
  }
}

/** One round. Idempotent: what one round did, the next finds done. Throws only when PostgreSQL is away. */
export async function runOnce(
  process: Process,
  settings: DispatcherSettings = defaultDispatcher,
): Promise<Round> {
  const { control, config, metrics, log } = process.context
  const round: Round = {
    leader: false,
    created: 0,
    skipped: 0,
    freed: 0,
    woken: 0,
    enqueued: 0,
    probed: 0,
    failures: [],
  }
  const lease = await acquireLease(
    control,
    leaseName,
    process.context.workerId,
    config.file.operations.lease_seconds,
  )
  if (lease === null) return round
  round.leader = true

  await part(process, round, 'schedules', () => schedules(process, round))
  await part(process, round, 'leases', async () => {
    round.freed = await freeExpiredLeases(control, (run) => {
      metrics.runsTotal.inc({ kind: run.kind, outcome: 'failed' })
      log.error({ run: run.id, kind: run.kind, code: run.errorCode }, 'a run was lost for good')
    })
  })
  await part(process, round, 'waiting', async () => {
    round.woken = await wakeDueRuns(control)
  })
  await part(process, round, 'queues', () => queues(process, settings, round))
  await part(process, round, 'gauges', () => gauges(process))
  // Redis being away makes no schedule late: the probe's and the queue's own metrics say that nothing is worked on.
  if (!round.failures.some((name) => postgresParts.includes(name)))
    metrics.dispatcherLastRoundTimestampSeconds.setToCurrentTime()
  if (round.failures.length === 0) await part(process, round, 'heartbeat', () => beat(process))
  return round
}

/** One part that fails must not stop the others: a Redis that is away must not keep a dead worker's runs leased. */
async function part(process: Process, round: Round, name: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    round.failures.push(name)
    process.context.log.error({ part: name, ...errorFields(error) }, 'a part of the dispatcher round failed')
  }
}

async function schedules(process: Process, round: Round): Promise<void> {
  const { context, registry } = process
  const wanted = registry
    .kinds()
    .flatMap((kind) => (kind.schedules?.(context.config) ?? []).map((work) => ({ ...work, kind: kind.kind })))
  await syncSchedules(context.control, wanted)
  const createRunFor = async (tx: Transaction, schedule: Schedule, at: Date) => {
    const kind = registry.get(schedule.kind)
    const made = await createRun(tx, {
      kind: kind.kind,
      queue: kind.queue,
      scope: kind.scope(kind.payload.parse(schedule.payload)),
      payload: schedule.payload,
      maxAttempts: kind.maxAttempts,
      createdBy: `schedule:${schedule.id}`,
      occurrence: at,
    })
    return 'existing' in made ? { busy: made.existing.id } : { run: made.id }
  }
  const decided = await decideOccurrences(context.control, createRunFor, noteMissed)
  round.created = decided.run
  round.skipped = decided.skipped
}

/** The generation rises in PostgreSQL first; what Redis then doesn't take is taken back and tried in the next round. */
async function queues(process: Process, settings: DispatcherSettings, round: Round): Promise<void> {
  const { control } = process.context
  await process.queues.ping()
  await findLost(process, settings)
  for (;;) {
    const taken = await takeForEnqueue(control)
    if (taken.length === 0) break
    const open = [...taken]
    try {
      for (const run of taken) {
        await process.queues.enqueue(run.queue, { runId: run.runId, generation: run.generation })
        open.shift()
        round.enqueued += 1
      }
    } catch (error) {
      for (const run of open) await forgetEnqueue(control, run.runId, run.generation)
      throw error
    }
  }
  for (const queue of process.registry.queues()) {
    const id = await currentProbe(control, queue, newId())
    await process.queues.probe(queue, id)
    await markProbeSent(control, queue, id)
    round.probed += 1
  }
  await process.queues.clean()
}

/**
 * Jobs that Redis lost. One that still waits is left alone, however old: adding another each minute would fill a busy
 * queue with jobs that say the same.
 */
async function findLost(process: Process, settings: DispatcherSettings): Promise<void> {
  const { control } = process.context
  const hung = await enqueuedBefore(control, settings.staleSeconds * hangs)
  const hungIds = new Set(hung.map((run) => run.runId))
  for (const run of await enqueuedBefore(control, settings.staleSeconds)) {
    const place = await process.queues.place(run.queue, { runId: run.runId, generation: run.generation })
    if (place === 'gone' || (place === 'active' && hungIds.has(run.runId)))
      await forgetEnqueue(control, run.runId, run.generation)
  }
}

async function gauges(process: Process): Promise<void> {
  const { context, registry } = process
  const { metrics, control } = context
  for (const [state, count] of Object.entries(await countRuns(control)))
    metrics.runsState.set({ state }, count)
  for (const { queue, at } of await probesAnswered(control))
    metrics.probeLastSeenTimestampSeconds.set({ queue }, at.getTime() / 1000)
  for (const kind of registry.kinds()) await kind.observe?.(context)
  for (const queue of registry.queues())
    metrics.queueOldestSeconds.set({ queue }, await process.queues.oldestWaitingSeconds(queue))
}

/** Silence is the alert: whoever watches the address misses the call, whatever the reason is. The address is a secret. */
async function beat(process: Process): Promise<void> {
  if (process.heartbeatUrl === null) return
  const answer = await fetch(process.heartbeatUrl, { signal: AbortSignal.timeout(10_000) }).then(
    async (response) => {
      await response.body?.cancel()
      return response.ok ? null : `answered ${response.status}`
    },
    (error: unknown) => (error instanceof Error ? error.name : 'failed'),
  )
  if (answer !== null)
    throw new LetheError('E_HEARTBEAT', {
      message: `The heartbeat address did not take the call (${answer}).`,
    })
}
