/** A signed POST to the team's own service, as https://www.standardwebhooks.com describes it. Delivered: a 2xx answer. */
import { createHmac } from 'node:crypto'
import { wallClock } from '../clock/index.ts'
import { LetheError, type ErrorCode } from '../errors/index.ts'
import type { Delivery, Message } from './notifier.ts'

const TIMEOUT_MS = 10_000
/** The standard asks for 24 to 64 bytes. */
const SECRET_BYTES = 24

export async function post(target: { url: string; secret: string }, message: Message): Promise<Delivery> {
  const key = secretBytes(target.secret)
  const now = wallClock()
  const timestamp = Math.floor(now.getTime() / 1000).toString()
  const payload = JSON.stringify({
    type: 'retention.warning',
    timestamp: now.toISOString(),
    data: { to: message.to, subject: message.subject, body: message.body },
  })
  const signature = createHmac('sha256', key).update(`${message.id}.${timestamp}.${payload}`).digest('base64')
  try {
    const response = await fetch(target.url, {
      method: 'POST',
      // A redirect would carry the address to a place nobody configured.
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        'content-type': 'application/json',
        'webhook-id': message.id,
        'webhook-timestamp': timestamp,
        'webhook-signature': `v1,${signature}`,
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

function secretBytes(secret: string): Buffer {
  const text = secret.replace(/^whsec_/, '')
  const bytes = Buffer.from(text, 'base64')
  if (/^[A-Za-z0-9+/]+=*$/.test(text) && bytes.length >= SECRET_BYTES) return bytes
  throw new LetheError('E_CONFIG', {
    message:
      'notifications.webhook.secret is not base64 of 24 bytes or more, with or without whsec_ before it.',
    next: 'Make one with: echo whsec_$(openssl rand -base64 32)',
  })
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
