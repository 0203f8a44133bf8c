/**
 * The taking side of the transport: at least once, in no order, with nothing promised. A job lost, doubled or late
 * does no harm: the handler asks the ledger, which hands a run to one worker at a time.
 */
import { Worker, type Job } from 'bullmq'
import { monotonicMs } from '../clock/index.ts'
import { LetheError } from '../errors/index.ts'
import { defaultTimeouts, redisErrorText, workerOptions } from './connection.ts'
import { jobOptions, jobPayload, probeJobName, type JobPayload } from './payload.ts'
import type { QueueSettings } from './queues.ts'

export interface WorkerHandlers {
  /** Jobs taken at the same time; 1 when absent. */
  concurrency?: number
  /** `signal` aborts when the worker is asked to stop, or when BullMQ gives the job up. */
  handler(job: JobPayload, signal: AbortSignal): Promise<void>
  onProbe(id: string): Promise<void>
  /** Text without any address, key or argument. */
  onTransportError(text: string): void
  /** What a handler threw; only its code goes to Redis. */
  onHandlerError(error: unknown): void
}

export interface QueueWorker {
  /** ms since a job was last taken or finished; 0 while one is worked on. */
  idleMs(): number
  /** ms that the oldest job in hand has been worked on; 0 while none is. */
  busyMs(): number
  /** Takes no more, aborts what runs and resolves when the handlers have returned. */
  stop(): Promise<void>
  /** Closes the connections; after `stop`. May never resolve while Redis is away: give it a deadline. */
  close(): Promise<void>
}

/**
 * BullMQ's lock and stall check stay at their defaults of 30 s: who works on a run is decided by the ledger's lease.
 * A job may stall any number of times: only the ledger says that a run has failed.
 */
const transportOptions = { lockDuration: 30_000, stalledInterval: 30_000, maxStalledCount: 1_000_000 }

export function startWorker(settings: QueueSettings, name: string, handlers: WorkerHandlers): QueueWorker {
  const stopping = new AbortController()
  const running = new Map<Promise<void>, number>()
  let lastActivity = monotonicMs()

  async function handle(job: Job, cancelled: AbortSignal): Promise<void> {
    const payload = jobPayload.parse(job.data)
    if (job.name === probeJobName) await handlers.onProbe(payload.runId)
    else await handlers.handler(payload, AbortSignal.any([stopping.signal, cancelled]))
  }

  // BullMQ passes the signal only to a function that names three parameters.
  async function take(job: Job, _token: string | undefined, cancelled?: AbortSignal): Promise<void> {
    lastActivity = monotonicMs()
    const work = handle(job, cancelled ?? new AbortController().signal)
    running.set(work, lastActivity)
    try {
      await work
    } catch (error) {
      handlers.onHandlerError(error)
      // What is thrown here stands in Redis in clear: the code alone, and no cause.
      // oxlint-disable-next-line eslint/preserve-caught-error
      throw new Error(error instanceof LetheError ? error.code : 'E_INTERNAL')
    } finally {
      running.delete(work)
      lastActivity = monotonicMs()
    }
  }

  const worker = new Worker(name, take, {
    connection: workerOptions(settings.url, settings.timeouts ?? defaultTimeouts),
    prefix: settings.prefix,
    concurrency: handlers.concurrency ?? 1,
    runRetryDelay: 1_000,
    removeOnFail: jobOptions.removeOnFail,
    ...transportOptions,
  })
  // Without a listener an error event ends the process.
  worker.on('error', (error) => handlers.onTransportError(redisErrorText(error)))

  return {
    idleMs: () => (running.size > 0 ? 0 : monotonicMs() - lastActivity),
    busyMs: () => (running.size === 0 ? 0 : monotonicMs() - Math.min(...running.values())),
    async stop() {
      await worker.pause(true)
      stopping.abort()
      while (running.size > 0) await Promise.allSettled(running.keys())
    },
    async close() {
      await worker.close()
    },
  }
}
