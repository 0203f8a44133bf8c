/** A witness over HTTP (C2SP tlog-witness): plain, behind whatever ends TLS. What it decides stands in lib/record/evidence. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { LetheError } from '../lib/base/errors/index.ts'
import { ADD_CHECKPOINT, LARGEST_BODY, type WitnessService } from '../lib/record/evidence/index.ts'
import { errorFields, type Logger } from '../lib/base/log/index.ts'
import type { Role } from './role.ts'

/** A request has to arrive within this. */
const REQUEST_MS = 10_000
const CONNECTIONS = 100

export interface Listen {
  host: string
  /** 0: any free one. */
  port: number
}

/** Throws E_CONFIG where the port can't be opened. */
export async function serveWitness(
  service: WitnessService,
  listen: Listen,
  log: Logger,
): Promise<Role & { port: number }> {
  const server = createServer(
    { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS },
    (request, response) => {
      answer(service, request, response, log).catch((error: unknown) => {
        log.error({ error: errorFields(error) }, 'a request failed; nothing was cosigned')
        reply(response, 500, 'Failed; nothing was cosigned.')
      })
    },
  )
  server.maxConnections = CONNECTIONS
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(taken(error, listen)))
    server.listen(listen.port, listen.host, resolve)
  })
  const bound = server.address()
  return {
    name: 'witness',
    port: bound !== null && typeof bound === 'object' ? bound.port : listen.port,
    problem: () => null,
    // Requests that have begun are answered; connections that only wait are closed.
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeIdleConnections()
      }),
  }
}

async function answer(
  service: WitnessService,
  request: IncomingMessage,
  response: ServerResponse,
  log: Logger,
): Promise<void> {
  if (request.url !== `/${ADD_CHECKPOINT}`) return reply(response, 404, 'There is nothing here.')
  if (request.method !== 'POST') {
    response.setHeader('allow', 'POST')
    return reply(response, 405, 'Only POST is answered.')
  }
  const body = await readBody(request)
  if (body === null) return reply(response, 413, 'The request is too large.')
  const found = await service.add(body)
  log.info({ status: found.status, size: service.size }, 'asked to cosign')
  response.writeHead(found.status, { 'content-type': found.type }).end(found.body)
}

/** Null where it is larger than any request of a log; the rest is not read. */
async function readBody(request: IncomingMessage): Promise<string | null> {
  const parts: Buffer[] = []
  let length = 0
  // Kept open on return, so that the refusal can be said.
  for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += part.length
    if (length > LARGEST_BODY) return null
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

function reply(response: ServerResponse, status: number, line: string): void {
  if (response.headersSent) {
    response.end()
    return
  }
  response
    .writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' })
    .end(`${line}\n`)
}

function taken(error: Error, { host, port }: Listen): LetheError {
  return new LetheError('E_CONFIG', {
    message: `${host}:${port} cannot be opened (${'code' in error ? String(error.code) : error.name}).`,
    next: 'Name another address or port behind --listen.',
    cause: error,
  })
}
