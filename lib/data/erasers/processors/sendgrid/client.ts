/** One request by the vendor's own client, without its errors: they quote addresses. */
import shared from '@sendgrid/client'
import { z } from 'zod'
import { wallClock } from '../../../../base/clock/index.ts'
import { Answered, type Side, callVendor } from '../../../../base/calls/index.ts'
import type { SendgridEraserOptions } from './plan.ts'

export interface SendgridSide extends Side {
  options: SendgridEraserOptions
}

export interface Ask {
  method: 'GET' | 'POST' | 'DELETE'
  /** From `/v3` on, encoded. */
  path: string
  query?: Readonly<Record<string, string>>
  body?: Readonly<Record<string, readonly string[]>>
}

/** Parsed by `shape`; null for 404, which SendGrid answers where it knows nobody. Throws as callVendor. */
export async function askSendgrid<T>(
  side: SendgridSide,
  what: string,
  { method, path, query, body }: Ask,
  shape: z.ZodType<T>,
  signal: AbortSignal,
): Promise<T | null> {
  return callVendor(
    side,
    what,
    async (signal) => {
      const client = clientFor(side.options, signal)
      try {
        const [answer] = await client.request({
          method,
          url: path,
          ...(query === undefined ? {} : { qs: query }),
          ...(body === undefined ? {} : { body }),
        })
        const parsed = shape.safeParse(answer.body)
        // An answer we can't read may be a gateway's, with status 200: nothing is concluded from it.
        if (!parsed.success) throw new Answered(502, null, 'unreadable_answer')
        return parsed.data
      } catch (error) {
        const answered = answeredBy(error)
        if (answered?.status === 404) return null
        throw answered ?? error
      }
    },
    signal,
  )
}

/** Its types know only the client that all share; the class comes along as a property. */
const { Client } = z
  .object({ Client: z.custom<new () => typeof shared>((value) => typeof value === 'function') })
  .parse(Object.assign({}, shared))

/** The client keeps its settings to itself and takes a signal only among them: one for each request. */
function clientFor(options: SendgridEraserOptions, signal: AbortSignal): typeof shared {
  const client = new Client()
  client.setDataResidency(options.region ?? 'global')
  client.setApiKey(options.apiKey)
  if (options.subuser !== undefined) client.setImpersonateSubuser(options.subuser)
  // Its types know less than what it hands to axios.
  const settings = {
    url: '',
    signal,
    maxRedirects: 0,
    ...(options.baseUrl === undefined ? {} : { baseUrl: options.baseUrl }),
  }
  client.setDefaultRequest(settings)
  return client
}

const failure = z.object({
  code: z.unknown().optional(),
  response: z.object({
    status: z.number().optional(),
    headers: z.custom<object>((value) => typeof value === 'object' && value !== null),
  }),
})

/** The client's own error carries the status as `code`; axios's, which it passes on for a redirect, in the response. */
function answeredBy(error: unknown): Answered | null {
  if (error instanceof Answered) return error
  const parsed = failure.safeParse(error)
  if (!parsed.success) return null
  const { code, response } = parsed.data
  const status = response.status ?? code
  return typeof status === 'number' ? new Answered(status, waitOf(response.headers)) : null
}

/** SendGrid says when its window ends, in seconds from now or as a Unix time, depending on the endpoint. */
function waitOf(headers: object): string | null {
  const named: Record<string, unknown> = { ...headers }
  const wait = named['retry-after'] ?? named['x-ratelimit-reset']
  const text = typeof wait === 'number' ? String(wait) : wait
  if (typeof text !== 'string') return null
  if (!/^\d+$/.test(text) || Number(text) < 1e9) return text
  return String(Math.max(0, Number(text) - Math.floor(wallClock().getTime() / 1000)))
}
