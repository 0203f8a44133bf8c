/** A real PgBouncer before a PostgreSQL server. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram } from './install.ts'
import {
  canConnect,
  freePort,
  makeFolder,
  removeFolder,
  startProcess,
  unprivileged,
  untilReady,
} from './process.ts'

export interface PgBouncer {
  /** The target's address, through the pooler. */
  url: string
  stop(): Promise<void>
}

export async function startPgBouncer(
  targetUrl: string,
  poolMode: 'session' | 'transaction' | 'statement',
  poolSize = 10,
): Promise<PgBouncer> {
  const program = await findProgram('pgbouncer', 'pgbouncer')
  const user = unprivileged('postgres')
  const folder = makeFolder('pgbouncer', user)
  const target = new URL(targetUrl)
  const port = await freePort()
  const password = target.password ? ` password=${decodeURIComponent(target.password)}` : ''
  writeFileSync(
    join(folder, 'pgbouncer.ini'),
    `[databases]
* = host=${target.hostname} port=${target.port} user=${decodeURIComponent(target.username)}${password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
auth_type = any
pool_mode = ${poolMode}
default_pool_size = ${poolSize}
ignore_startup_parameters = extra_float_digits,statement_timeout,lock_timeout,idle_in_transaction_session_timeout,options
unix_socket_dir =
`,
  )
  const server = startProcess(program, [join(folder, 'pgbouncer.ini')], folder, user)
  await untilReady(server, folder, () => canConnect(port))
  const url = new URL(targetUrl)
  url.hostname = '127.0.0.1'
  url.port = String(port)
  return {
    url: url.toString(),
    async stop() {
      await server.end('SIGINT')
      await removeFolder(folder)
    },
  }
}
