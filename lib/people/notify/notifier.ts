/**
 * Warnings to data subjects, through one of three channels. An address goes to the channel and nowhere else: no log line,
 * no error and no result carries it.
 */
import type { Config } from '../../config/index.ts'
import type { ErrorCode } from '../../base/errors/index.ts'
import { createLogger, type Logger } from '../../base/log/index.ts'
import { post } from './webhook.ts'

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

export interface Notifier {
  readonly channel: 'log' | 'webhook' | 'smtp'
  /** Sends again what it is given again. Throws only for a configuration that can't work: E_CONFIG, E_CONFIG_MISSING. */
  deliver(message: Message): Promise<Delivery>
}

/** Looks up addresses and secrets at the first delivery, not before. */
export function createNotifier(config: Config, log: Logger = createLogger({ name: 'notify' })): Notifier {
  const { channel, webhook, smtp } = config.file.notifications
  if (channel === 'webhook' && webhook !== undefined)
    return {
      channel,
      deliver: async (message) =>
        post({ url: config.secret(webhook.url), secret: config.secret(webhook.secret) }, message),
    }
  if (channel === 'smtp' && smtp !== undefined)
    return {
      channel,
      async deliver(message) {
        // Every process makes a notifier, few send mail: the library is loaded by the first that does.
        const { mail } = await import('./smtp.ts')
        return mail({ url: config.secret(smtp.url), from: smtp.from }, message)
      },
    }
  return {
    channel: 'log',
    deliver: (message) => {
      log.info({ message: message.id }, 'a warning would be sent; the channel log tells nobody')
      return Promise.resolve({ delivered: false, errorCode: 'E_NOTIFY_LOG' })
    },
  }
}
