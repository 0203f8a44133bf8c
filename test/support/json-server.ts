/** A vendor's interface on a free port, for tests: JSON over HTTP, every call seen, and the faults that a vendor has. */
import { createServer, type IncomingMessage } from 'node:http'

export interface Seen {
  method: string
  /** Path without the query. */
  path: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
  /** The body as it came. */
  text: string
}

export interface Answer {
  status: number
  headers?: Record<string, string>
  /** Sent as JSON; a string as it is. */
  body?: unknown
}

/** `before`: nothing was done. `after`: it was done, and its answer is another or got lost. */
export type Fault = { before: Answer | 'cut' } | { after: Answer | 'cut' }

export interface JsonServer {
  readonly url: string
  readonly port: number
  readonly seen: Seen[]
  /** What goes wrong with a call; null: nothing. */
  fault: (seen: Seen) => Fault | null | Promise<Fault | null>
  close(): Promise<void>
}

export async function startJsonServer(handle: (seen: Seen) => Answer | Promise<Answer>): Promise<JsonServer> {
  const made: { seen: Seen[]; fault: JsonServer['fault'] } = { seen: [], fault: () => null }
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('error', () => undefined)
    request.on('end', () => {
      void (async () => {
        const url = new URL(request.url ?? '/', 'http://vendor')
        const seen: Seen = {
          method: request.method ?? '',
          path: url.pathname,
          query: url.searchParams,
          headers: request.headers,
          text: Buffer.concat(parts).toString(),
        }
        made.seen.push(seen)
        const fault = await made.fault(seen)
        let answer: Answer | 'cut'
        if (fault === null) answer = await handle(seen)
        else if ('before' in fault) answer = fault.before
        else {
          await handle(seen)
          answer = fault.after
        }
        if (answer === 'cut') {
          request.socket.resetAndDestroy()
          return
        }
        const { status, headers = {}, body } = answer
        response.writeHead(status, { 'content-type': 'application/json', ...headers })
        response.end(body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body))
      })()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return Object.assign(made, {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  })
}
