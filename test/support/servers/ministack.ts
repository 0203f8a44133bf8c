/**
 * One service of AWS as an emulator speaks it: given by the environment, or MiniStack from PyPI in memory on a free
 * loopback port. No container step: pip brings the same program in seconds.
 *
 * DynamoDB knows secondary indexes and is as strict as the real one about keys and batches; it has no throttle, no lag and
 * no limit of 1 MB a page: dynamodb-faults.ts makes these. KMS knows aliases, states and the waiting period; time doesn't
 * pass in it, and it has no throttle. CloudFront is the API alone: cloudfront.ts has the caches.
 */
import { startFirst, type Source } from './containers.ts'
import { findPythonPackage } from './install.ts'
import { freePort, makeFolder, removeFolder, startProcess, untilReady } from './process.ts'

const version = '1.5.33'

export interface MinistackServer {
  source: Source
  endpoint: string
  host: string
  port: number
  region: string
  /** Any do. */
  credentials: { accessKeyId: string; secretAccessKey: string }
  stop(): Promise<void>
}

export type MinistackService = 'dynamodb' | 'kms' | 'cloudfront'

export async function startMinistack(service: MinistackService): Promise<MinistackServer> {
  return startFirst({
    variable: `LETHE_TEST_${service.toUpperCase()}_URL`,
    own: false,
    environment: async (url) => server('environment', url, () => Promise.resolve()),
    installed: () => installed(service),
  })
}

async function installed(service: MinistackService): Promise<MinistackServer> {
  const python = await findPythonPackage('ministack', version)
  const folder = makeFolder(service)
  const port = await freePort()
  // One service, only here: it would offer all of AWS to the network, and look for containers of its own to remove.
  const environment = {
    SERVICES: service,
    BIND_HOST: '127.0.0.1',
    GATEWAY_PORT: String(port),
    SFTP_ENABLED: '0',
    IOT_MTLS_ENABLED: '0',
    DOCKER_HOST: `unix://${folder}/none`,
    LOG_LEVEL: 'WARNING',
    TMPDIR: folder,
  }
  const settings = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  const process = startProcess('/usr/bin/env', [...settings, python, '-m', 'ministack'], folder)
  const stop = async () => {
    await process.end('SIGKILL')
    await removeFolder(folder)
  }
  const endpoint = `http://127.0.0.1:${port}`
  try {
    await untilReady(process, folder, () => ping(endpoint))
    return server('installed', endpoint, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

function server(source: Source, endpoint: string, stop: () => Promise<void>): MinistackServer {
  const { hostname, port, protocol } = new URL(endpoint)
  return {
    source,
    endpoint,
    host: hostname,
    port: Number(port || (protocol === 'https:' ? 443 : 80)),
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    stop,
  }
}

async function ping(endpoint: string): Promise<void> {
  const response = await fetch(`${endpoint}/_ministack/ready`, { signal: AbortSignal.timeout(5000) })
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`it answers ${response.status}`)
}
