/**
 * What a kind of job is: the one shape that the runner, the dispatcher and the workers know. A kind says what to do
 * next, in short steps; it knows no queue, no lease and no retry.
 */
import type { z } from 'zod'
import type { Config } from '../lib/config/index.ts'
import { LetheError } from '../lib/base/errors/index.ts'
import type { Run } from '../lib/record/ledger/index.ts'
import type { Context } from './context.ts'

/** How a step ended. `until: null` waits until something wakes the run (an approval, a person). */
export type StepResult =
  /** `indivisible`: a subject is half done, so a pause or cancel waits until a later step has finished it. */
  | { kind: 'more'; indivisible?: boolean }
  | { kind: 'wait'; for: string; until: Date | null }
  | { kind: 'done'; outcome: string; state?: 'succeeded' | 'refused' | 'cancelled' }
  | { kind: 'paused' }

/** Work that a clock starts: cron in five fields, read in `timeZone`. */
export interface ScheduledWork {
  /** Unique over all kinds; the schedule's row is found by it. */
  id: string
  payload: Record<string, unknown>
  cron: string
  timeZone: string
  catchUp: 'all' | 'latest' | 'none'
}

export interface JobKind {
  /** `flow.verb`, such as `retention.sweep`. */
  readonly kind: string
  readonly queue: string
  /** What `runs.payload` must look like; no personal data in it. */
  readonly payload: z.ZodType
  /** Failures before the run is failed for good; waiting and giving a slot back are no failures. */
  readonly maxAttempts: number
  /** What only one active run may work on (a policy, a request), from the parsed payload. */
  scope(payload: unknown): string
  /** One bounded piece of work, at best under 5 s. Called again after a crash: it starts from the run's cursor. */
  step(context: Context, run: Run, signal: AbortSignal): Promise<StepResult>
  /**
   * Called instead of `step` once a cancel was requested, until it is done: finishes the subject in hand and tidies up
   * what outlives the run. Absent: there is nothing to tidy. The run then ends as cancelled, whatever state it names.
   */
  windUp?(context: Context, run: Run, signal: AbortSignal): Promise<StepResult>
  /** The schedules that the configuration asks for. */
  schedules?(config: Config): readonly ScheduledWork[]
  /** Refreshes this kind's gauges; called by the dispatcher after each round. */
  observe?(context: Context): Promise<void>
}

export interface Registry {
  /** Throws E_NOT_FOUND for a kind that this version of Lethe doesn't have. */
  get(kind: string): JobKind
  kinds(): readonly JobKind[]
  queues(): readonly string[]
}

export function createRegistry(kinds: readonly JobKind[]): Registry {
  const byName = new Map(kinds.map((kind) => [kind.kind, kind]))
  if (byName.size !== kinds.length) throw new Error('two job kinds share a name')
  const queues = [...new Set(kinds.map((kind) => kind.queue))]
  return {
    get(name) {
      const kind = byName.get(name)
      if (kind === undefined)
        throw new LetheError('E_NOT_FOUND', {
          message: `This version of Lethe knows no job kind ${name}.`,
          next: 'Start the version that created the run, or cancel it with `lethe runs cancel ID`.',
        })
      return kind
    },
    kinds: () => kinds,
    queues: () => queues,
  }
}
