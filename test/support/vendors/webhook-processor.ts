/** A team's own processor as runbooks/webhook-processor.md describes it, with the standard's own library to check what comes. */
import { randomBytes } from 'node:crypto'
import { Webhook, WebhookVerificationError } from 'standardwebhooks'
import { z } from 'zod'
import { json, startHttp, type HttpServer, type Reply } from '../servers/http-server.ts'

const message = z.strictObject({
  type: z.enum(['lethe.probe', 'lethe.locate', 'lethe.erase', 'lethe.verify']),
  timestamp: z.iso.datetime(),
  data: z.strictObject({
    protocol: z.literal(1),
    run: z.string().optional(),
    limit: z.int().optional(),
    jobs: z.array(z.string()).optional(),
    identifiers: z.array(z.string()).optional(),
    places: z.array(z.string()).optional(),
    subjects: z
      .array(z.strictObject({ kind: z.string(), identifiers: z.record(z.string(), z.array(z.string())) }))
      .optional(),
  }),
})

export type Message = z.infer<typeof message>

export interface WebhookProcessor extends HttpServer {
  secret: string
  /** Letters by address. */
  letters: Map<string, number>
  /** Kept until 2040, by address. */
  invoices: Set<string>
  refused: Set<string>
  /** Removal is reported and not done. */
  lied: Set<string>
  /** Everything that came with a good signature. */
  messages: { id: string; signature: string; message: Message }[]
  /** Work goes on after the answer, until `settle`. */
  slow: boolean
  settle(): void
  /** Instead of doing anything: a service that is down, or sends us elsewhere. Null ends the connection. */
  before?: ((message: Message) => Reply | null | undefined) | undefined
  /** Instead of the usual answer, later too; null ends the connection after the work is done. */
  answer?: ((message: Message) => Reply | null | undefined | Promise<Reply | null | undefined>) | undefined
  reset(): void
}

export async function startWebhookProcessor(): Promise<WebhookProcessor> {
  const secret = `whsec_${randomBytes(32).toString('base64')}`
  const webhook = new Webhook(secret)
  let job: { id: string; addresses: string[] } | null = null
  let settled = false

  const server = await startHttp(async ({ body, headers }) => {
    const given = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
    try {
      webhook.verify(body, given)
    } catch (error) {
      if (error instanceof WebhookVerificationError) return { status: 401 }
      throw error
    }
    const parsed = message.parse(JSON.parse(body))
    const { 'webhook-id': id = '', 'webhook-signature': signature = '' } = given
    processor.messages.push({ id, signature, message: parsed })
    const instead = processor.before?.(parsed)
    if (instead !== undefined) return instead
    const usual = usualAnswer(parsed)
    const other = await processor.answer?.(parsed)
    return other === undefined ? json(200, usual) : other
  })

  function usualAnswer({ type, data }: Message): unknown {
    const addresses = (data.subjects ?? []).map(({ identifiers }) => identifiers['email'] ?? [])
    const lettersOf = (some: readonly string[]) =>
      some.reduce((all, one) => all + (processor.letters.get(one) ?? 0), 0)
    const kept = (some: readonly string[]) => {
      const count = some.filter((one) => processor.invoices.has(one)).length
      const one = { place: 'invoices', count, ground: 'tax law', until: '2040-01-01T00:00:00Z' }
      return count === 0 ? [] : [one]
    }
    if (type === 'lethe.probe') return { protocol: 1 }
    if (type === 'lethe.locate') return { counts: { letters: lettersOf(addresses.flat()) } }
    if (type === 'lethe.verify')
      return {
        subjects: addresses.map((some) => ({ left: { letters: lettersOf(some) }, retained: kept(some) })),
      }
    if (job !== null && data.jobs?.includes(job.id) === true) {
      if (!settled) return { pending: [{ job: job.id, poll_after_seconds: 1 }] }
      const removed = lettersOf(job.addresses)
      for (const one of job.addresses) processor.letters.delete(one)
      job = null
      return { removed: { letters: removed } }
    }
    const wanted = addresses.flat()
    const willing = wanted.filter((one) => !processor.refused.has(one))
    if (processor.slow && lettersOf(willing) > 0) {
      settled = false
      job = { id: 'job-1', addresses: willing }
      return { pending: [{ job: 'job-1', poll_after_seconds: 1 }] }
    }
    let room = data.limit ?? 0
    for (const one of willing) {
      const count = Math.min(room, processor.letters.get(one) ?? 0)
      room -= count
      const left = (processor.letters.get(one) ?? 0) - count
      if (processor.lied.has(one)) continue
      if (left === 0) processor.letters.delete(one)
      else processor.letters.set(one, left)
    }
    const removed = (data.limit ?? 0) - room
    return {
      removed: { letters: removed },
      retained: kept(wanted),
      refused: { locked: wanted.length - willing.length },
      more: room === 0 && lettersOf(willing) > 0,
    }
  }

  const processor: WebhookProcessor = {
    ...server,
    secret,
    letters: new Map(),
    invoices: new Set(),
    refused: new Set(),
    lied: new Set(),
    messages: [],
    slow: false,
    settle() {
      settled = true
    },
    reset() {
      for (const set of [processor.letters, processor.invoices, processor.refused, processor.lied])
        set.clear()
      processor.messages = []
      processor.slow = false
      processor.before = undefined
      processor.answer = undefined
      job = null
    },
  }
  return processor
}
