/** One request by the vendor's own client: without its retries, its redirects and its errors, which quote what was sent. */
import { Stripe } from 'stripe'
import { z } from 'zod'
import { readJson } from '../../../../base/canonical/index.ts'
import { Answered, type Side, callVendor } from '../../../../base/calls/index.ts'
import type { StripeEraserOptions } from './plan.ts'

/** The version this was written for; the client would otherwise move on with its own releases. */
export const VERSION = '2026-10-28.endive'
/** Redaction jobs are in the preview versions only. */
export const PREVIEW = '2026-08-26.preview'

export interface StripeSide extends Side {
  options: StripeEraserOptions
}

/** Parsed by `shape`; null for an object that doesn't exist (404 with `resource_missing`). Throws as callVendor. */
export async function askStripe<T>(
  side: StripeSide,
  what: string,
  send: (stripe: Stripe) => Promise<unknown>,
  shape: z.ZodType<T>,
  signal: AbortSignal,
): Promise<T | null> {
  return callVendor(
    side,
    what,
    async (signal) => {
      try {
        const parsed = shape.safeParse(await send(clientFor(side.options, signal)))
        // An answer we can't read may be a gateway's, with status 200: nothing is concluded from it.
        if (!parsed.success) throw new Answered(502, null, 'unreadable_answer')
        return parsed.data
      } catch (error) {
        const cause = causeOf(error)
        const answered = answeredBy(cause)
        if (answered?.status === 404 && answered.word === 'resource_missing') return null
        throw answered ?? cause
      }
    },
    signal,
  )
}

/** A client takes no signal with a request, but a way to fetch: one for each request. */
function clientFor({ apiKey, account, baseUrl }: StripeEraserOptions, signal: AbortSignal): Stripe {
  const base = baseUrl === undefined ? null : new URL(baseUrl)
  return new Stripe(apiKey, {
    apiVersion: VERSION,
    maxNetworkRetries: 0,
    telemetry: false,
    httpClient: Stripe.createFetchHttpClient((url: string | URL | Request, init?: RequestInit) =>
      fetchObject(url, {
        ...init,
        signal: AbortSignal.any([signal, ...(init?.signal ? [init.signal] : [])]),
      }),
    ),
    ...(account === undefined ? {} : { stripeAccount: account }),
    ...(base === null
      ? {}
      : {
          host: base.hostname,
          port: base.port === '' ? (base.protocol === 'http:' ? 80 : 443) : Number(base.port),
          protocol: base.protocol === 'http:' ? ('http' as const) : ('https' as const),
        }),
  })
}

/**
 * Only what is a JSON object gets to the client: with any other JSON, such as a gateway's text, it rejects a promise that
 * nobody waits for, which ends the process, and never answers.
 */
async function fetchObject(url: string | URL | Request, init: RequestInit): Promise<Response> {
  const response = await fetch(url, { ...init, redirect: 'manual' })
  const { status, headers } = response
  if (status >= 300 && status < 400) throw new Answered(status)
  const text = await response.text()
  if (z.looseObject({}).safeParse(readJson(text)).success) return new Response(text, { status, headers })
  throw new Answered(response.ok ? 502 : status, headers.get('retry-after'), 'unreadable_answer')
}

const failure = z.object({
  statusCode: z.number().int(),
  code: z.string().optional(),
  headers: z.record(z.string(), z.unknown()).optional(),
})

function answeredBy(error: unknown): Answered | null {
  if (error instanceof Answered) return error
  const parsed = failure.safeParse(error)
  if (!parsed.success) return null
  const { statusCode, code, headers } = parsed.data
  const wait = headers?.['retry-after']
  // The same call is still being done, or another holds the object: Stripe asks to try it again.
  const busy = statusCode === 409 || code === 'lock_timeout' || code === 'idempotency_key_in_use'
  return new Answered(busy ? 503 : statusCode, typeof wait === 'string' ? wait : null, code)
}

/** The client wraps what the connection failed with, and says what it asked for in the text. */
function causeOf(error: unknown): unknown {
  const parsed = z.object({ detail: z.instanceof(Error) }).safeParse(error)
  return parsed.success ? parsed.data.detail : error
}
