/**
 * The clinic with an S3, a DynamoDB and a processor beside it, and Lethe on it: requests come in as applications make them,
 * and one worker does what is due, as the dispatcher and the queue would tell it to, without their polling.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { parse, stringify } from 'yaml'
import { createClinic } from '../../../examples/clinic/generate.ts'
import type { Context } from '../../../jobs/context.ts'
import { ensureCascade } from '../../../jobs/erasure/index.ts'
import { registry } from '../../../jobs/registry.ts'
import { runJob } from '../../../jobs/runner.ts'
import { sleep } from '../../../lib/base/clock/index.ts'
import { migrate } from '../../../lib/base/db/index.ts'
import { takeForEnqueue, wakeDueRuns } from '../../../lib/record/ledger/index.ts'
import { openKeystore } from '../../../lib/base/keystore/index.ts'
import { openContext } from '../../../workers/context.ts'
import { cloneTemplate, databaseUrl, dropDatabase, withClient } from '../dataset.ts'
import { bucket, table, type Addresses } from './vendors.ts'

export const credentials = { accessKeyId: 'bench', secretAccessKey: 'bench' }
export const webhookSecret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`

const PATIENTS = 3000
const template = 'bench_clinic'

/** Builds the clinic once, and says who is to be erased: nobody under a hold, under a legal minimum or merged. */
export async function buildClinic(adminUrl: string, subjects: number): Promise<string[]> {
  await freshDatabase(adminUrl, template)
  const url = databaseUrl(adminUrl, template)
  await createClinic(url, { patients: PATIENTS, seed: 1, heavyObservations: 500 })
  await migrate(url, 'target')
  return withClient(url, async (client) => {
    const found = await client.query<{ id: string }>(
      `SELECT id FROM patients p WHERE id > 23 AND merged_into_id IS NULL
         AND NOT EXISTS (SELECT FROM patients d WHERE d.merged_into_id = p.id)
         AND NOT EXISTS (SELECT FROM legal_holds h WHERE h.patient_id = p.id AND h.released_at IS NULL)
         AND NOT EXISTS (SELECT FROM prescriptions r WHERE r.patient_id = p.id AND r.controlled)
         -- a hold on a relative keeps the link of the two, and so this patient
         AND NOT EXISTS (
           SELECT FROM family_links f JOIN patients o ON o.id IN (f.patient_id, f.related_patient_id) AND o.id <> p.id
           WHERE p.id IN (f.patient_id, f.related_patient_id)
             AND (o.merged_into_id IS NOT NULL OR EXISTS (SELECT FROM patients d WHERE d.merged_into_id = o.id)
               OR EXISTS (SELECT FROM legal_holds h WHERE h.patient_id = o.id AND h.released_at IS NULL)))
       ORDER BY md5(id::text) LIMIT $1`,
      [subjects],
    )
    if (found.rows.length < subjects)
      throw new Error(`the clinic has ${found.rows.length} such patients only`)
    return found.rows.map(({ id }) => id)
  })
}

/** A copy of the clinic for one contender. */
export const cloneClinic = (adminUrl: string, name = 'bench_target') =>
  cloneTemplate(adminUrl, template, name)

export const templateUrl = (adminUrl: string) => databaseUrl(adminUrl, template)

export const dropClinic = (adminUrl: string) => dropDatabase(adminUrl, template)

export interface House {
  context: Context
  controlUrl: string
  targetUrl: string
  /** Does whatever is due until no run is left. */
  work(): Promise<void>
  /** Returns ms from the moment a worker may begin until every request has ended. */
  erase(ids: readonly string[]): Promise<number>
  close(): Promise<void>
}

export async function openHouse(adminUrl: string, vendors: Addresses): Promise<House> {
  await freshDatabase(adminUrl, 'bench_control')
  const controlUrl = databaseUrl(adminUrl, 'bench_control')
  const targetUrl = await cloneClinic(adminUrl)
  await migrate(controlUrl, 'control')
  const home = await mkdtemp(join(tmpdir(), 'lethe-bench-'))
  const env = {
    LETHE_CONTROL_URL: controlUrl,
    LETHE_CONFIG: join(home, 'lethe.yaml'),
    LETHE_KEYSTORE: join(home, 'keystore.json'),
    LETHE_LOG_LEVEL: 'error',
    CLINIC_DATABASE_URL: targetUrl,
    BENCH_ACCESS_KEY: credentials.accessKeyId,
    BENCH_SECRET_KEY: credentials.secretAccessKey,
    BENCH_PROCESSOR_URL: vendors.processor,
    BENCH_PROCESSOR_SECRET: webhookSecret,
  }
  await writeFile(env.LETHE_CONFIG, await configuration(vendors))
  await openKeystore(env.LETHE_KEYSTORE, { create: true })
  const opened = await openContext('bench', env)
  const { context } = opened
  const client = new pg.Client({ connectionString: targetUrl })
  await client.connect()
  return {
    context,
    controlUrl,
    targetUrl,
    async work() {
      await ensureCascade(context, 'patient')
      await work(context)
    },
    async erase(ids) {
      await client.query(
        `SELECT lethe.request_erasure('patient', ARRAY[id], kind => 'article-17', identity => 'signed-in-session')
         FROM unnest($1::text[]) AS id`,
        [ids],
      )
      const started = performance.now()
      await ensureCascade(context, 'patient')
      await work(context)
      const took = performance.now() - started
      await requireEnded(controlUrl)
      return took
    },
    async close() {
      await client.end()
      await opened.close()
      await rm(home, { recursive: true, force: true })
      await dropDatabase(adminUrl, 'bench_target')
      await dropDatabase(adminUrl, 'bench_control')
    },
  }
}

/** Until no run is left: what a run waits for is waited for. */
async function work(context: Context): Promise<void> {
  const { control } = context
  for (;;) {
    await wakeDueRuns(control)
    const due = await takeForEnqueue(control)
    for (const job of due) await runJob(context, registry, job, new AbortController().signal)
    if (due.length > 0) continue
    if (!(await anyWaits(context))) return
    await sleep(5)
  }
}

async function anyWaits({ control }: Context): Promise<boolean> {
  return (await control.execute(`SELECT FROM lethe_control.runs WHERE state IN ('queued', 'waiting')`)) > 0
}

async function requireEnded(controlUrl: string): Promise<void> {
  const open = await withClient(controlUrl, (client) =>
    client.query<{ state: string; waiting_for: string; n: string }>(
      `SELECT state, waiting_for, count(*) AS n FROM lethe_control.erasure_requests
       WHERE state NOT IN ('completed', 'completed-with-retained') GROUP BY 1, 2`,
    ),
  )
  if (open.rows.length > 0) throw new Error(`not all ended: ${JSON.stringify(open.rows)}`)
}

export async function freshDatabase(adminUrl: string, name: string): Promise<void> {
  await dropDatabase(adminUrl, name)
  await withClient(adminUrl, (admin) => admin.query(`CREATE DATABASE ${name}`))
}

/** The clinic's own lethe.yaml with three stores more. */
async function configuration(vendors: Addresses): Promise<string> {
  const file = new URL('../../../examples/clinic/lethe.yaml', import.meta.url)
  const config = parse(await readFile(file, 'utf8')) as {
    stores: Record<string, unknown>
    subjects: { patient: Record<string, unknown> }
    [key: string]: unknown
  }
  const keys = { access_key_id: 'env:BENCH_ACCESS_KEY', secret_access_key: 'env:BENCH_SECRET_KEY' }
  Object.assign(config.stores, {
    files: {
      kind: 's3',
      region: 'us-east-1',
      endpoint: vendors.s3,
      ...keys,
      places: [{ name: 'documents', bucket, prefix: 'patients/{id}/' }],
    },
    readings: {
      kind: 'dynamodb',
      region: 'us-east-1',
      endpoint: vendors.dynamodb,
      ...keys,
      places: [{ name: 'readings', table, key: { pk: 'PATIENT#{id}' } }],
    },
    post: {
      kind: 'webhook',
      url: 'env:BENCH_PROCESSOR_URL',
      secret: 'env:BENCH_PROCESSOR_SECRET',
      sends: ['id'],
      places: ['letters'],
      allow_private: true,
    },
  })
  config.subjects.patient['other_stores'] = ['files', 'readings', 'post']
  config['erasure'] = { ceiling: 1_000_000 }
  config['policies'] = {}
  config['operations'] = { health_port: 0 }
  return stringify(config)
}
