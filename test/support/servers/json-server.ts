/** A vendor's interface on a free port, for tests: JSON over HTTP, every call seen, and the faults that a vendor has. */
import { startHttp, type Asked, type HttpServer, type JsonAnswer as Answer } from './http-server.ts'

export type { Answer }

export interface Seen {
  method: string
  /** Path without the query. */
  path: string
  query: URLSearchParams
  headers: Asked['headers']
  /** The body as it came. */
  text: string
}

/** `before`: nothing was done. `after`: it was done, and its answer is another or got lost. */
export type Fault = { before: Answer | 'cut' } | { after: Answer | 'cut' }

export interface JsonServer extends HttpServer {
  readonly seen: Seen[]
  /** What goes wrong with a call; null: nothing. */
  fault: (seen: Seen) => Fault | null | Promise<Fault | null>
}

export async function startJsonServer(handle: (seen: Seen) => Answer | Promise<Answer>): Promise<JsonServer> {
  const made: { seen: Seen[]; fault: JsonServer['fault'] } = { seen: [], fault: () => null }
  const http = await startHttp(async ({ method, path, headers, body: text }) => {
    const { pathname, searchParams } = new URL(path, 'http://vendor')
    const seen: Seen = { method, path: pathname, query: searchParams, headers, text }
    made.seen.push(seen)
    const fault = await made.fault(seen)
    const usual = fault !== null && 'before' in fault ? fault.before : await handle(seen)
    const given = fault !== null && 'after' in fault ? fault.after : usual
    if (given === 'cut') return null
    const { status, headers: more, body = '' } = given
    return {
      status,
      headers: { 'content-type': 'application/json', ...more },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    }
  })
  return Object.assign(made, http)
}
