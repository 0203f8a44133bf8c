/** Stands between a client and a real HTTP server: passes on what it is not told to answer itself, and can lose an answer. */
import { startHttp, type Asked, type HttpServer, type Reply } from './http-server.ts'

export interface HttpBetween extends HttpServer {
  /** What was asked since the last `reset`. */
  asked: Asked[]
  /** An answer instead of the server's; undefined passes the request on. */
  instead: ((asked: Asked) => Reply | undefined | Promise<Reply | undefined>) | undefined
  /** True: the server gets the request, and the client gets no answer. */
  lose: ((asked: Asked) => boolean) | undefined
  reset(): void
}

/** Of one connection, or made anew. */
const hop = new Set(['host', 'connection', 'content-length'])

export async function startHttpBetween(upstream: string): Promise<HttpBetween> {
  const answer = async (asked: Asked): Promise<Reply> => {
    const given = await between.instead?.(asked)
    if (given !== undefined) return given
    const response = await fetch(`${upstream}${asked.path}`, {
      method: asked.method,
      headers: Object.entries(asked.headers).flatMap(([name, value]): [string, string][] =>
        typeof value === 'string' && !hop.has(name) ? [[name, value]] : [],
      ),
      redirect: 'manual',
      ...(asked.method === 'GET' || asked.body === '' ? {} : { body: asked.body }),
    })
    const type = response.headers.get('content-type')
    return {
      status: response.status,
      headers: type === null ? {} : { 'content-type': type },
      body: await response.text(),
    }
  }
  const http = await startHttp(async (asked) => {
    between.asked.push(asked)
    const given = await answer(asked).catch(() => null)
    return between.lose?.(asked) === true ? null : given
  })
  const between: HttpBetween = {
    ...http,
    asked: [],
    instead: undefined,
    lose: undefined,
    reset() {
      between.asked = []
      between.instead = undefined
      between.lose = undefined
    },
  }
  return between
}
