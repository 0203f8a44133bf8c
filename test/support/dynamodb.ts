/**
 * DynamoDB, as an emulator speaks it: given by the environment, or MiniStack from PyPI in memory on a free loopback port.
 * It knows secondary indexes and is as strict as DynamoDB about keys and batches; it has no throttle, no lag and no limit
 * of 1 MB a page: dynamodb-faults.ts makes these.
 *
 * No container step: pip brings the same program in seconds.
 */
import { startFirst, type Source } from './containers.ts'
import { findPythonPackage } from './install.ts'
import { freePort, makeFolder, removeFolder, startProcess, untilReady } from './process.ts'

const version = '1.5.33'

/** What a client needs; any credentials do. */
export interface DynamodbAddress {
  endpoint: string
  region: string
  credentials: { accessKeyId: string; secretAccessKey: string }
}

export interface DynamodbServer extends DynamodbAddress {
  source: Source
  host: string
  port: number
  stop(): Promise<void>
}

export async function startDynamodb(): Promise<DynamodbServer> {
  return startFirst({
    variable: 'LETHE_TEST_DYNAMODB_URL',
    own: false,
    environment: async (url) => server('environment', url, () => Promise.resolve()),
    installed,
  })
}

async function installed(): Promise<DynamodbServer> {
  const python = await findPythonPackage('ministack', version)
  const folder = makeFolder('dynamodb')
  const port = await freePort()
  // Only DynamoDB, only here: it would offer all of AWS to the network, and look for containers of its own to remove.
  const environment = {
    SERVICES: 'dynamodb',
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

function server(source: Source, endpoint: string, stop: () => Promise<void>): DynamodbServer {
  const { hostname, port, protocol } = new URL(endpoint)
  return {
    source,
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    host: hostname,
    port: Number(port || (protocol === 'https:' ? 443 : 80)),
    stop,
  }
}

async function ping(endpoint: string): Promise<void> {
  const response = await fetch(`${endpoint}/_ministack/ready`, { signal: AbortSignal.timeout(5000) })
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`it answers ${response.status}`)
}
