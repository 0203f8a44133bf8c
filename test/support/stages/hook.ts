/** A team's own service that takes signed posts and remembers what it was told. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { z } from 'zod'

const post = z.object({
  type: z.string(),
  data: z.object({ to: z.string(), subject: z.string(), body: z.string() }),
})

export interface Hook {
  url: string
  told: { type: string; to: string; subject: string; body: string }[]
  close(): Promise<void>
}

export async function startHook(): Promise<Hook> {
  const told: Hook['told'] = []
  const take = async (request: IncomingMessage, response: ServerResponse) => {
    const { type, data } = post.parse(JSON.parse(await text(request)))
    told.push({ type, ...data })
    response.writeHead(204).end()
  }
  const server = createServer((request, response) => void take(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    told,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
