/**
 * Several retention policies on one small application and two real databases, worked without a queue: a test starts a
 * sweep, decides as a verified person, and lets a worker do what is due. The configuration can change in between.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { databaseNow, migrate, openDatabase, type Database } from '../../../lib/base/db/index.ts'
import { attest, type Attested, type Decided } from '../../../lib/people/identity/index.ts'
import {
  createRun,
  freeExpiredLeases,
  getRun,
  takeForEnqueue,
  type Run,
} from '../../../lib/record/ledger/index.ts'
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
  type Decision,
} from '../../../jobs/retention/index.ts'
import { getReport, listProposals, type Proposal, type Report } from '../../../lib/record/proposals/index.ts'
import { addHold, releaseHold, type HoldAdded, holdStatement, releaseStatement } from '../../../jobs/holds.ts'
import type { NewHold } from '../../../lib/record/holds/index.ts'
import { runJob } from '../../../jobs/runner.ts'
import { openContext, type OpenContext } from '../../../workers/context.ts'
import { makeFolder } from '../servers/process.ts'
import { freshDatabase } from '../servers/shared.ts'
import { createSshKey, type SshKey } from './ssh-key.ts'

const schema = `
  CREATE TABLE people (id bigint PRIMARY KEY, tenant int NOT NULL DEFAULT 1, email text, born date, keep boolean NOT NULL DEFAULT false,
    deleted_at timestamptz, last_seen timestamptz, naive_at timestamp);
  CREATE TABLE visits (id bigint PRIMARY KEY, person_id bigint NOT NULL REFERENCES people);
  CREATE TABLE records (id bigint PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, keep_until timestamptz);
  CREATE TABLE messages (id bigint PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, sent_at timestamptz NOT NULL);
  CREATE TABLE loose (note text, person_id bigint NOT NULL REFERENCES people);
  CREATE INDEX ON visits (person_id); CREATE INDEX ON records (person_id); CREATE INDEX ON messages (person_id); CREATE INDEX ON loose (person_id)`

const tables = ['people', 'visits', 'records', 'messages', 'loose'] as const

const owned = (columns: Record<string, string[]>, more: Record<string, unknown> = {}) => ({
  columns,
  edges: [{ kind: 'owned', to: 'public.people', columns: ['person_id'] }],
  action: 'delete',
  ...more,
})

const calm = {
  limits: { rows: 1_000_000, share: 1, median_multiple: 1000 },
  throttle: { max_rows: 100, lock_waiters: 1000, long_transaction_seconds: 86_400 },
}

const policies: Record<string, Record<string, unknown>> = {
  closed: {
    subject: 'person',
    when: 'soft-deleted',
    clock: 'root.deleted_at',
    unless: [{ name: 'keep', sql: 'root.keep' }],
    records_class: 'Closed accounts',
    ...calm,
  },
  inactive: {
    subject: 'person',
    when: 'inactive',
    clock: 'root.last_seen',
    records_class: 'Sleeping accounts',
    ...calm,
  },
  minors: {
    subject: 'person',
    when: 'max-age',
    // eight years after the last contact, but never before the 25th birthday
    clock: `greatest(root.last_seen, root.born + interval '25 years' - interval '8 years')`,
    period: '8 years',
    records_class: 'Records of minors',
    ...calm,
  },
  messages: {
    table: { store: 'app', name: 'public.messages' },
    when: 'max-age',
    clock: 'root.sent_at',
    period: '1 year',
    records_class: 'Old messages',
    ...calm,
  },
}

function configuration(keys: Record<string, SshKey>, changes: Readonly<Record<string, unknown>>): unknown {
  return {
    version: 1,
    stores: { app: { kind: 'postgres', url: 'env:APP_URL' } },
    subjects: { person: { store: 'app', root: 'public.people', tenant: 'tenant', contact: 'root.email' } },
    tables: {
      app: {
        'public.people': {
          columns: {
            none: ['id', 'tenant', 'keep', 'deleted_at', 'last_seen', 'naive_at'],
            contact: ['email'],
            identity: ['born'],
          },
          action: 'delete',
        },
        'public.visits': owned({ none: ['id', 'person_id'] }),
        'public.records': owned(
          { none: ['id', 'person_id', 'keep_until'] },
          { minimum: { ground: 'records act', until: 't.keep_until' } },
        ),
        'public.messages': owned({ none: ['id', 'person_id', 'sent_at'] }),
        'public.loose': owned({ none: ['person_id'], 'free-text': ['note'] }),
      },
    },
    policies,
    identities: {
      cto: { roles: ['records', 'cto'], ssh_keys: [keys['cto']?.publicKeyLine ?? ''] },
      clerk: { roles: ['records'], ssh_keys: [keys['clerk']?.publicKeyLine ?? ''] },
      desk: { roles: ['support'], ssh_keys: [keys['desk']?.publicKeyLine ?? ''] },
    },
    operations: { lease_seconds: 60, health_port: 0 },
    ...changes,
  }
}

export type Signer = 'cto' | 'clerk' | 'desk'

export interface RetentionHouse {
  readonly context: Context
  /** What a process of this house is started with. */
  readonly env: Readonly<Record<string, string>>
  readonly control: Database
  readonly controlUrl: string
  readonly app: Database
  /** What `openContext` and the command line read. */
  readonly environment: Readonly<Record<string, string>>
  sign(decided: Decided, by?: Signer): Promise<Attested>
  /** Path of the private key, as LETHE_SSH_KEY takes it. */
  keyOf(by: Signer): string
  /** Puts keys over the configuration, and these keys over the policies of the names given. */
  configure(
    changes?: Readonly<Record<string, unknown>>,
    policy?: Readonly<Record<string, Record<string, unknown>>>,
  ): Promise<void>
  /** No rows in the application or in Lethe's own tables; the first configuration. */
  empty(): Promise<void>
  arm(policy: string): Promise<void>
  /** Starts a sweep and works until it waits or ends. */
  sweep(policy: string): Promise<Run>
  warn(policy: string): Promise<Run>
  /** Does whatever is due until nothing is. */
  work(): Promise<void>
  proposal(run: Run): Promise<Proposal>
  decide(run: Run, decision?: Partial<Decision>, by?: Signer): Promise<Run>
  hold(hold: Pick<NewHold, 'level'> & Partial<NewHold>, by?: Signer): Promise<HoldAdded>
  release(id: string): Promise<void>
  run(run: Run): Promise<Run>
  report(run: Run): Promise<Report>
  /** Ids of a table, in order. */
  ids(table: (typeof tables)[number]): Promise<number[]>
  close(): Promise<void>
}

/** `env` is added to what the context reads. */
export async function openRetentionHouse(
  env: Readonly<Record<string, string>> = {},
): Promise<RetentionHouse> {
  const folder = makeFolder('retention')
  const keys = { cto: createSshKey(), clerk: createSshKey(), desk: createSshKey() }
  const databases = { control: await freshDatabase(), app: await freshDatabase() }
  await migrate(databases.control.url, 'control')
  await migrate(databases.app.url, 'target')
  const environment = {
    LETHE_CONTROL_URL: databases.control.url,
    LETHE_CONFIG: join(folder, 'lethe.yaml'),
    LETHE_KEYSTORE: join(folder, 'keystore.json'),
    LETHE_LOG_LEVEL: 'silent',
    APP_URL: databases.app.url,
    ...env,
  }
  await openKeystore(environment.LETHE_KEYSTORE, { create: true })
  const app = openDatabase(databases.app.url, { name: 'app', applicationName: 'lethe test' })
  const control = openDatabase(databases.control.url, { name: 'control', applicationName: 'lethe test' })
  for (const statement of schema.split(';')) await app.execute(statement)
  let opened: OpenContext | null = null

  const configure: RetentionHouse['configure'] = async (changes = {}, policy = {}) => {
    await opened?.close()
    const merged = Object.fromEntries(
      Object.entries({ ...policies, ...policy }).map(([name]) => [
        name,
        { ...policies[name], ...policy[name] },
      ]),
    )
    writeFileSync(
      environment.LETHE_CONFIG,
      JSON.stringify(configuration(keys, { policies: merged, ...changes })),
    )
    opened = await openContext('retention', environment)
  }
  await configure()

  const house: RetentionHouse = {
    get context() {
      if (opened === null) throw new Error('the house is not configured')
      return opened.context
    },
    env: environment,
    control,
    controlUrl: databases.control.url,
    app,
    environment: { ...environment },
    configure,
    keyOf: (by) => keys[by].file,
    sign: async (decided, by = 'cto') =>
      attest(
        house.context.config.file,
        decided,
        { kind: 'ssh-key', file: keys[by].file },
        await databaseNow(control),
      ),
    async empty() {
      await app.execute(`TRUNCATE ${tables.join(', ')}`)
      await truncate(app, 'lethe')
      await truncate(control, 'lethe_control')
      await control.execute('INSERT INTO lethe_control.ledger_head DEFAULT VALUES')
      await configure()
    },
    async arm(policy) {
      const statement = armStatement(findPolicy(house.context, policy), 'armed', 'test')
      await setMode(house.context, policy, 'armed', await house.sign(statement))
    },
    async sweep(policy) {
      const run = await startSweep(house.context, policy, 'test')
      await house.work()
      return house.run(run)
    },
    async warn(policy) {
      const kind = registry.get('retention.warn')
      const made = await createRun(control, {
        kind: kind.kind,
        queue: kind.queue,
        scope: policy,
        payload: { policy },
        maxAttempts: 1,
        createdBy: 'test',
      })
      if ('existing' in made) throw new Error('a run is there already')
      await house.work()
      return house.run(made)
    },
    async work() {
      for (;;) {
        await control.execute(
          `UPDATE lethe_control.runs SET enqueued_at = NULL, next_attempt_at = least(next_attempt_at, clock_timestamp())
           WHERE state = 'queued'`,
        )
        await freeExpiredLeases(control)
        const due = await takeForEnqueue(control)
        if (due.length === 0) return
        for (const job of due) await runJob(house.context, registry, job, new AbortController().signal)
      }
    },
    async proposal(run) {
      const found = (await listProposals(control)).find((one) => one.runId === run.id)
      if (found === undefined) throw new Error('the run has no proposal')
      return found
    },
    async decide(run, decision = {}, by = 'cto') {
      const proposal = await house.proposal(run)
      const whole = { outcome: 'destroy' as const, overrides: [], reason: 'schedule 7.2', ...decision }
      const attested = await house.sign(decisionStatement(proposal, whole), by)
      await decide(house.context, { proposalId: proposal.id, ...whole }, attested)
      await house.work()
      return house.run(run)
    },
    async hold(given, by = 'desk') {
      const hold: NewHold = {
        store: 'app',
        kind: 'legal-claim',
        owner: 'legal',
        reason: 'claim 12',
        reviewAt: '2999-01-01',
        ...given,
      }
      return addHold(house.context, hold, await house.sign(holdStatement(house.context, hold), by))
    },
    async release(id) {
      await releaseHold(house.context, id, await house.sign(releaseStatement(id, 'settled')))
    },
    run: (run) => getRun(control, run.id),
    report: (run) => getReport(control, run.id),
    async ids(table) {
      const rows = await app.query(z.object({ id: z.coerce.number() }), `SELECT id FROM ${table} ORDER BY id`)
      return rows.map(({ id }) => id)
    },
    async close() {
      await opened?.close()
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
