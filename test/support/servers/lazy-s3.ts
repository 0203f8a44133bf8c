/** One S3 server for a whole test run, started when the first test file asks: most runs need none. */
import { createServer } from 'node:http'
import { z } from 'zod'
import { startS3, type S3Address, type S3Server } from './s3.ts'

const address = z.object({
  endpoint: z.string(),
  region: z.string(),
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
})

export interface LazyS3 {
  /** Where test files, which are other processes, ask for the server's address. */
  url: string
  stop(): Promise<void>
}

export async function offerS3(): Promise<LazyS3> {
  let started: Promise<S3Server> | undefined
  const server = createServer((_request, response) => {
    started ??= startS3()
    started.then(
      (s3) => response.end(JSON.stringify(address.parse(s3))),
      (error: unknown) => {
        response.statusCode = 500
        response.end(error instanceof Error ? error.message : String(error))
      },
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${bound.port}/`,
    async stop() {
      server.close()
      server.closeAllConnections()
      const s3 = await started?.catch(() => undefined)
      await s3?.stop()
    },
  }
}

export async function askForS3(url: string): Promise<S3Address> {
  const response = await fetch(url)
  const answer = await response.text()
  if (!response.ok) throw new Error(answer)
  return address.parse(JSON.parse(answer))
}
