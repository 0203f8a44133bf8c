/** A job kind for tests: a number of steps, each with one row as its effect, in the same transaction as the step. */
import { z } from 'zod'
import type { Database } from '../../../lib/base/db/index.ts'
import { recordStep } from '../../../lib/record/ledger/index.ts'
import type { JobKind } from '../../../jobs/kind.ts'

const cursor = z.object({ done: z.number().default(0) })

export interface StepperOptions {
  kind?: string
  queue?: string
  steps: number
  /** Called at the start of each step with its number from 1; the step goes on when it resolves. */
  before?(step: number, signal: AbortSignal): Promise<void>
  schedules?: JobKind['schedules']
}

export function stepper(options: StepperOptions): JobKind {
  return {
    kind: options.kind ?? 'test.stepper',
    queue: options.queue ?? 'test',
    payload: z.record(z.string(), z.unknown()),
    maxAttempts: 3,
    scope: () => 'one',
    async step(context, run, signal) {
      const step = cursor.parse(run.cursor).done + 1
      await options.before?.(step, signal)
      const made = { name: 'work', cursor: { done: step }, counters: { effects: step } }
      await recordStep(context.control, run, made, async (tx) => {
        await tx.execute('INSERT INTO public.effects (run_id, step) VALUES ($1, $2)', [run.id, step])
      })
      return step < options.steps ? { kind: 'more' } : { kind: 'done', outcome: 'worked' }
    },
    ...(options.schedules === undefined ? {} : { schedules: options.schedules }),
  }
}

/** Without a unique key: an effect that happened twice shows as two rows. */
export async function createEffects(control: Database): Promise<void> {
  await control.execute('CREATE TABLE public.effects (run_id uuid NOT NULL, step integer NOT NULL)')
}

/** `run:step` of every effect, sorted. */
export async function effects(control: Database): Promise<string[]> {
  const rows = await control.query(
    z.object({ run_id: z.string(), step: z.number() }),
    'SELECT run_id, step FROM public.effects ORDER BY run_id, step',
  )
  return rows.map((row) => `${row.run_id}:${row.step}`)
}

export function expectedEffects(runs: readonly string[], steps: number): string[] {
  return [...runs].sort().flatMap((run) => Array.from({ length: steps }, (_, step) => `${run}:${step + 1}`))
}
