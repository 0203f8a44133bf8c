/** The worker of the `retention` queue: sweeps and warnings. What they do stands in jobs/retention. */
import { consume, type WatchSettings } from './consumer.ts'
import type { Process } from './process.ts'
import type { StartRole } from './role.ts'

export function retention(process: Process, watch?: WatchSettings): StartRole {
  return consume(process, 'retention', watch)
}
