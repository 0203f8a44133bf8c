/** Stands between a client and a real HTTP server: passes on what it is not told to answer itself, and can lose an answer. */
import { createServer, type IncomingHttpHeaders } from 'node:http'

export interface Asked {
  method: string
  /** Path and query. */
  path: string
  headers: IncomingHttpHeaders
  body: string
}

export interface Answer {
  status: number
  headers?: Record<string, string>
  body?: string
}

export interface HttpBetween {
  url: string
  host: string
  port: number
  /** What was asked since the last `reset`. */
  asked: Asked[]
  /** An answer instead of the server's; undefined passes the request on. */
  instead: ((asked: Asked) => Answer | undefined | Promise<Answer | undefined>) | undefined
  /** True: the server gets the request, and the client gets no answer. */
  lose: ((asked: Asked) => boolean) | undefined
  reset(): void
  close(): Promise<void>
}

/** Of one connection, or made anew. */
const hop = new Set(['host', 'connection', 'content-length'])

export async function startHttpBetween(upstream: string): Promise<HttpBetween> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      const { method = 'GET', url: path = '/', headers } = request
      const asked: Asked = { method, path, headers, body: body.toString('utf8') }
      between.asked.push(asked)
      answer(asked, body)
        .then((given) => {
          if (between.lose?.(asked) === true) request.socket.resetAndDestroy()
          else response.writeHead(given.status, given.headers).end(given.body)
          return undefined
        })
        .catch(() => request.socket.resetAndDestroy())
    })
  })
  const answer = async (asked: Asked, body: Buffer): Promise<Answer> => {
    const given = await between.instead?.(asked)
    if (given !== undefined) return given
    const response = await fetch(`${upstream}${asked.path}`, {
      method: asked.method,
      headers: Object.entries(asked.headers).flatMap(([name, value]): [string, string][] =>
        typeof value === 'string' && !hop.has(name) ? [[name, value]] : [],
      ),
      redirect: 'manual',
      ...(asked.method === 'GET' || body.length === 0 ? {} : { body: new Uint8Array(body) }),
    })
    const type = response.headers.get('content-type')
    return {
      status: response.status,
      headers: type === null ? {} : { 'content-type': type },
      body: await response.text(),
    }
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it has no port')
  const between: HttpBetween = {
    url: `http://127.0.0.1:${address.port}`,
    host: '127.0.0.1',
    port: address.port,
    asked: [],
    instead: undefined,
    lose: undefined,
    reset() {
      between.asked = []
      between.instead = undefined
      between.lose = undefined
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
  return between
}
