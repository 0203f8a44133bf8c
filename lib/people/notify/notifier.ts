/**
 * Warnings to data subjects, through one of three channels. An address goes to the channel and nowhere else: no log line,
 * no error and no result carries it.
 */
import { createLogger, type Logger } from '../../base/log/index.ts'
import type { Delivery, Message } from './delivery.ts'
import type { NotificationsEntry } from './schema.ts'
import { post } from './webhook.ts'

export interface Notifier {
  readonly channel: 'log' | 'webhook' | 'smtp'
  /** Sends again what it is given again. Throws only for a configuration that can't work: E_CONFIG, E_CONFIG_MISSING. */
  deliver(message: Message): Promise<Delivery>
}

/** `secret` looks up addresses and secrets: at the first delivery, not before. */
export function createNotifier(
  { channel, webhook, smtp }: NotificationsEntry,
  secret: (reference: string) => string,
  log: Logger = createLogger({ name: 'notify' }),
): Notifier {
  if (channel === 'webhook' && webhook !== undefined)
    return {
      channel,
      deliver: async (message) => post({ url: secret(webhook.url), secret: secret(webhook.secret) }, message),
    }
  if (channel === 'smtp' && smtp !== undefined)
    return {
      channel,
      async deliver(message) {
        // Every process makes a notifier, few send mail: the library is loaded by the first that does.
        const { mail } = await import('./smtp.ts')
        return mail({ url: secret(smtp.url), from: smtp.from }, message)
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
