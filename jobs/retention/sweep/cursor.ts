/** Where a sweep stands between two of its steps. */
import { z } from 'zod'
import { isErrorCode, type ErrorCode } from '../../../lib/base/errors/index.ts'

const errorCode = z.custom<ErrorCode>(isErrorCode)

export const phases = [
  'propose',
  'decide',
  'hand-over',
  'light',
  'heavy',
  'locked',
  'verify',
  'tidy',
  'report',
] as const
export type Phase = (typeof phases)[number]

export const cursorSchema = z.object({
  phase: z.enum(phases).default('propose'),
  /** Chosen before the population is stored, so that a second try replaces what the first one left. */
  proposal: z.uuid().optional(),
  /** The error that ends the run, kept until its record is complete: a crash meanwhile must not forget it. */
  refusal: z.object({ code: errorCode, message: z.string() }).nullable().default(null),
  /** The outcome, once the report is stored; only tidying is left. */
  ended: z.string().nullable().default(null),
  /** What held the last step back; an event is recorded when it changes. */
  heldBy: z.string().nullable().default(null),
  throttled: z.record(z.string(), z.number()).default({}),
  checked: z.number().default(0),
  /** Ordinal of the last subject read back and counted in `checked`. */
  readTo: z
    .string()
    .regex(/^-?\d+$/)
    .default('-1'),
  left: z.record(z.string(), z.number()).default({}),
  tidied: z
    .object({
      refreshed: z.array(z.string()),
      vacuumed: z.array(z.string()),
      refused: z.array(z.object({ object: z.string(), code: z.string() })),
    })
    .nullable()
    .default(null),
})
export type Cursor = z.infer<typeof cursorSchema>
