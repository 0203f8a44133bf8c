/**
 * A real OpenSearch 2.19: given by the environment (LETHE_TEST_OPENSEARCH_URL), or the server's jars from Maven Central, run
 * as one node in a folder of its own on a free loopback port. The first run brings 50 MB.
 */
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { startFirst, type Source } from './containers.ts'
import { findProgram } from './install.ts'
import { freePort, makeFolder, removeFolder, runProcess, startProcess, untilReady } from './process.ts'

export interface OpensearchServer {
  source: Source
  url: string
  host: string
  port: number
  /** Throws for every answer that isn't 2xx. */
  ask(method: string, path: string, body?: object): Promise<unknown>
  /** Documents of an index, by id, as its files have them after a refresh. */
  documents(index: string): Promise<Record<string, unknown>>
  stop(): Promise<void>
}

/** Time that the first start on a machine may take, in milliseconds. */
export const OPENSEARCH_START_MS = 300_000

const source = new URL('opensearch/', import.meta.url).pathname
const jars = new URL('../../../node_modules/.cache/lethe-test/opensearch-2.19.3/', import.meta.url).pathname

export async function startOpensearch(): Promise<OpensearchServer> {
  return startFirst({
    variable: 'LETHE_TEST_OPENSEARCH_URL',
    own: false,
    environment: async (url) => server('environment', url, () => Promise.resolve()),
    installed,
  })
}

async function installed(): Promise<OpensearchServer> {
  await findProgram('javac', 'default-jdk-headless')
  const java = await findProgram('java', 'default-jdk-headless')
  const folder = makeFolder('opensearch')
  const stopped = async () => removeFolder(folder)
  try {
    await bringJars(folder)
  } catch (error) {
    await stopped()
    throw error
  }
  const port = await freePort()
  const node = startProcess(
    java,
    [
      '-Xms256m',
      '-Xmx512m',
      '-XX:TieredStopAtLevel=1',
      '-cp',
      `${jars}*`,
      `${source}Main.java`,
      folder,
      String(port),
    ],
    folder,
  )
  const url = `http://127.0.0.1:${port}`
  const stop = async () => {
    await node.end('SIGKILL')
    await stopped()
  }
  try {
    await untilReady(node, folder, async () => {
      await ask(url, 'GET', '/_cluster/health?wait_for_status=yellow&timeout=5s')
    })
    return server('installed', url, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

/** They take their name only when they are whole; of two that bring them at once, one's are kept. */
async function bringJars(folder: string): Promise<void> {
  if (existsSync(jars)) return
  const maven = await findProgram('mvn', 'maven')
  process.stderr.write('bringing OpenSearch from Maven Central\n')
  cpSync(join(source, 'pom.xml'), join(folder, 'pom.xml'))
  const part = `${jars.slice(0, -1)}.${process.pid}`
  mkdirSync(part, { recursive: true })
  try {
    await runProcess(maven, ['-q', '-B', 'dependency:copy-dependencies', `-DoutputDirectory=${part}`], folder)
    if (!existsSync(jars)) renameSync(part, jars)
  } finally {
    rmSync(part, { recursive: true, force: true })
  }
}

function server(source: Source, url: string, stop: () => Promise<void>): OpensearchServer {
  const { hostname, port } = new URL(url)
  return {
    source,
    url,
    host: hostname,
    port: Number(port),
    ask: (method, path, body) => ask(url, method, path, body),
    async documents(index) {
      await ask(url, 'POST', `/${index}/_refresh`)
      const { hits } = (await ask(url, 'POST', `/${index}/_search`, { size: 1000 })) as {
        hits: { hits: { _id: string; _source: unknown }[] }
      }
      return Object.fromEntries(hits.hits.map(({ _id, _source }) => [_id, _source]))
    },
    stop,
  }
}

async function ask(url: string, method: string, path: string, body?: object): Promise<unknown> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    signal: AbortSignal.timeout(10_000),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`OpenSearch answers ${response.status} to ${method} ${path}: ${text}`)
  return text === '' ? null : JSON.parse(text)
}
