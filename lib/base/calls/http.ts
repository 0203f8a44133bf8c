/** JSON over HTTP for vendors without an SDK of their own. No redirect is followed: it would carry an identity to a place nobody configured. */
import { readJson } from '../canonical/index.ts'
import { Answered, callVendor, type Side } from './call.ts'

export interface HttpSide extends Side {
  /** Without a slash at its end. */
  baseUrl: string
  headers: Readonly<Record<string, string>>
  /** How a failure of this vendor reads, where its body says more than the status: an error code, a limit that is no 429. */
  failed?(status: number, headers: Headers, body: unknown): Answered
  /** Node's own `fetch` by default. */
  send?: Send
}

/** What of `fetch` is used here. */
export type Send = (url: string, init: SendInit) => Promise<Response>

export interface SendInit {
  method: string
  redirect: 'manual'
  headers: Record<string, string>
  body?: string
  signal: AbortSignal
}

export interface HttpRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** From the base address on; what it holds of a subject is encoded by the caller. */
  path: string
  body?: unknown
  /** In place of a body: sent as a form, URL-encoded. */
  form?: Readonly<Record<string, string>>
  headers?: Readonly<Record<string, string>>
  /** Statuses beside 2xx that mean something to the caller: 404 for a subject who isn't there. */
  expects?: readonly number[]
}

export interface HttpAnswer {
  status: number
  headers: Headers
  /** Parsed JSON; null where the body is empty or no JSON. */
  body: unknown
  /** The same as it came. */
  text: string
}

/** As callVendor; every status that is neither 2xx nor expected is a failure. */
export async function requestVendor(
  side: HttpSide,
  what: string,
  request: HttpRequest,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const { method, path, body, form, expects = [] } = request
  const send = side.send ?? fetch
  return callVendor(
    side,
    what,
    async (signal) => {
      const response = await send(`${side.baseUrl}${path}`, {
        method,
        redirect: 'manual',
        signal,
        headers: {
          accept: 'application/json',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
          ...side.headers,
          ...request.headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(form === undefined ? {} : { body: new URLSearchParams(form).toString() }),
      })
      const { status, headers } = response
      const text = await response.text()
      const parsed = readJson(text) ?? null
      if (!response.ok && !expects.includes(status))
        throw side.failed?.(status, headers, parsed) ?? new Answered(status, headers.get('retry-after'))
      return { status, headers, body: parsed, text }
    },
    signal,
  )
}
