/** What a channel is given, and what it says of it. */
import type { ErrorCode } from '../../base/errors/index.ts'

export interface Message {
  /** The data subject's address. */
  to: string
  subject: string
  body: string
  /** What kind of event a webhook tells; default `retention.warning`. */
  type?: string
  /** Same message, same id: a receiver can drop what it has had already. No personal data in it. */
  id: string
}

export interface Delivery {
  /** Accepted by the channel for this recipient; a log line never is. */
  delivered: boolean
  errorCode?: ErrorCode
  /** How long the other side asks to be left alone, where it says so. */
  retryAfterSeconds?: number
}
