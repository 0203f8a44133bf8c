/** `/livez`, `/readyz` and `/metrics`. Answers names of dependencies and error codes, never an address or a key. */
import { createServer, type ServerResponse } from 'node:http'
import { LetheError } from '../lib/base/errors/index.ts'
import type { Metrics } from '../lib/base/metrics/index.ts'

export interface HealthOptions {
  /** Who reaches it: 127.0.0.1 this machine only. */
  host: string
  /** 0: any free port. */
  port: number
  metrics: Metrics
  /** Sentences about loops that no longer turn; empty: alive. A dependency being away is no reason to be restarted. */
  live(): readonly string[]
  /** Sentences about what is missing to do any work; empty: ready. */
  ready(): Promise<readonly string[]>
}

export interface HealthServer {
  readonly port: number
  close(): Promise<void>
}

export async function startHealth(options: HealthOptions): Promise<HealthServer> {
  const server = createServer((request, response) => {
    answer(options, request.method ?? '', request.url ?? '', response).catch(() => {
      if (!response.headersSent) response.writeHead(500)
      response.end()
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(notOpened(error, options)))
    server.listen(options.port, options.host, resolve)
  })
  const address = server.address()
  return {
    port: address !== null && typeof address === 'object' ? address.port : options.port,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(
  options: HealthOptions,
  method: string,
  url: string,
  response: ServerResponse,
): Promise<void> {
  if (method !== 'GET' && method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD' }).end()
    return
  }
  const path = url.split('?', 1)[0]
  if (path === '/livez') problems(response, options.live())
  else if (path === '/readyz') problems(response, await options.ready())
  else if (path === '/metrics') {
    const { contentType, body } = await options.metrics.expose()
    response.writeHead(200, { 'content-type': contentType }).end(body)
  } else response.writeHead(404).end()
}

function problems(response: ServerResponse, list: readonly string[]): void {
  response.writeHead(list.length === 0 ? 200 : 503, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ ok: list.length === 0, problems: list }) + '\n')
}

/** A worker's log has the message and not what is next, so the message says what to set. */
function notOpened(error: Error, { host, port }: HealthOptions): LetheError {
  const code = 'code' in error ? String(error.code) : error.name
  const taken = code === 'EADDRINUSE'
  const why = taken
    ? 'another process, such as a second worker, has the port; give this one its own by LETHE_HEALTH_PORT'
    : 'see operations.health_host and health_port, LETHE_HEALTH_HOST and LETHE_HEALTH_PORT'
  return new LetheError('E_CONFIG', {
    message: `Health and metrics can't be served on ${host}:${port} (${code}): ${why}.`,
    next: taken
      ? 'Start it with LETHE_HEALTH_PORT=9465, or 0 for any free one; operations.health_port sets it for all.'
      : 'Set LETHE_HEALTH_HOST or operations.health_host to an address of this machine, and LETHE_HEALTH_PORT to a port it may open.',
    cause: error,
  })
}
