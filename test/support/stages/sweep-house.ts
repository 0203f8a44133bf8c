/**
 * Retention on two real databases and a hand-made schema of four tables, driven without a queue: what the dispatcher and
 * a worker would do happens when a test says so, and time passes when it says so, by moving every instant back.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { openDatabase, databaseNow, migrate, type Database } from '../../../lib/base/db/index.ts'
import { attest, type Attested, type Decided } from '../../../lib/people/identity/index.ts'
import {
  freeExpiredLeases,
  getRun,
  takeForEnqueue,
  wakeDueRuns,
  type Run,
} from '../../../lib/record/ledger/index.ts'
import { openKeystore } from '../../../lib/base/keystore/index.ts'
import type { Context } from '../../../jobs/context.ts'
import { registry } from '../../../jobs/registry.ts'
import { runJob } from '../../../jobs/runner.ts'
import { openContext } from '../../../workers/context.ts'
import type { TestDatabase } from '../servers/postgres.ts'
import { makeFolder } from '../servers/process.ts'
import { runInterrupted, type Incident } from './interrupted.ts'
import { createSshKey } from './ssh-key.ts'

export const policyName = 'closed'
export const tables = ['people', 'visits', 'notes', 'samples'] as const
export type Table = (typeof tables)[number]

/** A person's key is a number of which each value can be written in many ways: 7, 7.0, 7.00. */
const schema = `
  CREATE TABLE people (id numeric PRIMARY KEY, tenant int NOT NULL, email text, keep boolean NOT NULL DEFAULT false, deleted_at timestamptz);
  CREATE TABLE visits (id bigint PRIMARY KEY, person_id numeric NOT NULL REFERENCES people);
  CREATE TABLE notes (id bigserial PRIMARY KEY, visit_id bigint NOT NULL REFERENCES visits, body text);
  CREATE TABLE samples (id bigserial PRIMARY KEY, person_ref numeric NOT NULL, value text);
  CREATE INDEX ON visits (person_id); CREATE INDEX ON notes (visit_id); CREATE INDEX ON samples (person_ref)`

function configuration(publicKey: string): unknown {
  const owned = (to: string, column: string, columns: Record<string, string[]>) => ({
    columns,
    edges: [{ kind: 'owned', to, columns: [column] }],
    action: 'delete',
  })
  return {
    version: 1,
    stores: { app: { kind: 'postgres', url: 'env:APP_URL' } },
    subjects: { person: { store: 'app', root: 'public.people', tenant: 'tenant' } },
    tables: {
      app: {
        'public.people': {
          columns: { none: ['id', 'tenant', 'keep', 'deleted_at'], contact: ['email'] },
          action: 'delete',
        },
        'public.visits': owned('public.people', 'person_id', { none: ['id', 'person_id'] }),
        'public.notes': owned('public.visits', 'visit_id', { none: ['id', 'visit_id'], health: ['body'] }),
        'public.samples': owned('public.people', 'person_ref', {
          none: ['id', 'person_ref'],
          health: ['value'],
        }),
      },
    },
    policies: {
      [policyName]: {
        subject: 'person',
        when: 'soft-deleted',
        clock: 'root.deleted_at',
        unless: [{ name: 'keep', sql: 'root.keep' }],
        records_class: 'Closed accounts',
        limits: { rows: 1_000_000, share: 1, median_multiple: 1000 },
        growth_tolerance: 1,
        // the smallest batches there are, so that a population takes several; nothing else slows the test down
        throttle: { max_rows: 100, lock_waiters: 1000, long_transaction_seconds: 86_400 },
      },
    },
    identities: { officer: { roles: ['records', 'cto'], ssh_keys: [publicKey] } },
    operations: { lease_seconds: 60, health_port: 0 },
  }
}

export interface SweepHouse {
  readonly context: Context
  readonly control: Database
  readonly app: Database
  sign(decided: Decided): Promise<Attested>
  /** Both databases as on the first day. */
  empty(): Promise<void>
  /**
   * One dispatcher round and one job, on a new process where something happens to it; leases, backoffs and short waits are
   * over when it begins. Returns when no backend of the worker is left.
   */
  work(incident?: Incident): Promise<void>
  /** Moves every instant of both databases back, so that for Lethe this many days pass. */
  pass(days: number): Promise<void>
  run(id: string): Promise<Run>
  /** Ids of people that are there, and of those begun to be removed in pieces. */
  people(): Promise<{ present: Set<number>; begun: Set<number> }>
  /** Rows by table; `mine`: by person, over all tables. */
  rows(): Promise<{ byTable: Record<Table, number>; mine: Map<number, number>; orphans: number }>
  /** Live entries of the erasure ledger, by person among those asked about. */
  liveEntries(ids: readonly number[]): Promise<Map<number, number>>
  /** Rows removed by table: as the target's batches say, as the control ledger's copies say. */
  counters(): Promise<{ target: Record<string, number>; control: Record<string, number> }>
  close(): Promise<void>
}

export async function openSweepHouse(databases: {
  control: TestDatabase
  app: TestDatabase
}): Promise<SweepHouse> {
  const folder = makeFolder('sweep')
  const key = createSshKey()
  await migrate(databases.control.url, 'control')
  await migrate(databases.app.url, 'target')
  const env = {
    LETHE_CONTROL_URL: databases.control.url,
    LETHE_CONFIG: join(folder, 'lethe.yaml'),
    LETHE_KEYSTORE: join(folder, 'keystore.json'),
    LETHE_LOG_LEVEL: 'silent',
    APP_URL: databases.app.url,
  }
  writeFileSync(env.LETHE_CONFIG, JSON.stringify(configuration(key.publicKeyLine)))
  await openKeystore(env.LETHE_KEYSTORE, { create: true })
  const opened = await openContext('model', env)
  const { context } = opened
  const app = openDatabase(databases.app.url, { name: 'app', applicationName: 'lethe test' })
  const control = openDatabase(databases.control.url, { name: 'control', applicationName: 'lethe test' })
  for (const statement of schema.split(';')) await app.execute(statement)

  const count = async (db: Database, source: string): Promise<Record<string, number>> => {
    const rows = await db.query(
      z.object({ name: z.string(), total: z.coerce.number() }),
      `SELECT split_part(c.key, '.', 3) AS name, sum(c.value::numeric) AS total
       FROM ${source} b, jsonb_each_text(b.event -> 'counters') c WHERE c.key LIKE 'removed.%' GROUP BY 1`,
    )
    return Object.fromEntries(rows.map((row) => [row.name, row.total]))
  }

  const house: SweepHouse = {
    context,
    control,
    app,
    sign: async (decided) =>
      attest(context.config.file, decided, { kind: 'ssh-key', file: key.file }, await databaseNow(control)),
    async empty() {
      await app.execute('TRUNCATE people, visits, notes, samples')
      await truncate(app, 'lethe')
      await truncate(control, 'lethe_control')
    },
    async work(incident) {
      await control.execute(
        `UPDATE lethe_control.runs SET lease_expires_at = clock_timestamp(), enqueued_at = NULL,
           next_attempt_at = CASE WHEN waiting_for = 'approval' THEN next_attempt_at ELSE least(next_attempt_at, clock_timestamp()) END
         WHERE state IN ('queued', 'running', 'waiting')`,
      )
      await freeExpiredLeases(control)
      await wakeDueRuns(control)
      const jobs = await takeForEnqueue(control)
      for (const job of jobs)
        if (incident === undefined) await runJob(context, registry, job, new AbortController().signal)
        else await runInterrupted(env, control, job, incident)
    },
    async pass(days) {
      const back = `- interval '${days} days'`
      await app.execute(`UPDATE people SET deleted_at = deleted_at ${back}`)
      await app.execute(`UPDATE lethe.population SET clock_at = clock_at ${back}`)
      await control.execute(
        `UPDATE lethe_control.proposals SET cutoff = cutoff ${back}, expires_at = expires_at ${back}`,
      )
      await control.execute(`UPDATE lethe_control.runs SET next_attempt_at = next_attempt_at ${back}`)
    },
    run: (id) => getRun(control, id),
    async people() {
      const ids = (text: string) => app.query(z.object({ id: z.coerce.number() }), text)
      const present = await ids('SELECT id FROM people')
      const begun = await ids('SELECT root_key[1] AS id FROM lethe.removing')
      return {
        present: new Set(present.map((row) => row.id)),
        begun: new Set(begun.map((row) => row.id)),
      }
    },
    async rows() {
      const found = await app.query(
        z.object({
          place: z.enum(tables),
          person: z.coerce.number(),
          rooted: z.boolean(),
          n: z.coerce.number(),
        }),
        `SELECT place, person, EXISTS (SELECT FROM people p WHERE p.id = person) AS rooted, count(*) AS n FROM (
           SELECT 'people' AS place, id AS person FROM people
           UNION ALL SELECT 'visits', person_id FROM visits
           UNION ALL SELECT 'notes', coalesce(v.person_id, -1) FROM notes LEFT JOIN visits v ON v.id = visit_id
           UNION ALL SELECT 'samples', person_ref FROM samples) AS a GROUP BY place, person`,
      )
      const byTable = { people: 0, visits: 0, notes: 0, samples: 0 }
      const mine = new Map<number, number>()
      let orphans = 0
      for (const row of found) {
        byTable[row.place] += row.n
        mine.set(row.person, (mine.get(row.person) ?? 0) + row.n)
        if (!row.rooted) orphans += row.n
      }
      return { byTable, mine, orphans }
    },
    async liveEntries(ids) {
      const hashes = new Map(
        ids.map((id) => [context.keystore.subjectHash('app', 'person', [String(id)]).toString('hex'), id]),
      )
      const rows = await control.query(
        z.object({ hash: z.string(), n: z.coerce.number() }),
        `SELECT encode(subject_hash, 'hex') AS hash, count(*) AS n FROM (
           SELECT DISTINCT ON (scope_id, subject_hash) subject_hash, entry FROM lethe_control.erasures
           ORDER BY scope_id, subject_hash, id DESC) AS newest WHERE entry = 'erase' GROUP BY subject_hash`,
      )
      // an entry of nobody we know is nobody's: -1
      return new Map(rows.map((row) => [hashes.get(row.hash) ?? -1, row.n]))
    },
    async counters() {
      return {
        target: await count(app, 'lethe.batches'),
        control: await count(control, 'lethe_control.batches'),
      }
    },
    async close() {
      await opened.close()
      await Promise.all([app.close(), control.close()])
      await Promise.all([databases.app.drop(), databases.control.drop()])
    },
  }

  return house
}

async function truncate(db: Database, name: string): Promise<void> {
  const found = await db.query(
    z.object({ place: z.string() }),
    `SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS place FROM pg_tables
     WHERE schemaname = $1 AND tablename <> 'pgmigrations'`,
    [name],
  )
  await db.transaction(async (tx) => {
    // the evidence refuses to be emptied: as a replica applies changes, its trigger is not asked
    await tx.execute(`SET LOCAL session_replication_role = replica`)
    await tx.execute(`TRUNCATE ${found.map((row) => row.place).join(', ')} CASCADE`)
  })
}
