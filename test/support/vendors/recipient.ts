/** A recipient as runbooks/recipients.md describes it, with the standard's own library to check what comes. */
import { randomBytes } from 'node:crypto'
import { Webhook, WebhookVerificationError } from 'standardwebhooks'
import { z } from 'zod'
import { startHttp, type HttpServer, type Reply } from '../servers/http-server.ts'

const notice = z.strictObject({
  type: z.literal('lethe.notify'),
  timestamp: z.iso.datetime(),
  data: z.strictObject({
    protocol: z.literal(1),
    kind: z.string(),
    identifiers: z.record(z.string(), z.array(z.string())),
  }),
})

export interface Notice {
  id: string
  kind: string
  identifiers: Record<string, string[]>
}

export interface Recipient extends HttpServer {
  secret: string
  /** Everything that came with a good signature, repeats too. */
  notices: Notice[]
  /** Instead of 204; null ends the connection after the notice was taken. */
  answer?: ((notice: Notice) => Reply | null | undefined) | undefined
  reset(): void
}

export async function startRecipient(): Promise<Recipient> {
  const secret = `whsec_${randomBytes(32).toString('base64')}`
  const webhook = new Webhook(secret)
  const server = await startHttp(({ body, headers }) => {
    const given = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
    try {
      webhook.verify(body, given)
    } catch (error) {
      if (error instanceof WebhookVerificationError) return { status: 401 }
      throw error
    }
    const { kind, identifiers } = notice.parse(JSON.parse(body)).data
    const taken = { id: given['webhook-id'] ?? '', kind, identifiers }
    recipient.notices.push(taken)
    const other = recipient.answer?.(taken)
    return other === undefined ? { status: 204 } : other
  })
  const recipient: Recipient = {
    ...server,
    secret,
    notices: [],
    reset() {
      recipient.notices = []
      recipient.answer = undefined
    },
  }
  return recipient
}
