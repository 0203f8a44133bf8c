/** Lethe as its users run it, for the benches: the command line and a worker process on a database of the bench's data. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { stringify } from 'yaml'
import { children, withClient } from './dataset.ts'

const root = new URL('../..', import.meta.url).pathname
/** Compiled, as in the image: running TypeScript directly costs memory that users don't pay. */
const cli = `${root}dist/workers/cli.js`

export interface Bench {
  controlUrl: string
  run(...args: string[]): Promise<unknown>
  startWorker(): ChildProcess
  close(): Promise<void>
}

export interface BenchSettings {
  controlUrl: string
  targetUrl: string
  redisUrl: string
  throttle?: Record<string, number>
}

/** A home folder with configuration, identity and keystore; migrated, armed, ready to run. */
export async function openBench(settings: BenchSettings): Promise<Bench> {
  const home = await mkdtemp(join(tmpdir(), 'lethe-bench-'))
  await promisify(execFile)('ssh-keygen', [
    '-q',
    '-t',
    'ed25519',
    '-N',
    '',
    '-C',
    'bench',
    '-f',
    join(home, 'id'),
  ])
  const key = (await readFile(join(home, 'id.pub'), 'utf8')).trim()
  await writeFile(join(home, 'lethe.yaml'), stringify(configuration(key, settings.throttle ?? {})))
  const env = {
    ...process.env,
    LETHE_CONTROL_URL: settings.controlUrl,
    LETHE_REDIS_URL: settings.redisUrl,
    LETHE_CONFIG: join(home, 'lethe.yaml'),
    LETHE_KEYSTORE: join(home, 'keystore.json'),
    LETHE_SSH_KEY: join(home, 'id'),
    LETHE_LOG_LEVEL: 'warn',
    // as in the image
    NODE_OPTIONS: '--max-semi-space-size=4 --max-old-space-size=128',
    BENCH_DATABASE_URL: settings.targetUrl,
  }
  const run = async (...args: string[]): Promise<unknown> => {
    const { stdout } = await promisify(execFile)(process.execPath, [cli, ...args, '--json'], {
      env,
      maxBuffer: 1 << 26,
    })
    return stdout.trim() === '' ? null : JSON.parse(stdout)
  }
  await run('keystore', 'create')
  await run('migrate')
  await run('arm', 'due', '--reason', 'bench')
  return {
    controlUrl: settings.controlUrl,
    run,
    startWorker: () =>
      spawn(process.execPath, [cli, 'work', 'all'], { env, stdio: ['ignore', 'ignore', 'inherit'] }),
    close: () => rm(home, { recursive: true, force: true }),
  }
}

export async function build(): Promise<void> {
  await promisify(execFile)('npm', ['run', 'build'], { cwd: root })
}

export interface Sweep {
  /** Executing: from the decision's check to the end of the last batch, ledger entries and evidence included. */
  executeSeconds: number
  /** Reading every subject back afterwards. */
  verifySeconds: number
  rssMb: number
  batches: { rows: number; lockMs: number }[]
}

/** Proposes, approves and lets the worker execute until the run has succeeded. */
export async function sweep(bench: Bench): Promise<Sweep> {
  await bench.run('retention', 'run', 'due')
  const worker = bench.startWorker()
  try {
    const proposal = await waitFor(bench, `SELECT id FROM lethe_control.proposals WHERE state = 'waiting'`)
    await bench.run('retention', 'approve', proposal, '--reason', 'bench', '--override', 'rows,share')
    await waitFor(
      bench,
      `SELECT id FROM lethe_control.runs WHERE kind = 'retention.sweep' AND state = 'succeeded'`,
    )
    const status = await readFile(`/proc/${worker.pid}/status`, 'utf8')
    const rssMb = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1024
    return await withClient(bench.controlUrl, async (client) => {
      const found = await client.query<{ event: { rows: Record<string, number>; lockMs: number } }>(
        'SELECT event FROM lethe_control.batches',
      )
      const spent = await client.query<{ execute: number; verify: number }>(
        `WITH ends AS (
           SELECT max(finished_at) FILTER (WHERE name = 'begin-execution') AS began,
             max(finished_at) FILTER (WHERE name LIKE 'execute-%') AS executed,
             max(finished_at) FILTER (WHERE name = 'verify') AS verified FROM lethe_control.steps)
         SELECT extract(epoch FROM executed - began)::float8 AS execute, extract(epoch FROM verified - executed)::float8 AS verify FROM ends`,
      )
      return {
        executeSeconds: spent.rows[0]?.execute ?? Number.NaN,
        verifySeconds: spent.rows[0]?.verify ?? Number.NaN,
        rssMb,
        batches: found.rows.map(({ event }) => ({
          rows: Object.values(event.rows).reduce((sum, n) => sum + n, 0),
          lockMs: event.lockMs,
        })),
      }
    })
  } finally {
    await stop(worker)
  }
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await gone
}

async function waitFor(bench: Bench, sql: string): Promise<string> {
  return withClient(bench.controlUrl, async (client) => {
    for (;;) {
      const found = await client.query<{ id: string }>(sql)
      if (found.rows[0]) return found.rows[0].id
      const ended = await client.query<{ state: string; error_code: string; error_message: string }>(
        `SELECT state, error_code, error_message FROM lethe_control.runs WHERE kind = 'retention.sweep' AND state IN ('failed', 'refused', 'cancelled')`,
      )
      if (ended.rows[0]) throw new Error(`the run ended ${JSON.stringify(ended.rows[0])}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  })
}

function configuration(sshKey: string, throttle: Record<string, number>): unknown {
  const columns = { none: ['id', 'patient_id', 'at'], health: ['body'] }
  const child = {
    columns,
    edges: [{ kind: 'owned', to: 'public.patients', columns: ['patient_id'] }],
    action: 'delete',
  }
  return {
    version: 1,
    stores: { bench: { kind: 'postgres', url: 'env:BENCH_DATABASE_URL' } },
    subjects: { patient: { store: 'bench', root: 'public.patients' } },
    tables: {
      bench: {
        'public.patients': {
          columns: {
            none: ['id', 'organisation_id', 'deleted_at'],
            identity: ['full_name'],
            contact: ['email'],
          },
          action: 'delete',
        },
        ...Object.fromEntries(children.map(({ table }) => [`public.${table}`, child])),
      },
    },
    policies: {
      due: {
        subject: 'patient',
        when: 'soft-deleted',
        clock: 'root.deleted_at',
        records_class: 'bench patients',
        throttle: { long_transaction_seconds: 3600, ...throttle },
      },
    },
    identities: { bench: { roles: ['records', 'cto'], ssh_keys: [sshKey] } },
    operations: { health_port: 0 },
  }
}
