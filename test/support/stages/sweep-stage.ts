/**
 * One sweep on a stage that can be set again: a small application with every kind of subject that a sweep meets, a
 * control database beside it, both put back to a saved state within milliseconds, and everything that a finished sweep
 * leaves behind as one value to compare.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { attest, type Attested, type Decided } from '../../../lib/people/identity/index.ts'
import { databaseNow, migrate, openDatabase, type Database } from '../../../lib/base/db/index.ts'
import { freeExpiredLeases, takeForEnqueue } from '../../../lib/record/ledger/index.ts'
import { openKeystore } from '../../../lib/base/keystore/index.ts'
import type { Context } from '../../../jobs/context.ts'
import { registry } from '../../../jobs/registry.ts'
import {
  armStatement,
  decide,
  decisionStatement,
  findPolicy,
  setMode,
  startSweep,
} from '../../../jobs/retention/index.ts'
import { listProposals } from '../../../lib/record/proposals/index.ts'
import { runJob } from '../../../jobs/runner.ts'
import { openContext } from '../../../workers/context.ts'
import type { TestDatabase } from '../servers/postgres.ts'
import { makeFolder } from '../servers/process.ts'
import { saveTables } from './saved-tables.ts'
import { createSshKey } from './ssh-key.ts'

export const policyName = 'closed'

export interface Person {
  id: number
  /** How many notes there are about the person: they go too. */
  notes: number
  /** An invoice that must be kept: the person stays, without a name. */
  kept?: boolean
  /** False: not deleted. */
  due?: boolean
  /** Deleted five days ago, within the grace period. */
  young?: boolean
}

export interface StageOptions {
  people: readonly Person[]
  /** Put over the policy's throttle. */
  throttle?: Readonly<Record<string, unknown>>
  operations?: Readonly<Record<string, unknown>>
  redisUrl?: string
}

/**
 * What a sweep leaves behind, without instants, without how many batches it took, and without which tables it found in
 * need of a vacuum: that depends on what `reset` did to them.
 */
export type Outcome = Awaited<ReturnType<typeof readOutcome>>

export interface SweepStage {
  readonly env: Readonly<Record<string, string>>
  readonly control: Database
  readonly app: Database
  /** A worker with direct connections. */
  readonly context: Context
  sign(decided: Decided): Promise<Attested>
  /** Arms the policy and starts a sweep by hand; returns the run. */
  begin(): Promise<string>
  approve(): Promise<void>
  /** Both databases as they are now are what `reset` of the same name brings back. */
  save(name?: string): Promise<void>
  reset(name?: string): Promise<void>
  /** The dead worker's lease ends, and the run is due again at once. */
  expire(): Promise<void>
  /** What is due, as a dispatcher would put it into the queue. */
  due(): Promise<{ runId: string; generation: number }[]>
  /** The worker with direct connections takes what is due until nothing is. */
  finish(): Promise<void>
  /** Of the one sweep that the stage had. */
  outcome(): Promise<Outcome>
  /** Resolves when no backend of the two databases serves a client of this name any more. */
  untilGone(applicationName: string): Promise<void>
  close(): Promise<void>
}

const schema = `
  CREATE TABLE people (id bigint PRIMARY KEY, email text, deleted_at timestamptz);
  CREATE TABLE notes (id bigint PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, body text);
  CREATE TABLE invoices (id bigint PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, name text, keep_until timestamptz NOT NULL);
  CREATE INDEX ON notes (person_id);
  CREATE INDEX ON invoices (person_id)`

export async function openSweepStage(
  databases: { control: TestDatabase; app: TestDatabase },
  options: StageOptions,
): Promise<SweepStage> {
  const folder = makeFolder('stage')
  const key = createSshKey()
  await migrate(databases.control.url, 'control')
  await migrate(databases.app.url, 'target')
  const env = {
    LETHE_CONTROL_URL: databases.control.url,
    LETHE_REDIS_URL: options.redisUrl ?? 'redis://127.0.0.1:1',
    LETHE_CONFIG: join(folder, 'lethe.yaml'),
    LETHE_KEYSTORE: join(folder, 'keystore.json'),
    LETHE_LOG_LEVEL: 'silent',
    APP_URL: databases.app.url,
  }
  writeFileSync(env.LETHE_CONFIG, JSON.stringify(configuration(key.publicKeyLine, options)))
  await openKeystore(env.LETHE_KEYSTORE, { create: true })
  const app = openDatabase(databases.app.url, { name: 'app', applicationName: 'lethe test' })
  const control = openDatabase(databases.control.url, { name: 'control', applicationName: 'lethe test' })
  for (const statement of schema.split(';')) await app.execute(statement)
  await populate(app, options.people)
  const opened = await openContext('stage', env)
  const { context } = opened

  const stage: SweepStage = {
    env,
    control,
    app,
    context,
    sign: async (decided) =>
      attest(context.config.file, decided, { kind: 'ssh-key', file: key.file }, await databaseNow(control)),
    async begin() {
      const policy = findPolicy(context, policyName)
      await setMode(context, policyName, 'armed', await stage.sign(armStatement(policy, 'armed', 'test')))
      return (await startSweep(context, policyName, 'test')).id
    },
    async approve() {
      const [proposal] = await listProposals(control)
      if (proposal === undefined) throw new Error('there is no proposal to approve')
      const decision = { outcome: 'destroy', overrides: [], reason: 'retention schedule' } as const
      await decide(
        context,
        { proposalId: proposal.id, ...decision },
        await stage.sign(decisionStatement(proposal, decision)),
      )
    },
    async save(name = 'start') {
      for (const db of [control, app]) await saveTables(db, `saved_${name}`)
    },
    async reset(name = 'start') {
      await Promise.all([control, app].map((db) => db.execute(`SELECT saved_${name}.reset()`)))
    },
    async expire() {
      await control.execute(
        `UPDATE lethe_control.runs SET lease_expires_at = clock_timestamp(), enqueued_at = NULL,
           next_attempt_at = least(next_attempt_at, clock_timestamp()) WHERE state IN ('queued', 'running')`,
      )
      await freeExpiredLeases(control)
    },
    due: () => takeForEnqueue(control),
    async finish() {
      for (;;) {
        const due = await takeForEnqueue(control)
        if (due.length === 0) return
        for (const job of due) await runJob(context, registry, job, new AbortController().signal)
      }
    },
    outcome: () => readOutcome(control, app),
    async untilGone(applicationName) {
      for (;;) {
        const rows = await control.query(
          z.object({ pid: z.number() }),
          'SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND datname = ANY ($2)',
          [applicationName, [databases.control.name, databases.app.name]],
        )
        if (rows.length === 0) return
      }
    },
    async close() {
      await opened.close()
      await Promise.all([app.close(), control.close()])
      await Promise.all([databases.app.drop(), databases.control.drop()])
    },
  }
  return stage
}

function configuration(publicKey: string, options: StageOptions): unknown {
  return {
    version: 1,
    stores: { app: { kind: 'postgres', url: 'env:APP_URL' } },
    subjects: { person: { store: 'app', root: 'public.people' } },
    tables: {
      app: {
        'public.people': {
          columns: { none: ['id', 'deleted_at'], contact: ['email'] },
          action: 'delete',
          pseudonymise: { email: { set: null } },
        },
        'public.notes': {
          columns: { none: ['id', 'person_id'], health: ['body'] },
          edges: [{ kind: 'owned', to: 'public.people', columns: ['person_id'] }],
          action: 'delete',
        },
        'public.invoices': {
          columns: { none: ['id', 'person_id', 'keep_until'], identity: ['name'] },
          edges: [{ kind: 'owned', to: 'public.people', columns: ['person_id'] }],
          action: 'retain',
          retain: { ground: 'tax law', until: 't.keep_until' },
          pseudonymise: { name: { set: 'erased' } },
        },
      },
    },
    policies: {
      [policyName]: {
        subject: 'person',
        when: 'soft-deleted',
        clock: 'root.deleted_at',
        records_class: 'Closed accounts',
        limits: { rows: 1_000_000, share: 1 },
        // the smallest batches there are; the test's own load must not slow it down
        throttle: {
          max_rows: 100,
          lock_waiters: 1000,
          long_transaction_seconds: 86_400,
          ...options.throttle,
        },
      },
    },
    identities: { officer: { roles: ['records', 'cto', 'support'], ssh_keys: [publicKey] } },
    operations: { health_port: 0, lease_seconds: 60, ...options.operations },
  }
}

async function populate(app: Database, people: readonly Person[]): Promise<void> {
  const given = JSON.stringify(people)
  const each = `jsonb_to_recordset($1::jsonb) AS p(id bigint, notes int, kept boolean, due boolean, young boolean)`
  for (const text of [
    `INSERT INTO people SELECT id, 'p' || id || '@example.org', CASE WHEN coalesce(due, true) THEN now() - CASE WHEN young THEN interval '5 days' ELSE interval '1 year' END END FROM ${each}`,
    `INSERT INTO notes SELECT id * 1000000 + n, id, 'note' FROM ${each}, generate_series(1, notes) AS n`,
    `INSERT INTO invoices SELECT id, id, 'p' || id, date_trunc('year', now()) + interval '5 years' FROM ${each} WHERE kept`,
  ])
    await app.execute(text, [given])
}

async function readOutcome(control: Database, app: Database) {
  const content = await app.query(
    z.object({ place: z.string(), content: z.string() }),
    ['people', 'notes', 'invoices']
      .map(
        (name) =>
          `SELECT '${name}' AS place, coalesce(string_agg(t::text, ' ' ORDER BY t.id), '') AS content FROM ${name} t`,
      )
      .join(' UNION ALL '),
  )
  const [own] = await app.query(
    z.object({ population: z.coerce.number(), removing: z.coerce.number(), kept: z.array(z.string()) }),
    `SELECT (SELECT count(*) FROM lethe.population) AS population, (SELECT count(*) FROM lethe.removing) AS removing,
       ARRAY(SELECT concat_ws(' ', subject_kind, root_key::text, until::text, run_id::text) FROM lethe.kept_roots ORDER BY 1) AS kept`,
  )
  const [record] = await control.query(
    z.object({
      state: z.string(),
      outcome: z.string().nullable(),
      counters: z.record(z.string(), z.number()),
      cursor: z.looseObject({}),
      proposal: z.string(),
      verified: z.boolean(),
      live: z.array(z.string()),
      report: z.looseObject({ batches: z.number() }).nullable(),
    }),
    `SELECT r.state, r.outcome, r.counters, (r.cursor #- '{tidied,vacuumed}') - 'throttled' AS cursor, p.state AS proposal,
       coalesce((SELECT bool_and(verified_at IS NOT NULL) FROM lethe_control.erasure_scopes WHERE run_id = r.id), false) AS verified,
       ARRAY(SELECT encode(subject_hash, 'hex') FROM (
         SELECT DISTINCT ON (scope_id, subject_hash) subject_hash, entry FROM lethe_control.erasures
         ORDER BY scope_id, subject_hash, id DESC) AS newest WHERE entry = 'erase' ORDER BY 1) AS live,
       (SELECT (report #- '{tidied,vacuumed}') - 'startedAt' - 'finishedAt' - 'throttledSeconds' FROM lethe_control.reports WHERE run_id = r.id) AS report
     FROM lethe_control.runs r JOIN lethe_control.proposals p ON p.run_id = r.id`,
  )
  if (own === undefined || record === undefined) throw new Error('the run has no record')
  const { report, ...rest } = record
  // how many batches it took depends on where the work was interrupted
  const { batches: _batches, ...told } = report ?? { batches: 0 }
  const totals = async (db: Database, table: string) =>
    Object.fromEntries(
      (
        await db.query(
          z.object({ name: z.string(), total: z.coerce.number() }),
          `SELECT c.key AS name, sum(c.value::numeric) AS total FROM ${table} b, jsonb_each_text(b.event -> 'counters') c
           GROUP BY c.key HAVING sum(c.value::numeric) <> 0 ORDER BY c.key`,
        )
      ).map((row) => [row.name, row.total]),
    )
  return {
    content: Object.fromEntries(content.map((row) => [row.place, row.content])),
    ...own,
    ...rest,
    report: told,
    batches: {
      app: await totals(app, 'lethe.batches'),
      control: await totals(control, 'lethe_control.batches'),
    },
  }
}
