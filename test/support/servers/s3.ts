/**
 * A real S3 server with versions and Object Lock: given by the environment, or Ceph's gateway on a monitor and one storage
 * daemon that keeps everything in memory (1 GB at most), on free loopback ports, in one folder.
 *
 * No container step: no maintained image is an S3 server with Object Lock by itself.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startFirst, type Source } from './containers.ts'
import { findProgram } from './install.ts'
import {
  freePort,
  makeFolder,
  removeFolder,
  runProcess,
  startProcess,
  untilReady,
  type ServerProcess,
} from './process.ts'

/** What a client needs; it must ask for `forcePathStyle`. */
export interface S3Address {
  endpoint: string
  region: string
  accessKeyId: string
  secretAccessKey: string
}

export interface S3Server extends S3Address {
  source: Source
  host: string
  port: number
  /** Monitor, storage, gateway; empty where we don't run them. */
  readonly pids: readonly number[]
  /** The gateway takes connections but answers nothing, until `resume`. */
  pause(): void
  resume(): void
  /** Ends the gateway as kill -9 does; `restart` brings it back. What it confirmed is kept. */
  kill(): Promise<void>
  /** Kills the gateway where it still runs and starts it again on the same port. */
  restart(): Promise<void>
  stop(): Promise<void>
}

export interface S3Options {
  /** True: not the environment's server, because the test pauses, kills or restarts it. Default false. */
  own?: boolean
}

const packages = 'radosgw ceph-mon ceph-osd ceph-common'

export async function startS3(options: S3Options = {}): Promise<S3Server> {
  return startFirst({
    variable: 'LETHE_TEST_S3_URL',
    own: options.own ?? false,
    environment: async (url) => given(url),
    installed,
  })
}

async function installed(): Promise<S3Server> {
  await findProgram('radosgw', packages)
  const folder = makeFolder('s3')
  const running: ServerProcess[] = []
  const stop = async () => {
    // Nothing in it outlives the test, and a paused process takes no other signal.
    await Promise.all(running.map((server) => server.end('SIGKILL')))
    await removeFolder(folder)
  }
  try {
    const storage = await startStorage(folder, running)
    return await startGateway(folder, running, storage, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

/** Arguments that every Ceph program takes here. */
type Common = readonly string[]

async function startStorage(folder: string, running: ServerProcess[]): Promise<Common> {
  const [fsid, osd, port] = [randomUUID(), randomUUID(), await freePort()]
  const common = ['-c', join(folder, 'ceph.conf')]
  writeFileSync(join(folder, 'ceph.conf'), configuration(folder, fsid, port))
  for (const name of ['mon', 'osd', 'rgw']) mkdirSync(join(folder, name))

  const map = join(folder, 'monmap')
  const monmaptool = await findProgram('monmaptool', packages)
  const monitor = await findProgram('ceph-mon', packages)
  const ceph = await findProgram('ceph', packages)
  const storage = await findProgram('ceph-osd', packages)
  await runProcess(
    monmaptool,
    ['--create', '--fsid', fsid, '--addv', 'a', `[v2:127.0.0.1:${port}]`, map],
    folder,
  )
  await runProcess(monitor, ['-i', 'a', '--mkfs', '--monmap', map, ...common], folder)
  running.push(startProcess(monitor, ['-i', 'a', '-f', ...common], folder))
  await runProcess(ceph, ['--connect-timeout', '30', ...common, 'osd', 'new', osd], folder)
  await runProcess(storage, ['-i', '0', '--mkfs', '--osd-uuid', osd, ...common], folder)
  running.push(startProcess(storage, ['-i', '0', '-f', ...common], folder))
  return common
}

async function startGateway(
  folder: string,
  running: ServerProcess[],
  common: Common,
  stop: () => Promise<void>,
): Promise<S3Server> {
  const admin = await findProgram('radosgw-admin', packages)
  const program = await findProgram('radosgw', packages)
  const accessKeyId = randomBytes(10).toString('hex')
  const secretAccessKey = randomBytes(20).toString('hex')
  const keys = [`--access-key=${accessKeyId}`, `--secret-key=${secretAccessKey}`]
  await runProcess(
    admin,
    [...common, 'user', 'create', '--uid=lethe', '--display-name=lethe', ...keys],
    folder,
  )
  const port = await freePort()
  const endpoint = `http://127.0.0.1:${port}`
  const launch = async (): Promise<ServerProcess> => {
    const frontend = `beast endpoint=127.0.0.1:${port} tcp_nodelay=1`
    const server = startProcess(
      program,
      ['-f', '-n', 'client.rgw', ...common, '--rgw-frontends', frontend],
      folder,
    )
    running.push(server)
    await untilReady(server, folder, () => ping(endpoint))
    return server
  }
  const others = running.map(({ pid }) => pid)
  let gateway = await launch()
  return {
    source: 'installed',
    endpoint,
    region: 'us-east-1',
    accessKeyId,
    secretAccessKey,
    host: '127.0.0.1',
    port,
    get pids() {
      return [...others, gateway.pid]
    },
    pause: () => void process.kill(gateway.pid, 'SIGSTOP'),
    resume: () => void process.kill(gateway.pid, 'SIGCONT'),
    kill: () => gateway.end('SIGKILL'),
    async restart() {
      await gateway.end('SIGKILL')
      gateway = await launch()
    },
    stop,
  }
}

/**
 * One copy of everything and nobody authenticated, all on the loopback address. The gateway would insist on encryption
 * (`ms_mon_client_mode`), which needs authentication. With the intervals as they come a start takes 12 s (`paxos_…`), or
 * now and then 5 s more, when a request to a pool just made is only sent again at the next tick (`objecter_…`).
 */
function configuration(folder: string, fsid: string, port: number): string {
  return `[global]
fsid = ${fsid}
mon_host = v2:127.0.0.1:${port}/0
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr1 = false
ms_mon_client_mode = crc
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
run_dir = ${folder}
crash_dir = ${folder}
admin_socket =
pid_file =
log_to_stderr = true
log_to_file = false
mon_cluster_log_to_file = false
mon_data = ${folder}/mon
mon_data_avail_warn = 1
mon_data_avail_crit = 1
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
objecter_tick_interval = 0.2
osd_data = ${folder}/osd
osd_objectstore = memstore
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
rgw_data = ${folder}/rgw
rgw_thread_pool_size = 16
rgw_init_timeout = 30
client_mount_timeout = 30
`
}

function given(endpoint: string): S3Server {
  const refuse = (): never => {
    throw new Error(
      'a server given by the environment is neither paused, killed nor restarted: ask for your own',
    )
  }
  const { hostname, port, protocol } = new URL(endpoint)
  return {
    source: 'environment',
    endpoint,
    region: process.env['LETHE_TEST_S3_REGION'] ?? 'us-east-1',
    accessKeyId: variable('LETHE_TEST_S3_ACCESS_KEY'),
    secretAccessKey: variable('LETHE_TEST_S3_SECRET_KEY'),
    host: hostname,
    port: Number(port || (protocol === 'https:' ? 443 : 80)),
    pids: [],
    pause: refuse,
    resume: refuse,
    kill: async () => refuse(),
    restart: async () => refuse(),
    stop: () => Promise.resolve(),
  }
}

function variable(name: string): string {
  const value = process.env[name]
  if (!value) throw new Error(`LETHE_TEST_S3_URL is set but ${name} is not: set it too`)
  return value
}

/** Anybody may ask for the list of their buckets. */
async function ping(endpoint: string): Promise<void> {
  const response = await fetch(endpoint, { signal: AbortSignal.timeout(5000) })
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`it answers ${response.status}`)
}
