/** Mail. Delivered: the server accepted the message for this recipient; what happens to it later, nobody can say. */
import { createTransport } from 'nodemailer'
import { z } from 'zod'
import type { ErrorCode } from '../../base/errors/index.ts'
import type { Delivery, Message } from './delivery.ts'

const TIMEOUT_MS = 10_000

const failure = z.looseObject({ code: z.string().optional(), responseCode: z.number().optional() })

/** `url`: smtp:// (STARTTLS where offered; `?requireTLS=true` demands it) or smtps://. */
export async function mail(target: { url: string; from: string }, message: Message): Promise<Delivery> {
  const transport = createTransport(
    {
      url: target.url,
      connectionTimeout: TIMEOUT_MS,
      greetingTimeout: TIMEOUT_MS,
      socketTimeout: TIMEOUT_MS,
      // A body can't name a file or an address of ours to be read.
      disableFileAccess: true,
      disableUrlAccess: true,
    },
    { from: target.from },
  )
  try {
    const sent = await transport.sendMail({
      // An object is one address, whatever stands in it; a text would be split at commas.
      to: { name: '', address: message.to },
      subject: message.subject,
      text: message.body,
      messageId: `<${message.id}@lethe.invalid>`,
      headers: { 'Auto-Submitted': 'auto-generated' },
    })
    return sent.accepted.length > 0
      ? { delivered: true }
      : { delivered: false, errorCode: 'E_NOTIFY_REFUSED' }
  } catch (error) {
    return { delivered: false, errorCode: codeFor(error) }
  } finally {
    transport.close()
  }
}

/** 4xx: later; 5xx: never, for this recipient. Without an answer: the server was away. */
function codeFor(error: unknown): ErrorCode {
  const { code, responseCode = 0 } = failure.safeParse(error).data ?? {}
  if (code === 'EAUTH' || responseCode === 530 || responseCode === 535) return 'E_NOTIFY_CREDENTIALS'
  return responseCode >= 500 || (code === 'EENVELOPE' && responseCode === 0)
    ? 'E_NOTIFY_REFUSED'
    : 'E_NOTIFY_UNAVAILABLE'
}
