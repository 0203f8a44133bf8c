/** A signed POST to the team's own service, as https://www.standardwebhooks.com describes it. Delivered: a 2xx answer. */
import { wallClock } from '../../base/clock/index.ts'
import { LetheError, type ErrorCode } from '../../base/errors/index.ts'
import { webhookHeaders, webhookKey } from '../../base/webhooks/index.ts'
import type { Delivery, Message } from './delivery.ts'

const TIMEOUT_MS = 10_000

export async function post(target: { url: string; secret: string }, message: Message): Promise<Delivery> {
  const key = webhookKey(target.secret, 'notifications.webhook.secret')
  const now = wallClock()
  const payload = JSON.stringify({
    type: message.type ?? 'retention.warning',
    timestamp: now.toISOString(),
    data: { to: message.to, subject: message.subject, body: message.body },
  })
  try {
    const response = await fetch(target.url, {
      method: 'POST',
      // A redirect would carry the address to a place nobody configured.
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        'content-type': 'application/json',
        ...webhookHeaders(key, { id: message.id, at: now, body: payload }),
      },
      body: payload,
    })
    await response.body?.cancel()
    if (response.ok) return { delivered: true }
    return {
      delivered: false,
      errorCode: codeFor(response.status),
      ...retryAfter(response.headers.get('retry-after'), now),
    }
  } catch (error) {
    if (error instanceof TypeError && error.message.includes('URL'))
      throw new LetheError('E_CONFIG', { message: 'notifications.webhook.url is not an address.' })
    return { delivered: false, errorCode: 'E_NOTIFY_UNAVAILABLE' }
  }
}

function codeFor(status: number): ErrorCode {
  if (status === 401 || status === 403) return 'E_NOTIFY_CREDENTIALS'
  return status === 408 || status === 425 || status === 429 || status >= 500
    ? 'E_NOTIFY_UNAVAILABLE'
    : 'E_NOTIFY_REFUSED'
}

/** Seconds, or an HTTP date. */
function retryAfter(value: string | null, now: Date): { retryAfterSeconds?: number } {
  if (value === null) return {}
  const seconds = /^\d+$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - now.getTime()) / 1000)
  return Number.isFinite(seconds) ? { retryAfterSeconds: Math.max(0, seconds) } : {}
}
