/**
 * CloudFront: MiniStack from PyPI answers for the API, and before it stand the caches and what the emulator does not do:
 * invalidations take a while, and some are refused.
 */
import { CloudFrontClient, CreateDistributionCommand } from '@aws-sdk/client-cloudfront'
import { makeEdge, type TestEdge } from './edge.ts'
import { startHttp, type Asked, type HttpServer, type Reply } from '../servers/http-server.ts'
import { startMinistack } from '../servers/ministack.ts'

export interface CloudfrontServer extends HttpServer {
  distribution: string
  region: string
  credentials: { accessKeyId: string; secretAccessKey: string }
  edge: TestEdge
  /** Paths that it calls malformed. */
  refused: Set<string>
  /** Paths of each invalidation that was made, in order. */
  made: string[][]
  /** Invalidations that are under way come to their end. */
  settle(): void
  /** Instead of the usual answer, which it gets; null ends the connection. */
  rewrite?: ((asked: Asked, usual: Reply) => Reply | null) | undefined
  reset(): void
}

export async function startCloudfront(): Promise<CloudfrontServer> {
  const aws = await startMinistack('cloudfront')
  const client = new CloudFrontClient(aws)
  const created = await client.send(new CreateDistributionCommand({ DistributionConfig: distributionConfig }))
  client.destroy()
  const distribution = created.Distribution?.Id ?? ''
  const edge = makeEdge()
  const known = new Set<string>()
  const settled = new Set<string>()

  async function usualAnswer(asked: Asked): Promise<Reply> {
    if (!asked.path.startsWith('/2020-05-31/')) return edge.visit(asked.path, 'x-cache')
    const paths = [...asked.body.matchAll(/<Path>([^<]*)<\/Path>/g)].map(([, path = '']) => path)
    const bad = paths.find((path) => server.refused.has(path))
    if (bad !== undefined)
      return xmlError(400, 'InvalidArgument', `Your request contains the invalid path ${bad}`)
    const { method, path, body } = asked
    const headers = {
      authorization: String(asked.headers.authorization),
      'x-amz-date': String(asked.headers['x-amz-date']),
    }
    const init = { method, headers, ...(method === 'POST' ? { body } : {}) }
    const answer = await fetch(`${aws.endpoint}${path}`, init)
    const text = await answer.text()
    const id = /<Id>(\w+)<\/Id>/.exec(text)?.[1] ?? ''
    if (method === 'POST' && answer.ok && !known.has(id)) {
      known.add(id)
      server.made.push(paths)
      for (const one of paths) edge.purge(one)
    }
    return { status: answer.status, headers: { 'content-type': 'text/xml' }, body: withStates(text) }
  }

  /** The emulator has completed everything at once. */
  function withStates(text: string): string {
    return text.replaceAll(
      /<Id>(\w+)<\/Id>(.*?)<Status>Completed<\/Status>/gs,
      (whole, id: string, between: string) =>
        settled.has(id) ? whole : `<Id>${id}</Id>${between}<Status>InProgress</Status>`,
    )
  }

  const http = await startHttp(async (asked) => {
    const usual = await usualAnswer(asked)
    return server.rewrite === undefined ? usual : server.rewrite(asked, usual)
  })
  const server: CloudfrontServer = {
    ...http,
    distribution,
    region: aws.region,
    credentials: aws.credentials,
    edge,
    refused: new Set(),
    made: [],
    settle() {
      for (const id of known) settled.add(id)
    },
    reset() {
      edge.reset()
      server.refused.clear()
      server.made = []
      server.rewrite = undefined
    },
    async close() {
      await http.close()
      await aws.stop()
    },
  }
  return server
}

export function xmlError(status: number, code: string, message: string): Reply {
  const body = `<ErrorResponse xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>r</RequestId></ErrorResponse>`
  return { status, headers: { 'content-type': 'text/xml' }, body }
}

const distributionConfig = {
  CallerReference: 'tests',
  Comment: '',
  Enabled: true,
  Origins: {
    Quantity: 1,
    Items: [
      { Id: 'files', DomainName: 'files.s3.amazonaws.com', S3OriginConfig: { OriginAccessIdentity: '' } },
    ],
  },
  DefaultCacheBehavior: { TargetOriginId: 'files', ViewerProtocolPolicy: 'https-only' as const },
}
