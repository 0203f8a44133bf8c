/**
 * AWS KMS, as an emulator speaks it: given by the environment (LETHE_TEST_KMS_URL), or MiniStack from PyPI in memory on a
 * free loopback port. It knows aliases, states and the waiting period; time doesn't pass in it, and it has no throttle.
 */
import { startFirst, type Source } from './containers.ts'
import { findPythonPackage } from './install.ts'
import { freePort, makeFolder, removeFolder, startProcess, untilReady } from './process.ts'

const version = '1.5.33'

export interface KmsServer {
  source: Source
  endpoint: string
  host: string
  port: number
  region: string
  credentials: { accessKeyId: string; secretAccessKey: string }
  stop(): Promise<void>
}

export async function startKms(): Promise<KmsServer> {
  return startFirst({
    variable: 'LETHE_TEST_KMS_URL',
    own: false,
    environment: async (url) => server('environment', url, () => Promise.resolve()),
    installed,
  })
}

async function installed(): Promise<KmsServer> {
  const python = await findPythonPackage('ministack', version)
  const folder = makeFolder('kms')
  const port = await freePort()
  // Only KMS, only here: it would offer all of AWS to the network, and look for containers of its own to remove.
  const settings = Object.entries({
    SERVICES: 'kms',
    BIND_HOST: '127.0.0.1',
    GATEWAY_PORT: String(port),
    SFTP_ENABLED: '0',
    IOT_MTLS_ENABLED: '0',
    DOCKER_HOST: `unix://${folder}/none`,
    LOG_LEVEL: 'WARNING',
    TMPDIR: folder,
  }).map(([name, value]) => `${name}=${value}`)
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

function server(source: Source, endpoint: string, stop: () => Promise<void>): KmsServer {
  const { hostname, port } = new URL(endpoint)
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }
  return { source, endpoint, host: hostname, port: Number(port), region: 'us-east-1', credentials, stop }
}

async function ping(endpoint: string): Promise<void> {
  const response = await fetch(`${endpoint}/_ministack/ready`, { signal: AbortSignal.timeout(5000) })
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`it answers ${response.status}`)
}
