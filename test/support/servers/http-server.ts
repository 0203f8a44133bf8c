/** A small HTTP server on a free loopback port, for what speaks a vendor's wire format. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'

export interface Asked {
  method: string
  /** With its query. */
  path: string
  headers: IncomingHttpHeaders
  body: string
}

export interface Reply {
  status: number
  headers?: Record<string, string>
  body?: string
}

export interface HttpServer {
  url: string
  host: string
  port: number
  close(): Promise<void>
}

/** A null reply resets the connection: what was asked for is done, and nobody hears of it. What throws is a 500. */
export async function startHttp(
  answer: (asked: Asked) => Reply | null | Promise<Reply | null>,
): Promise<HttpServer> {
  const reply = async (asked: Asked, response: ServerResponse) => {
    const given = await Promise.resolve(asked)
      .then(answer)
      .catch((error: unknown) => ({ status: 500, headers: {}, body: String(error) }))
    if (given === null) response.socket?.resetAndDestroy()
    else response.writeHead(given.status, given.headers).end(given.body)
  }
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request
      void reply({ method, path, headers, body: Buffer.concat(parts).toString() }, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${bound.port}`,
    host: '127.0.0.1',
    port: bound.port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Reply {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) }
}

export interface JsonAnswer {
  status: number
  body?: unknown
  headers?: Record<string, string>
}

/** What goes wrong with a call: another answer; "hang" never answers, "drop" resets the connection after the effect. */
export type Failure = JsonAnswer | 'hang' | 'drop'

/** One call of a vendor that fails on demand. */
export async function answerOrFail<R>(
  vendor: { requests: R[]; fail(request: R): Failure | undefined },
  request: R,
  answer: (request: R) => JsonAnswer,
): Promise<Reply | null> {
  vendor.requests.push(request)
  const failure = vendor.fail(request)
  if (failure === 'hang') return new Promise(() => undefined)
  const given = failure === undefined || failure === 'drop' ? answer(request) : failure
  return failure === 'drop' ? null : json(given.status, given.body ?? {}, given.headers)
}
