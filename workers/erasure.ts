/** The worker of the `erasure` queue: cascades. What they do stands in jobs/erasure. */
import { consume, type WatchSettings } from './consumer.ts'
import type { Process } from './process.ts'
import type { StartRole } from './role.ts'

export function erasure(process: Process, watch?: WatchSettings): StartRole {
  return consume(process, 'erasure', watch)
}
