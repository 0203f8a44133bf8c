/** What every role of one process shares. */
import type { Logger } from 'pino'
import type { Queues, QueueSettings } from '../lib/queue/index.ts'
import type { Context } from '../jobs/context.ts'
import type { Registry } from '../jobs/kind.ts'

export interface Process {
  /** Who holds leases; unique for each start of a process. */
  readonly id: string
  readonly context: Context
  readonly registry: Registry
  readonly queues: Queues
  readonly queueSettings: QueueSettings
  /** Called after each complete dispatcher round; null: nobody listens. */
  readonly heartbeatUrl: string | null
  readonly log: Logger
}
