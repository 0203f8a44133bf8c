/** Where a sweep stands between two of its steps. */
import { z } from 'zod'

export const phases = ['propose', 'decide', 'light', 'heavy', 'locked', 'verify', 'tidy', 'report'] as const
export type Phase = (typeof phases)[number]

export const cursorSchema = z.object({
  phase: z.enum(phases).default('propose'),
  /** Chosen before the population is stored, so that a second try replaces what the first one left. */
  proposal: z.uuid().optional(),
  throttled: z.record(z.string(), z.number()).default({}),
  checked: z.number().default(0),
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
