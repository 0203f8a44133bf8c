/** Signs what is posted to another service, symmetrically (v1), as https://www.standardwebhooks.com describes it. */
import { createHmac } from 'node:crypto'
import { LetheError } from '../errors/index.ts'

/** The standard asks for 24 to 64 bytes. */
const LEAST_BYTES = 24

export interface WebhookMessage {
  /** The same for every attempt to deliver this message, so that a receiver can drop what it has had already. No dot in it. */
  id: string
  /** Of this attempt: receivers refuse what is minutes old. */
  at: Date
  /** The exact body that is sent. */
  body: string
}

/** The three headers of the standard. `key` is what `webhookKey` read. */
export function webhookHeaders(key: Buffer, { id, at, body }: WebhookMessage): Record<string, string> {
  const timestamp = Math.floor(at.getTime() / 1000).toString()
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
}

/** `where` names the setting. Throws E_CONFIG, without the secret. */
export function webhookKey(secret: string, where: string): Buffer {
  const text = secret.replace(/^whsec_/, '')
  const bytes = Buffer.from(text, 'base64')
  if (/^[A-Za-z0-9+/]+=*$/.test(text) && bytes.length >= LEAST_BYTES) return bytes
  throw new LetheError('E_CONFIG', {
    message: `${where} is not base64 of ${LEAST_BYTES} bytes or more, with or without whsec_ before it.`,
    next: 'Make one with: echo whsec_$(openssl rand -base64 32)',
  })
}
