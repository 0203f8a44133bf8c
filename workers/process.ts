/** What every role of one process shares. */
import type { Queues, QueueSettings } from '../lib/base/queue/index.ts'
import type { Context } from '../jobs/context.ts'
import type { Registry } from '../jobs/kind.ts'

export interface Process {
  readonly context: Context
  readonly registry: Registry
  readonly queues: Queues
  readonly queueSettings: QueueSettings
  /** Called after each complete dispatcher round; a secret. Null: nobody listens. */
  readonly heartbeatUrl: string | null
}
