/** Starts a PostgreSQL with a client and a Redis, says which processes and folders they are, and waits to be ended. */
import { execFileSync } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import pg from 'pg'
import { startPostgres, startRedis } from './servers.ts'

process.on('SIGUSR2', () => {
  throw new Error('asked to fail')
})
const [postgres, redis] = await Promise.all([startPostgres({ own: true }), startRedis({ own: true })])
const client = new pg.Client({ connectionString: postgres.url })
await client.connect()
const { pid } = postgres
if (pid === null || redis.pid === null) throw new Error('the servers are not processes of ours')
const backends = execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
const report = {
  pids: [pid, redis.pid, ...backends.trim().split(/\s+/).map(Number)],
  // PostgreSQL runs in its data folder, Redis in its own.
  folders: [dirname(readlinkSync(`/proc/${pid}/cwd`)), readlinkSync(`/proc/${redis.pid}/cwd`)],
}
process.stdout.write(`${JSON.stringify(report)}\n`)
setInterval(() => undefined, 1000)
