/**
 * A role that takes the jobs of one queue. Beside the work it watches itself: BullMQ can look healthy in every count
 * while no job is ever handed out, so a worker that is idle while something in its queue grows old says so and ends.
 */
import './errors.ts'
import { monotonicMs, sleep } from '../lib/base/clock/index.ts'
import { LetheError } from '../lib/base/errors/index.ts'
import { answerProbe, queueAge } from '../lib/record/ledger/index.ts'
import { errorFields } from '../lib/base/log/index.ts'
import { startWorker, type QueueWorker } from '../lib/base/queue/index.ts'
import { runJob } from '../jobs/runner.ts'
import type { Process } from './process.ts'
import type { Role, StartRole } from './role.ts'

export interface WatchSettings {
  /** ms between two looks. */
  everyMs: number
  /** ms that the worker has been idle, has reached Redis, and has left something in its queue, all at once. */
  wedgedMs: number
  /** ms that Redis may be away before the worker ends: Redis being down is not the worker's fault. */
  redisGraceMs: number
  /** ms that one job may be in hand: a step that never returns holds up its queue. Above the longest vacuum. */
  hungMs: number
}

export const defaultWatch: WatchSettings = {
  everyMs: 15_000,
  wedgedMs: 180_000,
  redisGraceMs: 300_000,
  hungMs: 6 * 3_600_000,
}

/** Time for closing connections once the work has stopped; a Redis that is away must not hold up the end. */
const closeMs = 5_000

export function consume(process: Process, queue: string, watch: WatchSettings = defaultWatch): StartRole {
  return (fail) => {
    const { context } = process
    const { log } = context
    const worker = startWorker(process.queueSettings, queue, {
      handler: async (job, signal) => {
        await runJob(context, process.registry, job, signal)
      },
      onProbe: (id) => answerProbe(context.control, queue, id),
      onTransportError: (text) => log.warn({ queue, redis: text }, 'the transport reports an error'),
      onHandlerError: (error) => log.error({ queue, ...errorFields(error) }, 'a job could not be worked on'),
    })
    return Promise.resolve(watched(process, queue, worker, watch, fail))
  }
}

function watched(
  process: Process,
  queue: string,
  worker: QueueWorker,
  watch: WatchSettings,
  fail: (error: unknown) => void,
): Role {
  const ended = new AbortController()
  let turned = monotonicMs()

  async function loop(): Promise<void> {
    while (!ended.signal.aborted) {
      await sleep(watch.everyMs, ended.signal)
      const verdict = await look(process, queue, worker, watch)
      turned = monotonicMs()
      if (verdict !== null) {
        fail(verdict)
        return
      }
    }
  }
  loop().catch((error: unknown) => {
    if (!ended.signal.aborted) fail(error)
  })

  return {
    name: queue,
    problem() {
      const silent = monotonicMs() - turned
      return silent > 4 * watch.everyMs + 60_000
        ? `The worker of queue ${queue} has not looked after itself for ${Math.round(silent / 1000)} s.`
        : null
    },
    async stop() {
      ended.abort()
      await worker.stop()
      const late = new AbortController()
      await Promise.race([
        worker.close().finally(() => late.abort()),
        sleep(closeMs, late.signal).catch(() => undefined),
      ])
    },
  }
}

/** Null: sound, or nobody can tell now. */
async function look(
  process: Process,
  queue: string,
  worker: QueueWorker,
  watch: WatchSettings,
): Promise<LetheError | null> {
  if (worker.busyMs() >= watch.hungMs)
    return new LetheError('E_QUEUE_WEDGED', {
      message: `A job of queue ${queue} has not returned for ${Math.round(worker.busyMs() / 1000)} s; the worker ends.`,
      left: 'Its run goes on with another worker once the lease has ended.',
      facts: { queue },
    })
  await process.queues.ping().catch(() => undefined)
  const redis = process.queues.reach()
  if (!redis.reachable)
    return redis.sinceMs < watch.redisGraceMs
      ? null
      : new LetheError('E_REDIS_UNAVAILABLE', {
          message: `Redis has been away for ${Math.round(redis.sinceMs / 1000)} s; the worker of queue ${queue} ends.`,
          left: 'Nothing was lost: the ledger in PostgreSQL is the record.',
        })
  try {
    const age = await queueAge(process.context.control, queue)
    const oldestMs = Math.max(age.probeSeconds ?? 0, age.oldestRunSeconds ?? 0) * 1000
    const wedged = Math.min(worker.idleMs(), redis.sinceMs, oldestMs)
    return wedged < watch.wedgedMs
      ? null
      : new LetheError('E_QUEUE_WEDGED', {
          message:
            `The worker of queue ${queue} has been idle for ${Math.round(worker.idleMs() / 1000)} s while a job ` +
            `has waited for ${Math.round(oldestMs / 1000)} s; it ends so that it is started anew.`,
          left: 'Nothing was lost: the ledger in PostgreSQL is the record.',
          facts: { queue },
        })
  } catch (error) {
    // Without the control database nobody can say how old the queue is; /readyz says that it is away.
    process.context.log.warn({ queue, ...errorFields(error) }, 'could not look after the queue')
    return null
  }
}
