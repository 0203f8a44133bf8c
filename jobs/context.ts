/** What a job may use: built by the process that runs it, faked by nobody. */
import type { Config } from '../lib/config/index.ts'
import type { StoreEntry } from '../lib/data/erasers/index.ts'
import type { Database } from '../lib/base/db/index.ts'
import type { Logger } from '../lib/base/log/index.ts'
import type { Metrics } from '../lib/base/metrics/index.ts'
import type { Notifier } from '../lib/people/notify/index.ts'
import type { Keystore } from '../lib/base/keystore/index.ts'

export interface Context {
  readonly config: Config
  /** Names this process in leases: unique for each start. */
  readonly workerId: string
  readonly control: Database
  /** Entries of `stores`, by name: as the configuration has them, or as they were handed in for copies. */
  readonly stores: Readonly<Record<string, StoreEntry>>
  /**
   * The store's database, opened at the first call, its schema current and its clock within 60 s of control's. Throws
   * E_SCHEMA_OLD, E_SCHEMA_NEW, E_CLOCK_SKEW, E_CONFIG_MISSING, E_DATABASE_UNAVAILABLE.
   */
  target(store: string): Promise<Database>
  readonly keystore: Keystore
  readonly notifier: Notifier
  readonly metrics: Metrics
  readonly log: Logger
}
