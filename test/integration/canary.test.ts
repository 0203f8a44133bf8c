/**
 * A clinic in which every personal text carries a canary and every patient's key is recognisable goes through everything
 * that can fail. Afterwards nothing that Lethe wrote may hold any of them: the keys stay in the target, the rest nowhere.
 */
import { createHmac } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { createClinic } from '../../examples/clinic/generate.ts'
import { newId } from '../../lib/base/clock/index.ts'
import { moveKeys, setTraps, sql } from '../support/stages/canary-clinic.ts'
import { lethe, startLethe, type CliResult } from '../support/stages/cli.ts'
import { makeFolder } from '../support/servers/process.ts'
import { dumpRedis } from '../support/servers/redis-dump.ts'
import {
  startPostgres,
  startRedis,
  type PostgresServer,
  type RedisServer,
} from '../support/servers/servers.ts'
import { createSshKey } from '../support/stages/ssh-key.ts'

const canary = 'XCANARYX7'
const firstKey = 7_700_000_000_000n
/** What a name, an address or a key looks like. */
const names = /XCANARYX7|[\w.+-]+@[\w-]+\.[\w.-]+/
const keys = /(?<![0-9a-f])77000000\d{5}(?![0-9a-f])/
/** Where keys belong: in the target, and of these in no log and no message. */
const keyed = ['exemptions', 'holds', 'kept_roots', 'population', 'removing', 'warnings']

/** Everything that was written anywhere, by where. */
const written = new Map<string, string>()
function found(place: string, text: string): void {
  written.set(place, `${written.get(place) ?? ''}${text}\n`)
}

let postgres: PostgresServer
let redis: RedisServer
let monitor: Redis
let webhook: Server
let controlUrl: string
let clinicUrl: string
let env: Record<string, string>
const folder = makeFolder('canary')
let received = 0
let worker: ReturnType<typeof startLethe> | undefined
let workerLog = ''

beforeAll(async () => {
  ;[postgres, redis] = await Promise.all([startPostgres({ own: true }), startRedis({ own: true })])
  const [control, clinic] = [await postgres.createDatabase(), await postgres.createDatabase()]
  controlUrl = control.url
  clinicUrl = clinic.url
  await createClinic(clinicUrl, { patients: 600, seed: 3, canary })
  await moveKeys(clinicUrl, firstKey)
  await setTraps(clinicUrl)
  monitor = await new Redis(redis.url, { retryStrategy: () => null }).monitor()
  monitor.on('error', () => undefined)
  monitor.on('monitor', (_time, args) => found('Redis commands', args.join(' ')))
  webhook = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => (body += chunk))
    request.on('end', () => {
      received += 1
      // a service that complains by repeating what it was given
      response.writeHead(500, { 'x-error': 'refused' }).end(`cannot deliver ${body}`)
    })
  })
  await new Promise<void>((resolve) => webhook.listen(0, '127.0.0.1', resolve))
  env = configure()
  await cli('keystore', 'create')
  await cli('migrate')
  for (const policy of [
    'deleted-patients',
    'inactive-patients',
    'late-patients',
    'broken-clock',
    'broken-unless',
  ])
    await cli('arm', policy, '--reason', 'test')
  startWorker()
  await brokenPolicies()
  await refusalsAndCrash()
  await warningsAndHolds()
}, 400_000)

afterAll(async () => {
  worker?.child.kill('SIGTERM')
  await worker?.ended
  monitor.disconnect()
  webhook.close()
  await Promise.all([postgres.stop(), redis.stop()])
})

describe('a canary in every personal column', () => {
  it('is found nowhere: no name and no address in any place, no key outside the target’s own tables', () => {
    for (const place of [
      'worker',
      'command line',
      'Redis',
      'Redis commands',
      'metrics',
      'control.events',
      'control.runs',
      'control.reports',
      'control.batches',
      'target.population',
      'target.batches',
      'target.holds',
      'target.warnings',
    ])
      expect(written.get(place)?.length ?? 0, `${place} was looked at`).toBeGreaterThan(40)
    const told = [...written].flatMap(([place, text]) => [
      ...hits(place, text, names),
      ...(keyed.includes(place.replace('target.', '')) ? [] : hits(place, text, keys)),
    ])
    expect(told).toEqual([])
  })

  it('is found where it belongs, so the search does search', () => {
    expect(written.get('target.population')).toMatch(keys)
    expect(written.get('target.holds')).toMatch(keys)
  })
})

/** A policy whose SQL trips over values: at the plan, as a run, and in the middle of a batch. */
async function brokenPolicies(): Promise<void> {
  for (const policy of ['broken-clock', 'broken-unless']) {
    expect((await cli('retention', 'plan', policy)).code).not.toBe(0)
    const run = await start(policy)
    expect(await attempted(run)).toMatch(/^E_/)
    await cli('retention', 'cancel', run)
  }
  // holds for the proposal, breaks on what the application writes afterwards
  const run = await start('late-patients')
  await approve(run)
  const [victim] = await sql(
    clinicUrl,
    `UPDATE patients SET phone = 'boom' WHERE id = (SELECT root_key[1]::bigint FROM lethe.population LIMIT 1) RETURNING id`,
  )
  expect(victim).toBeDefined()
  expect(await attempted(run)).toBe('E_DATABASE')
  await cli('retention', 'cancel', run)
  await until(run, 'cancelled')
  await snapshot()
}

/** Refusals of constraints and triggers, locks, a crash of PostgreSQL, and a sweep that ends. */
async function refusalsAndCrash(): Promise<void> {
  const run = await start('deleted-patients')
  await approveAfter(run, async () => {
    await sql(
      clinicUrl,
      `INSERT INTO trap.targets SELECT root_key[1]::bigint, (ARRAY['23503', '23505', '23514', 'P0001'])[1 + row_number() OVER () % 4]
         FROM lethe.population p WHERE NOT EXISTS (SELECT FROM billing.invoices i WHERE i.patient_id = p.root_key[1]::bigint) LIMIT 4`,
    )
  })
  const client = await hold()
  await dispatch()
  await eventually(`SELECT 1 FROM pg_locks WHERE NOT granted`, clinicUrl)
  await snapshot()
  await postgres.restart('immediate')
  await client.end().catch(() => undefined)
  const again = await hold()
  await until(run, 'succeeded')
  await again.query('ROLLBACK')
  await again.end()
  const report = document.parse(JSON.parse((await cli('retention', 'report', run)).stdout))
  const { subjects } = z
    .object({
      subjects: z.object({
        erased: z.number(),
        locked: z.number(),
        blocked: z.record(z.string(), z.number()),
      }),
    })
    .parse(report.data)
  expect(subjects.erased).toBeGreaterThan(0)
  expect(subjects.locked).toBeGreaterThan(0)
  expect(subjects.blocked).toMatchObject({ trap: expect.any(Number) })
  await snapshot()
}

/** Warnings that are refused and that reach nobody, holds, and a finding in the database. */
async function warningsAndHolds(): Promise<void> {
  const warn = async () => {
    const id = newId()
    await sql(
      controlUrl,
      `INSERT INTO lethe_control.runs (id, kind, queue, scope, payload, state, max_attempts, created_by)
         VALUES ('${id}', 'retention.warn', 'retention', '${id}', '{"policy": "inactive-patients"}', 'queued', 2, 'test')`,
    )
    expect(await attempted(id)).toBe('E_NOTIFY')
    await cli('runs', 'show', id)
    await cli('retention', 'cancel', id)
  }
  await warn()
  expect(received).toBeGreaterThan(0)
  webhook.closeAllConnections()
  await new Promise((resolve) => webhook.close(resolve))
  await sql(clinicUrl, `UPDATE lethe.warnings SET attempted_at = attempted_at - interval '2 hours'`)
  await warn()
  const patient = String(firstKey + 5n)
  const holding = [
    'hold',
    'add',
    '--kind',
    'complaint',
    '--owner',
    'legal',
    '--review',
    '2099-01-01',
    '--reason',
    'test',
  ]
  await cliWith(`${patient}\n`, ...holding, '--level', 'subject', '--subject', 'patient', '--key', '-')
  await cliWith(`${canary}\n`, ...holding, '--level', 'subject', '--subject', 'nobody', '--key', '-')
  await cliWith(`${canary}\n`, ...holding, '--level', 'row', '--table', 'public.nobody', '--key', '-')
  await sql(
    clinicUrl,
    `CREATE TABLE public.newsletter (email text PRIMARY KEY DEFAULT '${canary}', patient_id bigint REFERENCES public.patients);
       INSERT INTO public.newsletter SELECT email, id FROM patients WHERE email IS NOT NULL LIMIT 1 ON CONFLICT DO NOTHING`,
  )
  expect((await cli('retention', 'plan', 'deleted-patients')).stderr).toContain('E_MAP_FINDINGS')
  for (const args of [
    'datamap check',
    'datamap explain patient',
    'doctor',
    'hold list',
    'runs list',
    'retention list',
  ])
    await cli(...args.split(' '))
  const run = await start('deleted-patients')
  expect(await attempted(run)).toBe('E_MAP_FINDINGS')
  await snapshot()
  worker?.child.kill('SIGTERM')
  await worker?.ended
  worker = undefined
  found('worker', workerLog)
}

/** What was found, with what stands around it. */
function hits(place: string, text: string, pattern: RegExp): string[] {
  return [...text.matchAll(new RegExp(pattern, 'g'))]
    .slice(0, 3)
    .map((hit) => `${place}: …${text.slice(Math.max(0, hit.index - 120), hit.index + 60)}…`)
}

const document = z.object({ data: z.unknown() })

async function cli(...args: string[]): Promise<CliResult> {
  return cliWith('', ...args)
}

async function cliWith(input: string, ...args: string[]): Promise<CliResult> {
  const result = await lethe([...args, '--json'], env, input)
  found('command line', `$ ${args.join(' ')}\n${result.stdout}\n${result.stderr}`)
  return result
}

async function start(policy: string): Promise<string> {
  const result = await cli('retention', 'run', policy)
  return z.object({ data: z.object({ run: z.object({ id: z.string() }) }) }).parse(JSON.parse(result.stdout))
    .data.run.id
}

/** What a dispatcher does every few seconds; backoffs are cut short. */
async function dispatch(): Promise<void> {
  await sql(
    controlUrl,
    `UPDATE lethe_control.runs SET next_attempt_at = now() WHERE state = 'queued' AND next_attempt_at > now()`,
  ).catch(() => undefined)
  await cli('work', 'dispatcher', '--once')
}

/** Works until the run has failed once, and gives the code. */
async function attempted(run: string): Promise<string> {
  await dispatch()
  const [row] = await eventually(
    `SELECT error_code FROM lethe_control.runs WHERE id = '${run}' AND error_code IS NOT NULL`,
    controlUrl,
  )
  return String(row?.['error_code'])
}

async function until(run: string, state: string): Promise<void> {
  for (;;) {
    await dispatch()
    const rows = await sql(
      controlUrl,
      `SELECT state, error_code FROM lethe_control.runs WHERE id = '${run}'`,
    ).catch(() => [])
    if (rows[0]?.['state'] === state) return
    expect(['failed', 'refused'], String(rows[0]?.['error_code'])).not.toContain(rows[0]?.['state'])
  }
}

async function approve(run: string): Promise<void> {
  await approveAfter(run, () => Promise.resolve())
}

async function approveAfter(run: string, prepare: () => Promise<unknown>): Promise<void> {
  await dispatch()
  const [row] = await eventually(
    `SELECT p.id, p.limits FROM lethe_control.proposals p JOIN lethe_control.runs r ON r.id = p.run_id
     WHERE p.run_id = '${run}' AND p.state = 'waiting' AND r.state = 'waiting'`,
    controlUrl,
  )
  await snapshot()
  await prepare()
  const over = z
    .array(z.object({ name: z.string(), exceeded: z.boolean() }))
    .parse(row?.['limits'])
    .flatMap(({ name, exceeded }) => (exceeded ? [name] : []))
  const args = ['retention', 'approve', String(row?.['id']), '--reason', 'test']
  if (over.length > 0) args.push('--override', over.join(','))
  expect(await cli(...args)).toMatchObject({ code: 0 })
  // once more: refused, in words
  expect(await cli(...args)).toMatchObject({ code: 12 })
}

async function eventually(text: string, url: string): Promise<Record<string, unknown>[]> {
  const limit = performance.now() + 60_000
  for (;;) {
    const rows = await sql(url, text)
    if (rows.length > 0) return rows
    if (performance.now() > limit)
      throw new Error(`in a minute nothing came of: ${text}\n${workerLog.slice(-2000)}`)
  }
}

/** Locks a row of one due patient and a child of another, as a busy application would. */
async function hold(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: clinicUrl })
  client.on('error', () => undefined)
  await client.connect()
  await client.query('BEGIN')
  await client.query(
    `SELECT FROM sessions WHERE patient_id = (SELECT p.root_key[1]::bigint FROM lethe.population p
       JOIN sessions s ON s.patient_id = p.root_key[1]::bigint
       WHERE p.root_key[1]::bigint NOT IN (SELECT id FROM trap.targets) AND p.state <> 'erased' ORDER BY p.ordinal LIMIT 1) FOR UPDATE`,
  )
  await client.query(
    `SELECT FROM patients WHERE id = (SELECT p.root_key[1]::bigint FROM lethe.population p
       WHERE p.root_key[1]::bigint NOT IN (SELECT id FROM trap.targets) AND p.state <> 'erased' ORDER BY p.ordinal DESC LIMIT 1) FOR UPDATE`,
  )
  return client
}

function startWorker(): void {
  worker = startLethe(['work', 'retention'], { ...env, LETHE_LOG_LEVEL: 'trace' })
  for (const stream of [worker.child.stdout, worker.child.stderr])
    stream?.on('data', (text: string) => (workerLog += text))
}

/** What Redis, both databases and the metrics hold now. */
async function snapshot(): Promise<void> {
  const client = new Redis(redis.url)
  client.on('error', () => undefined)
  found('Redis', await dumpRedis(client))
  client.disconnect()
  for (const [place, url, schema] of [
    ['control', controlUrl, 'lethe_control'],
    ['target', clinicUrl, 'lethe'],
  ] as const)
    for (const { table } of await sql(
      url,
      `SELECT tablename AS table FROM pg_tables WHERE schemaname = '${schema}'`,
    ))
      for (const { row } of await sql(url, `SELECT t::text AS row FROM ${schema}.${String(table)} t`))
        found(`${place}.${String(table)}`, String(row))
  const port = /"port":(\d+)/.exec(workerLog)?.[1]
  for (const path of ['metrics', 'readyz', 'livez'])
    found('metrics', await (await fetch(`http://127.0.0.1:${port}/${path}`)).text())
}

function configure(): Record<string, string> {
  const key = createSshKey()
  const file = z
    .looseObject({ accept: z.array(z.unknown()), policies: z.record(z.string(), z.looseObject({})) })
    .parse(parse(readFileSync(new URL('../../examples/clinic/lethe.yaml', import.meta.url), 'utf8')))
  const soft = {
    subject: 'patient',
    when: 'soft-deleted',
    clock: 'root.deleted_at',
    records_class: 'Closed accounts',
  }
  const path = join(folder, 'lethe.yaml')
  writeFileSync(
    path,
    JSON.stringify({
      ...file,
      accept: [
        ...file.accept,
        { finding: 'delete-trigger:clinic/public.patients.spring', reason: 'it is the test' },
      ],
      policies: {
        'deleted-patients': {
          ...file.policies['deleted-patients'],
          throttle: { max_rows: 200, lock_waiters: 100 },
        },
        'inactive-patients': file.policies['inactive-patients'],
        'late-patients': {
          ...soft,
          unless: [
            {
              name: 'late',
              sql: `CASE WHEN root.phone = 'boom' THEN root.given_name::int > 0 ELSE false END`,
            },
          ],
        },
        'broken-clock': { ...soft, clock: 'coalesce(root.email, root.given_name)::timestamptz' },
        'broken-unless': { ...soft, unless: [{ name: 'broken', sql: 'root.family_name::int > 0' }] },
      },
      identities: {
        officer: {
          roles: ['records', 'cto'],
          ssh_keys: [key.publicKeyLine.split(' ').slice(0, 2).join(' ')],
        },
      },
      notifications: {
        channel: 'webhook',
        webhook: { url: 'env:WEBHOOK_URL', secret: 'env:WEBHOOK_SECRET' },
      },
      operations: { health_port: 0, lease_seconds: 5 },
    }),
  )
  const address = z.object({ port: z.number() }).parse(webhook.address())
  return {
    LETHE_CONTROL_URL: controlUrl,
    LETHE_REDIS_URL: redis.url,
    LETHE_CONFIG: path,
    LETHE_KEYSTORE: join(folder, 'keystore.json'),
    LETHE_SSH_KEY: key.file,
    CLINIC_DATABASE_URL: clinicUrl,
    WEBHOOK_URL: `http://127.0.0.1:${address.port}/hook`,
    WEBHOOK_SECRET: `whsec_${createHmac('sha256', 'test').update('secret').digest('base64')}`,
  }
}
