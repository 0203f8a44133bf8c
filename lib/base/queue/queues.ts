/**
 * The producing side of the transport. Every call fails within seconds with E_REDIS_UNAVAILABLE when Redis does not
 * answer: nothing is lost by that, because the ledger knows what should be in the queue and the dispatcher adds it
 * again. Adding twice is harmless: a job only says "look at this run".
 */
import { Queue } from 'bullmq'
import { monotonicMs, sleep, wallClock } from '../clock/index.ts'
import { LetheError } from '../errors/index.ts'
import { defaultTimeouts, producerConnection, redisErrorText, type RedisTimeouts } from './connection.ts'
import { jobId, jobOptions, probeJobName, runJobName, type JobPayload } from './payload.ts'

export interface QueueSettings {
  url: string
  /** A cluster hash tag such as `{lethe}`: all keys of an installation live in one slot. */
  prefix: string
  timeouts?: RedisTimeouts
}

export interface QueueCounts {
  waiting: number
  active: number
  failed: number
}

export interface Queues {
  /** Says that a run wants a worker. Idempotent for the same generation while the job is still there. */
  enqueue(queue: string, job: JobPayload): Promise<void>
  /** Puts a probe into a queue; any worker of that queue takes it. Idempotent while it is still there. */
  probe(queue: string, id: string): Promise<void>
  /** Where the job of a generation is; `gone` for one that was lost, finished or failed. */
  place(queue: string, job: JobPayload): Promise<'waiting' | 'active' | 'gone'>
  counts(queue: string): Promise<QueueCounts>
  /** Seconds that the oldest job has waited for a worker, by this process's clock; 0 when none waits. */
  oldestWaitingSeconds(queue: string): Promise<number>
  /** Removes finished jobs past their age and trims the event streams: BullMQ itself only does so when jobs finish. */
  clean(): Promise<void>
  ping(): Promise<void>
  /** How long this process has reached Redis, or has not, in ms; as of the last call that went out. */
  reach(): { reachable: boolean; sinceMs: number }
  close(): Promise<void>
}

const eventsKept = 100
const cleanBatch = 1000

export function openQueues(settings: QueueSettings, names: readonly string[]): Queues {
  const timeouts = settings.timeouts ?? defaultTimeouts
  const redis = producerConnection(settings.url, timeouts)
  const open = new Map<string, Queue>()
  const reach = { reachable: false, since: monotonicMs() }
  let closed = false

  // Without a listener an error event ends the process. The calls themselves report what fails.
  redis.on('error', () => undefined)
  redis.on('close', () => note(false))
  const connected = new Promise<void>((resolve) => {
    redis.once('ready', resolve)
    redis.once('close', resolve)
  })

  function note(reachable: boolean): void {
    if (reach.reachable === reachable) return
    reach.reachable = reachable
    reach.since = monotonicMs()
  }

  // A Queue whose first command failed stays broken for ever, so one that fails is thrown away.
  async function attempt<T>(what: string, call: () => Promise<T>, forget?: string): Promise<T> {
    try {
      await connected
      if (redis.status !== 'ready') throw new Error('connection closed')
      const result = await within(timeouts.commandMs, call())
      note(true)
      return result
    } catch (error) {
      const queue = forget === undefined ? undefined : open.get(forget)
      if (forget !== undefined) open.delete(forget)
      queue?.close().catch(() => undefined)
      const full = redisErrorText(error) === 'OOM'
      if (!full) note(false)
      throw full
        ? new LetheError('E_REDIS_FULL', { message: `Redis has no memory left to ${what}.` })
        : new LetheError('E_REDIS_UNAVAILABLE', {
            message: `Redis did not answer to ${what} (${redisErrorText(error)}).`,
            left: 'Nothing was lost: the ledger in PostgreSQL is the record.',
          })
    }
  }

  function use<T>(name: string, what: string, call: (queue: Queue) => Promise<T>): Promise<T> {
    return attempt(`${what} queue ${name}`, () => call(queueOf(name)), name)
  }

  function queueOf(name: string): Queue {
    const existing = open.get(name)
    if (existing !== undefined) return existing
    const queue = new Queue(name, {
      connection: redis,
      prefix: settings.prefix,
      skipWaitingForReady: true,
      defaultJobOptions: jobOptions,
      streams: { events: { maxLen: eventsKept } },
    })
    queue.on('error', () => undefined)
    open.set(name, queue)
    return queue
  }

  return {
    async enqueue(name, job) {
      // what add() returns is never looked at: with an id that exists it describes a job that was not stored
      await use(name, 'add to', (queue) => queue.add(runJobName, job, { jobId: jobId(runJobName, job) }))
    },
    async probe(name, id) {
      const job = { runId: id, generation: 0 }
      const options = { jobId: jobId(probeJobName, job), removeOnFail: true }
      await use(name, 'probe', (queue) => queue.add(probeJobName, job, options))
    },
    async place(name, job) {
      const state = await use(name, 'look into', (queue) => queue.getJobState(jobId(runJobName, job)))
      if (state === 'active') return 'active'
      return state === 'unknown' || state === 'completed' || state === 'failed' ? 'gone' : 'waiting'
    },
    async counts(name) {
      const counts = await use(name, 'count', (queue) => queue.getJobCounts('waiting', 'active', 'failed'))
      return { waiting: counts.waiting ?? 0, active: counts.active ?? 0, failed: counts.failed ?? 0 }
    },
    async oldestWaitingSeconds(name) {
      const [oldest] = await use(name, 'read', (queue) => queue.getWaiting(0, 0))
      return oldest === undefined ? 0 : Math.max(0, (wallClock().getTime() - oldest.timestamp) / 1000)
    },
    async clean() {
      for (const name of names)
        await use(name, 'clean', async (queue) => {
          await queue.clean(jobOptions.removeOnFail.age * 1000, cleanBatch, 'failed')
          await queue.clean(0, cleanBatch, 'completed')
          await queue.trimEvents(eventsKept)
        })
    },
    async ping() {
      await attempt('a ping', () => redis.ping())
    },
    reach: () => ({ reachable: reach.reachable, sinceMs: monotonicMs() - reach.since }),
    async close() {
      if (closed) return
      closed = true
      await Promise.allSettled([...open.values()].map((queue) => within(timeouts.commandMs, queue.close())))
      redis.disconnect()
    },
  }
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const over = new AbortController()
  const limit = sleep(ms, over.signal).then(
    () => Promise.reject(new Error('timed out')),
    () => new Promise<never>(() => undefined),
  )
  try {
    return await Promise.race([work, limit])
  } finally {
    over.abort()
  }
}
