/**
 * How OpenSearch is spoken to. Plain HTTP: the official client repeats requests and quotes answers, documents among them,
 * in its errors.
 */
import { LetheError } from '../../../../base/errors/index.ts'
import {
  type HttpAnswer,
  type HttpRequest,
  type HttpSide,
  type Side,
  requestVendor,
} from '../../../../base/calls/index.ts'

export interface OpensearchOptions extends Pick<Side, 'store' | 'pace' | 'patience'> {
  /** As `https://search.example.org:9200`. */
  baseUrl: string
  /** Absent: nobody is asked who they are. `authorization` is the whole header, as `ApiKey …`. */
  auth?: { username: string; password: string } | { authorization: string }
  /** How fast a task deletes; default 1000. */
  documentsPerSecond?: number
  /** How long a call waits for its tasks before they count as pending; default 5 seconds. */
  waitSeconds?: number
  /** Whether segments with many deleted documents are rewritten at the end, which is heavy; default false. */
  expungeDeletes?: boolean
}

export interface Client {
  store: string
  ask(what: string, request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer>
  /** An answer that isn't OpenSearch's, or not all of it. */
  unreadable(what: string): LetheError
}

export function openClient(options: OpensearchOptions): Client {
  const { store, pace, auth, patience } = options
  const authorization =
    auth === undefined
      ? undefined
      : 'authorization' in auth
        ? auth.authorization
        : `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`
  const side: HttpSide = {
    store,
    vendor: 'OpenSearch',
    pace,
    baseUrl: options.baseUrl.replace(/\/+$/, ''),
    headers: authorization === undefined ? {} : { authorization },
    patience,
  }
  return {
    store,
    ask: (what, request, signal) => requestVendor(side, what, request, signal),
    unreadable: (what) =>
      new LetheError('E_STORE_UNAVAILABLE', {
        message: `OpenSearch (${store}) gave no whole answer: ${what}.`,
        facts: { store },
      }),
  }
}
