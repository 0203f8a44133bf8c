/**
 * An HTTP proxy between a client and an S3 server that can answer in the server's place: it is busy, or it lies; or lose the
 * server's answer. Requests go on as they came, signature and host included.
 */
import { createServer, request } from 'node:http'

export interface Seen {
  method: string
  /** Path and query. */
  url: string
  headers: Readonly<Record<string, string | string[] | undefined>>
  body: string
}

export interface Answer {
  status: number
  body: string
}

export interface S3Between {
  endpoint: string
  /** Every request so far. */
  seen: Seen[]
  /** Null: the server answers. Awaited, so that it can hold a request back. */
  answer: (seen: Seen) => Answer | null | Promise<Answer | null>
  /** Asked once the server has answered. True: the client hears nothing of it. */
  lose: (seen: Seen) => boolean
  close(): Promise<void>
}

export async function startS3Between(endpoint: string): Promise<S3Between> {
  const { hostname, port } = new URL(endpoint)
  const server = createServer((incoming, outgoing) => {
    const pass = async (seen: Seen, body: Buffer) => {
      const answer = await between.answer(seen)
      if (answer !== null) {
        outgoing.writeHead(answer.status, { 'content-type': 'application/xml' }).end(answer.body)
        return
      }
      const { method, url: path, headers } = seen
      const upstream = request({ host: hostname, port, method, path, headers }, (response) => {
        if (between.lose(seen)) {
          incoming.socket.resetAndDestroy()
          response.resume()
          return
        }
        outgoing.writeHead(response.statusCode ?? 500, response.headers)
        response.pipe(outgoing)
      })
      upstream.on('error', () => outgoing.destroy())
      upstream.end(body)
    }
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const body = Buffer.concat(chunks)
      const { method = '', url = '', headers } = incoming
      const seen = { method, url, headers, body: body.toString() }
      between.seen.push(seen)
      void pass(seen, body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  const between: S3Between = {
    endpoint: `http://127.0.0.1:${address.port}`,
    seen: [],
    answer: () => null,
    lose: () => false,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
  return between
}

/** A multi-object delete's list, as the client sent it. */
export function askedToDelete({ body }: Seen): { key: string; versionId: string }[] {
  return [...body.matchAll(/<Object>(.*?)<\/Object>/gs)].map(([, object = '']) => ({
    key: /<Key>(.*?)<\/Key>/s.exec(object)?.[1] ?? '',
    versionId: /<VersionId>(.*?)<\/VersionId>/s.exec(object)?.[1] ?? '',
  }))
}

export function isDelete({ method, url }: Seen): boolean {
  return method === 'POST' && /\?(.*&)?delete\b/.test(url)
}
