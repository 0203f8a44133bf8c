/** What the doctor is given to look at. */
import type { Config, ResolvedPolicy } from '../../lib/config/index.ts'
import type { Database } from '../../lib/base/db/index.ts'

export interface Patient {
  config: Config
  /** `24.22.3`. */
  nodeVersion: string
  /** Whether a policy is armed; the retention flow knows. */
  policyMode(control: Database, policy: ResolvedPolicy): Promise<{ mode: string; changed: boolean }>
}
