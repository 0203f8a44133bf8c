/** All that Redis ever holds about a run: which one to look at. What to do stands in the ledger. */
import { z } from 'zod'

export const jobPayload = z.strictObject({ runId: z.uuid(), generation: z.int().min(0) })
export type JobPayload = z.infer<typeof jobPayload>

export const runJobName = 'run'
export const probeJobName = 'probe'

/** BullMQ refuses ids with a colon and ids that are all digits. */
export function jobId(name: typeof runJobName | typeof probeJobName, payload: JobPayload): string {
  return `${name}-${payload.runId}-${payload.generation}`
}

/**
 * Finished jobs are never kept: at `noeviction` they would fill the memory while PING still answers. Failed ones only
 * briefly, for someone who looks; without a stack, which would stand in Redis in clear. Retries belong to the ledger.
 */
export const jobOptions = {
  attempts: 1,
  removeOnComplete: true,
  removeOnFail: { age: 3600, count: 100 },
  stackTraceLimit: 0,
} as const
