import { z } from 'zod'
import { monotonicMs } from '../clock/index.ts'
import { LetheError } from '../errors/index.ts'
import type { Queryable } from './database.ts'

/** More than this between two databases' clocks and an age measured on one means nothing on the other. */
export const MAX_SKEW_SECONDS = 60

const clock = z.object({ ms: z.coerce.number() })
const READ = `SELECT extract(epoch FROM clock_timestamp()) * 1000 AS ms`

/**
 * The target's clock minus the control database's, in seconds. Each is compared with this process's monotonic clock at
 * the middle of its round trip, so the worker's own wall clock plays no part.
 */
export async function clockSkewSeconds(control: Queryable, target: Queryable): Promise<number> {
  const offset = async (database: Queryable) => {
    const start = monotonicMs()
    const [row] = await database.query(clock, READ)
    return (row?.ms ?? Number.NaN) - (start + monotonicMs()) / 2
  }
  return ((await offset(target)) - (await offset(control))) / 1000
}

/** Throws E_CLOCK_SKEW over 60 s; otherwise the skew in seconds. */
export async function checkClockSkew(
  control: Queryable,
  target: Queryable,
  targetName: string,
): Promise<number> {
  const seconds = await clockSkewSeconds(control, target)
  if (Math.abs(seconds) <= MAX_SKEW_SECONDS) return seconds
  throw new LetheError('E_CLOCK_SKEW', {
    message: `The clock of ${targetName} is ${Math.abs(Math.round(seconds))} s ${seconds > 0 ? 'ahead of' : 'behind'} the control database's; ${MAX_SKEW_SECONDS} s is the most allowed.`,
    facts: { target: targetName, seconds: Math.round(seconds) },
  })
}
