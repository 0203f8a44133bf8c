/** Cloudflare's API as far as a purge goes, and the caches that it purges, at one address. */
import { z } from 'zod'
import { makeEdge, type TestEdge } from './edge.ts'
import { json, startHttp, type Asked, type HttpServer, type Reply } from '../servers/http-server.ts'

export const zone = '023e105f4ecef8ad9ca31a8372d0c353'
export const token = 'test-token'
const MOST_FILES = 100

export interface CloudflareServer extends HttpServer {
  /** Of the API. */
  baseUrl: string
  edge: TestEdge
  /** Addresses that it will not purge, by path. */
  refused: Set<string>
  /** Files of each purge that was asked for. */
  purges: string[][]
  /** Instead of the usual answer, which it gets; null ends the connection. */
  rewrite?: ((asked: Asked, usual: Reply) => Reply | null) | undefined
  reset(): void
}

export async function startCloudflare(): Promise<CloudflareServer> {
  const edge = makeEdge()
  const failure = (status: number, code: number, message: string) =>
    json(status, { success: false, errors: [{ code, message }], messages: [], result: null })
  const success = (result: unknown) => json(200, { success: true, errors: [], messages: [], result })

  function usualAnswer({ method, path, headers, body }: Asked): Reply {
    if (!path.startsWith('/client/')) return edge.visit(path, 'cf-cache-status')
    if (headers.authorization !== `Bearer ${token}`) return failure(403, 10000, 'Authentication error')
    if (method === 'GET' && path === `/client/v4/zones/${zone}`)
      return success({ id: zone, name: '127.0.0.1' })
    if (method !== 'POST' || path !== `/client/v4/zones/${zone}/purge_cache`)
      return failure(404, 7003, 'No route')
    const { files } = z.strictObject({ files: z.array(z.url()).min(1) }).parse(JSON.parse(body))
    server.purges.push(files)
    const paths = files.map((file) => new URL(file).pathname)
    if (files.length > MOST_FILES) return failure(400, 1094, 'Too many files')
    const bad = paths.find((one) => server.refused.has(one))
    if (bad !== undefined) return failure(400, 1016, `Unable to purge ${bad}`)
    for (const one of paths) edge.purge(one)
    return success({ id: zone })
  }

  const http = await startHttp((asked) => {
    const usual = usualAnswer(asked)
    return server.rewrite === undefined ? usual : server.rewrite(asked, usual)
  })
  const server: CloudflareServer = {
    ...http,
    baseUrl: `${http.url}/client/v4`,
    edge,
    refused: new Set(),
    purges: [],
    reset() {
      edge.reset()
      server.refused.clear()
      server.purges = []
      server.rewrite = undefined
    },
  }
  return server
}
