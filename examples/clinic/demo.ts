/**
 * The demo: the nightly purge end to end on a clinic of 20,000 patients, as cron would run it, with a worker killed in
 * the middle. Real PostgreSQL, real Redis, the real command line; everything it starts is ended and removed.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify, styleText } from 'node:util'
import pg from 'pg'
import { parse, stringify } from 'yaml'
import { startPostgres, startRedis } from '../../test/support/servers.ts'
import { createClinic } from './generate.ts'

const cli = new URL('../../workers/cli.ts', import.meta.url).pathname
const policy = 'deleted-patients'
const patients = 20_000

const home = await mkdtemp(join(tmpdir(), 'lethe-demo-'))
const children: ChildProcess[] = []

title('Setting up: PostgreSQL, Redis, a clinic')
const postgres = await startPostgres()
const redis = await startRedis()
const started = performance.now()
try {
  await main()
  say(`The demo took ${Math.round((performance.now() - started) / 1000)} s after the servers were up.`)
} finally {
  for (const child of children)
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
  await redis.stop()
  await postgres.stop()
  await rm(home, { recursive: true, force: true })
}

async function main(): Promise<void> {
  const control = await postgres.createDatabase('lethe_control_demo')
  const clinic = await postgres.createDatabase('clinic_demo')
  const counts = await createClinic(clinic.url, { patients, seed: 1, heavyObservations: 3000 })
  say(`${sum(counts.rows).toLocaleString('en')} rows in ${Object.keys(counts.rows).length} tables`)
  await promisify(execFile)('ssh-keygen', [
    '-q',
    '-t',
    'ed25519',
    '-N',
    '',
    '-C',
    'dr.osei',
    '-f',
    join(home, 'id'),
  ])
  await writeConfiguration()
  const env = {
    ...process.env,
    LETHE_CONTROL_URL: control.url,
    LETHE_REDIS_URL: redis.url,
    LETHE_CONFIG: join(home, 'lethe.yaml'),
    LETHE_KEYSTORE: join(home, 'keystore.json'),
    LETHE_SSH_KEY: join(home, 'id'),
    LETHE_LOG_LEVEL: 'warn',
    CLINIC_DATABASE_URL: clinic.url,
  }

  title('Migrate; is the map true?')
  await lethe(env, 'keystore', 'create')
  await lethe(env, 'migrate')
  await lethe(env, 'datamap', 'check')

  title('What would go (changes nothing)')
  await lethe(env, 'retention', 'plan', policy)

  title('Arm the policy: it only observed until now')
  await lethe(env, 'arm', policy, '--reason', 'demo: reports of the last nights reviewed')

  title('Night falls: the dispatcher finds an occurrence due and the worker proposes')
  await lethe(env, 'work', 'dispatcher', '--once')
  await query(
    control.url,
    `UPDATE lethe_control.schedules SET evaluated_until = now() - interval '1 day' WHERE id = 'sweep:${policy}'`,
  )
  const dispatcher = work(env, 'dispatcher')
  const first = work(env, 'retention')
  const proposal = await waitFor(
    control.url,
    `SELECT id FROM lethe_control.proposals WHERE policy = '${policy}' AND state = 'waiting'`,
  )
  const run = await waitFor(
    control.url,
    `SELECT run_id AS id FROM lethe_control.proposals WHERE id = '${proposal}'`,
  )
  const schedule = await waitFor(
    control.url,
    `SELECT schedule_id || ' at ' || at AS id FROM lethe_control.occurrences WHERE run_id = '${run}'`,
  )
  say(`occurrence ${schedule} became run ${run}; its proposal waits for a person`)

  title('A person approves, with a signature')
  await lethe(
    env,
    'retention',
    'approve',
    proposal,
    '--reason',
    'appraised: accounts closed by their patients over 30 days ago',
  )

  title('The worker is killed in the middle; another finishes')
  await waitFor(
    control.url,
    `SELECT run_id AS id FROM lethe_control.batches WHERE run_id = '${run}' AND number >= 2`,
  )
  first.kill('SIGKILL')
  say(`kill -9 ${first.pid}; a second worker takes the run over when the lease ends`)
  work(env, 'retention')
  await waitFor(control.url, `SELECT id FROM lethe_control.runs WHERE id = '${run}' AND state = 'succeeded'`)
  dispatcher.kill('SIGTERM')

  title('The report')
  await lethe(env, 'retention', 'report', run)
  title("The run's whole story")
  await lethe(env, 'runs', 'show', run)
  title('The approval, proved to somebody who trusts neither us nor the database')
  work(env, 'evidence')
  await waitFor(control.url, 'SELECT size::text AS id FROM lethe_control.evidence_checkpoints')
  const event = await waitFor(
    control.url,
    `SELECT id::text AS id FROM lethe_control.events WHERE run_id = '${run}' AND type = 'proposal.approved'`,
  )
  const [proof, keys] = [join(home, 'approved.tlog-proof'), join(home, 'published.keys')]
  await lethe(env, 'evidence', 'proof', event, '--out', proof)
  await writeFile(keys, await output(env, 'evidence', 'keys'))
  say('Offline, with the published keys and nothing else:')
  const nothing = { PATH: process.env['PATH'] }
  await lethe(nothing, 'evidence', 'verify', proof, '--keys', keys, '--origin', 'clinic.example/lethe')

  title('Next night: nobody is due')
  await lethe(env, 'retention', 'plan', policy)
}

/** The clinic's own lethe.yaml with the demo's identity, a short lease and a pace slow enough to be killed in the middle. */
async function writeConfiguration(): Promise<void> {
  const config = parse(await readFile(new URL('lethe.yaml', import.meta.url), 'utf8')) as {
    identities?: unknown
    operations?: Record<string, unknown>
    policies: Record<string, Record<string, unknown>>
  }
  const key = (await readFile(join(home, 'id.pub'), 'utf8')).trim()
  config.identities = { 'dr-osei': { roles: ['records', 'cto'], ssh_keys: [key] } }
  config.operations = { ...config.operations, lease_seconds: 5, health_port: 0 }
  config.policies[policy] = {
    ...config.policies[policy],
    throttle: { target_ms: 20, max_rows: 300, rows_per_second: 400 },
  }
  await writeFile(join(home, 'lethe.yaml'), stringify(config))
}

async function lethe(env: NodeJS.ProcessEnv, ...args: string[]): Promise<void> {
  say(styleText('bold', `$ lethe ${args.map((arg) => (arg.includes(' ') ? `'${arg}'` : arg)).join(' ')}`))
  const child = spawn(process.execPath, [cli, ...args], { env, stdio: ['ignore', 'inherit', 'inherit'] })
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve))
  if (code !== 0) throw new Error(`lethe ${args.join(' ')} ended with exit code ${code}`)
}

async function output(env: NodeJS.ProcessEnv, ...args: string[]): Promise<string> {
  return (await promisify(execFile)(process.execPath, [cli, ...args], { env })).stdout
}

function work(env: NodeJS.ProcessEnv, role: string): ChildProcess {
  const child = spawn(process.execPath, [cli, 'work', role], { env, stdio: ['ignore', 'inherit', 'inherit'] })
  children.push(child)
  say(`lethe work ${role} runs as process ${child.pid}`)
  return child
}

async function waitFor(url: string, sql: string): Promise<string> {
  const deadline = performance.now() + 90_000
  for (;;) {
    const [row] = await query<{ id: string }>(url, sql)
    if (row) return row.id
    if (performance.now() > deadline) throw new Error(`nothing after 90 s: ${sql}`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

async function query<T extends pg.QueryResultRow>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<T>(sql)).rows
  } finally {
    await client.end()
  }
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}

function title(text: string): void {
  process.stdout.write(`\n${styleText(['bold', 'cyan'], `— ${text}`)}\n`)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
