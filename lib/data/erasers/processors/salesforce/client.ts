/** Calls of Salesforce's REST API, with an OAuth token that is fetched when needed and renewed when it has run out. */
import { z } from 'zod'
import { readAnswer } from '../answer.ts'
import {
  Answered,
  type HttpAnswer,
  type HttpRequest,
  type HttpSide,
  type Side,
  requestVendor,
} from '../../../../base/calls/index.ts'

export interface SalesforceOptions extends Pick<Side, 'store' | 'pace' | 'patience'> {
  /** My Domain, `https://NAME.my.salesforce.com`: secrets and identifiers go nowhere else, whatever a token's answer names. */
  url: string
  clientId: string
  clientSecret: string
}

/** Spring '26. */
export const VERSION = 'v66.0'
export const BASE = `/services/data/${VERSION}`

/** `what` says what is done without naming anyone. Throws as requestVendor does. */
export type Ask = <T>(
  what: string,
  form: z.ZodType<T>,
  request: HttpRequest,
  signal: AbortSignal,
) => Promise<T>

/**
 * The client-credentials flow tells no lifetime of its tokens: one is used until it is refused (401), and then once more
 * with a new one. https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_client_credentials_flow.htm
 */
export function salesforceClient(options: SalesforceOptions): Ask {
  const { store, url, clientId, clientSecret, pace, patience } = options
  const side: HttpSide = {
    store,
    vendor: 'Salesforce',
    pace,
    patience,
    baseUrl: url.replace(/\/+$/, ''),
    headers: {},
    failed: (status, headers, body) => {
      const word = wordOf(body)
      // The day's or the hour's calls are used up: a 403 that waiting mends.
      const limited = status === 403 && word === 'REQUEST_LIMIT_EXCEEDED'
      return new Answered(limited ? 429 : status, headers.get('retry-after'), word)
    },
  }
  let token: string | null = null

  async function fetchToken(signal: AbortSignal): Promise<string> {
    const what = 'get a token'
    const form = { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret }
    const request: HttpRequest = { method: 'POST', path: '/services/oauth2/token', form }
    const answer = await requestVendor(side, what, request, signal)
    token = readAnswer(side, what, z.object({ access_token: z.string().min(1) }), answer.body).access_token
    return token
  }

  const send = (what: string, request: HttpRequest, held: string, signal: AbortSignal): Promise<HttpAnswer> =>
    requestVendor(side, what, { ...request, headers: { authorization: `Bearer ${held}` } }, signal)

  return async (what, form, request, signal) => {
    const held = token ?? (await fetchToken(signal))
    let answer = await send(what, { ...request, expects: [401] }, held, signal)
    if (answer.status === 401) {
      // Another call may have renewed it meanwhile.
      const renewed = token !== null && token !== held ? token : await fetchToken(signal)
      answer = await send(what, request, renewed, signal)
    }
    return readAnswer(side, what, form, answer.body)
  }
}

const failure = z.union([
  z.array(z.object({ errorCode: z.string() })).transform(([first]) => first?.errorCode ?? ''),
  z.object({ error: z.string() }).transform(({ error }) => error),
])

/** Salesforce's own code; its messages quote the query, and so an identifier. */
function wordOf(body: unknown): string {
  return failure.safeParse(body).data ?? ''
}
