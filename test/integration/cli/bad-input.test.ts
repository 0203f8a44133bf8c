/** Whatever is wrong with what Lethe was given: it says so with a code, an exit code and a mend, before it changes anything. */
import { chmodSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { z } from 'zod'
import { takeForEnqueue } from '../../../lib/record/ledger/index.ts'
import { registry } from '../../../jobs/registry.ts'
import { runJob } from '../../../jobs/runner.ts'
import { openContext } from '../../../workers/context.ts'
import { lethe, type CliResult } from '../../support/stages/cli.ts'
import { testRoles } from '../../support/servers/roles.ts'
import { startPgBouncer, type PgBouncer } from '../../support/servers/servers.ts'
import { createSmallApp, type SmallApp } from '../../support/stages/small-app.ts'
import { createSshKey } from '../../support/stages/ssh-key.ts'

const policy = {
  subject: 'person',
  when: 'soft-deleted',
  clock: 'root.deleted_at',
  records_class: 'Closed accounts',
}
const plan = ['retention', 'plan', 'closed']
const officer = createSshKey()
const clerk = createSshKey()
const stranger = createSshKey()
const identities = {
  officer: { roles: ['records', 'cto'], ssh_keys: [officer.publicKeyLine] },
  clerk: { roles: ['support'], ssh_keys: [clerk.publicKeyLine] },
}

let app: SmallApp
let good: string
const logins = testRoles('keeps_notes')
beforeAll(async () => {
  app = await createSmallApp(inject('postgresUrl'), inject('redisUrl'))
  app.configure({ identities })
  const file = z
    .record(z.string(), z.any())
    .parse(JSON.parse(readFileSync(app.env['LETHE_CONFIG'] ?? '', 'utf8')))
  file['tables'].app['public.keyless'] = {
    columns: { none: ['id', 'at'] },
    action: 'ignore',
    reason: 'of the test',
  }
  file['policies'].closed.limits = { share: 1 }
  good = JSON.stringify(file)
  writeFileSync(app.env['LETHE_CONFIG'] ?? '', good)
  await app.sql('CREATE TABLE public.keyless (id bigint, at timestamptz)')
  for (const args of [['keystore', 'create'], ['migrate']])
    expect(await lethe(args, app.env)).toMatchObject({ code: 0 })
})
afterAll(() => app.drop())

const error = z.object({
  code: z.string(),
  message: z.string(),
  left: z.string(),
  next: z.string(),
  exit: z.number(),
})

/** Runs the command and gives its error; both databases are as they were. */
async function refused(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const before = await fingerprint()
  const result = await lethe([...args, '--json'], { ...app.env, ...env })
  expect(await fingerprint(), 'both databases, before and after').toEqual(before)
  expect(result.stdout).toBe('')
  const failure = errorOf(result)
  expect(failure.exit).toBe(result.code)
  expect(failure.next.length, 'a mend').toBeGreaterThan(10)
  expect(failure.left).toMatch(/^Nothing was changed|rolled back/)
  return failure
}

function errorOf(result: CliResult): z.infer<typeof error> {
  const lines = result.stderr.split('\n').filter((line) => line.includes('"error"'))
  return z.object({ error }).parse(JSON.parse(lines.at(-1) ?? `{"none": ${JSON.stringify(result.stderr)}}`))
    .error
}

/** Columns of every table, and its rows as one hash a table. */
async function fingerprint(): Promise<unknown> {
  return Promise.all(
    [(text: string) => app.sql(text), (text: string) => app.control(text)].map(async (query) => {
      const tables =
        await query(`SELECT format('%I.%I', table_schema, table_name) AS name, string_agg(column_name || ' ' || data_type, ', ' ORDER BY column_name) AS columns
          FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
          WHERE table_schema IN ('public', 'lethe', 'lethe_control') AND table_type = 'BASE TABLE'
          GROUP BY table_schema, table_name ORDER BY 1`)
      const hash = (name: unknown) =>
        `SELECT '${String(name)}' AS name, md5(string_agg(t::text, ' ' ORDER BY t::text)) AS rows FROM ${String(name)} t`
      const rows = await query(tables.map(({ name }) => hash(name)).join(' UNION ALL '))
      return { tables, rows }
    }),
  )
}

/** lethe.yaml with these changes for the time of `use`; nothing checks it on the way. */
async function given<T>(
  change: (file: Record<string, Record<string, unknown>>) => unknown,
  use: () => Promise<T>,
): Promise<T> {
  const path = app.env['LETHE_CONFIG'] ?? ''
  const file = z.record(z.string(), z.any()).parse(JSON.parse(good))
  change(file)
  writeFileSync(path, JSON.stringify(file))
  try {
    return await use()
  } finally {
    writeFileSync(path, good)
  }
}

const withPolicy =
  (changes: Readonly<Record<string, unknown>>) => (file: Record<string, Record<string, unknown>>) => {
    file['policies'] = { closed: { ...policy, ...changes } }
  }

describe('lethe.yaml', () => {
  it.each([
    ['an unknown key at the top', (file) => (file['polices'] = {}), 'polices'],
    ['an unknown key in a policy', withPolicy({ grace: '30 days' }), 'grace'],
    [
      'two subjects on one root',
      (file) => Object.assign(file['subjects'] ?? {}, { user: { store: 'app', root: 'public.people' } }),
      'already the root of subject person',
    ],
    [
      'a policy on a table that is not in the map',
      withPolicy({ subject: undefined, table: { store: 'app', name: 'public.nobody' } }),
      'public.nobody',
    ],
    ['a policy on a subject that is not in the map', withPolicy({ subject: 'nobody' }), 'nobody'],
    ['a grace of 0', withPolicy({ period: '0 days' }), 'period of 0'],
    [
      'a local time that does not exist one night a year',
      withPolicy({ schedule: { cron: '30 2 * * *', time_zone: 'Europe/Berlin' } }),
      'E_SCHEDULE_GAP',
    ],
    [
      'a time zone that does not exist',
      withPolicy({ schedule: { cron: '30 3 * * *', time_zone: 'Europe/Atlantis' } }),
      'Europe/Atlantis',
    ],
  ] satisfies [string, (file: Record<string, Record<string, unknown>>) => unknown, string][])(
    '%s is E_CONFIG, exit 2, and named',
    async (_what, change, word) => {
      const failure = await given(change, () => refused(plan))
      expect(failure).toMatchObject({ code: 'E_CONFIG', exit: 2 })
      expect(failure.message).toContain(word)
    },
  )

  it('A policy on a table that the map knows and the database does not is E_MAP_FINDINGS, exit 12.', async () => {
    const failure = await given(onTable('public.vanished'), () => refused(plan))
    expect(failure).toMatchObject({ code: 'E_MAP_FINDINGS', exit: 12 })
    expect(failure.message).toContain('public.vanished')
  })

  it('A policy on a table without a primary key is E_MAP_FINDINGS, exit 12.', async () => {
    const failure = await given(onTable('public.keyless'), () => refused(plan))
    expect(failure).toMatchObject({ code: 'E_MAP_FINDINGS', exit: 12 })
    expect(failure.message).toMatch(/public\.keyless.*primary key/s)
  })
})

function onTable(name: string) {
  return (file: Record<string, Record<string, unknown>>) => {
    Object.assign(file['tables']?.['app'] ?? {}, {
      [name]: { columns: { none: ['id', 'at'] }, action: 'delete' },
    })
    file['policies'] = {
      closed: {
        table: { store: 'app', name },
        when: 'max-age',
        period: '30 days',
        clock: 'root.at',
        records_class: 'Old rows',
      },
    }
  }
}

describe('the databases', () => {
  let pooler: PgBouncer
  beforeAll(async () => {
    pooler = await startPgBouncer(app.appUrl, 'transaction')
  })
  afterAll(() => pooler.stop())

  it.each([
    ['the control database', 'LETHE_CONTROL_URL'],
    ['a store', 'APP_URL'],
  ])('PgBouncer in transaction mode before %s is E_POOLER_TRANSACTION_MODE, exit 2', async (_which, name) => {
    const through = new URL(app.env[name] ?? '')
    const { host } = new URL(pooler.url)
    through.host = host
    for (const args of name === 'APP_URL' ? [plan] : [plan, ['migrate']])
      expect(await refused(args, { [name]: through.toString() })).toMatchObject({
        code: 'E_POOLER_TRANSACTION_MODE',
        exit: 2,
      })
  })

  it.each([
    [
      'the control database',
      async (text: string, values?: unknown[]) => app.control(text, values),
      'lethe_control',
    ],
    ['a store', async (text: string, values?: unknown[]) => app.sql(text, values), 'lethe'],
  ])(
    'An older schema in %s is E_SCHEMA_OLD, exit 57, and a newer one E_SCHEMA_NEW',
    async (_which, query, schema) => {
      const [last] = await query(
        `DELETE FROM ${schema}.pgmigrations WHERE id = (SELECT max(id) FROM ${schema}.pgmigrations)
         RETURNING id, name, run_on::text AS run_on`, // a Date has no microseconds, by which migrations are in order
      )
      const put = `INSERT INTO ${schema}.pgmigrations (id, name, run_on) VALUES ($1, $2, $3)`
      const old = await refused(plan)
      await query(put, [last?.['id'], last?.['name'], last?.['run_on']])
      expect(old).toMatchObject({ code: 'E_SCHEMA_OLD', exit: 57 })
      expect(old.next).toContain('lethe migrate')
      await query(put, [9999, '999_later', last?.['run_on']])
      for (const args of [plan, ['migrate']])
        expect(await refused(args)).toMatchObject({ code: 'E_SCHEMA_NEW', exit: 57 })
      await query(`DELETE FROM ${schema}.pgmigrations WHERE id = 9999`)
    },
  )

  it('A role that may not delete from a table of the plan is E_DATABASE_PRIVILEGE: the run is refused before it proposes.', async () => {
    const role = logins.keeps_notes
    const url = new URL(app.appUrl)
    url.username = role
    url.password = 'secret'
    await app.sql(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA lethe TO ${role};
      GRANT ALL ON ALL TABLES IN SCHEMA lethe TO ${role}; GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA public TO ${role};
      GRANT DELETE ON public.people TO ${role}`)
    expect(await lethe(['retention', 'run', 'closed'], app.env)).toMatchObject({ code: 0 })
    const rows = await app.sql('SELECT count(*) AS n FROM people, notes')
    await workOnce({ APP_URL: url.toString() })
    const [run] = await app.control('SELECT state, error_code, error_message FROM lethe_control.runs')
    expect(run).toMatchObject({ state: 'refused', error_code: 'E_DATABASE_PRIVILEGE' })
    expect(String(run?.['error_message'])).toContain('notes')
    expect(await app.control('SELECT id FROM lethe_control.proposals')).toEqual([])
    expect(await app.sql('SELECT count(*) AS n FROM people, notes')).toEqual(rows)
    expect(await app.sql('SELECT 1 FROM lethe.population')).toEqual([])
  })

  it('A database that is not there is E_DATABASE_UNAVAILABLE, exit 20.', async () => {
    expect(await refused(plan, { LETHE_CONTROL_URL: 'postgres://nobody@127.0.0.1:1/none' })).toMatchObject({
      code: 'E_DATABASE_UNAVAILABLE',
      exit: 20,
    })
  })
})

describe('the keystore', () => {
  const file = () => app.env['LETHE_KEYSTORE'] ?? ''

  it('Missing is E_KEYSTORE_MISSING, exit 2, and none is made in its place.', async () => {
    renameSync(file(), `${file()}.away`)
    try {
      expect(await refused(plan)).toMatchObject({ code: 'E_KEYSTORE_MISSING', exit: 2 })
      expect(() => readFileSync(file())).toThrow('ENOENT')
    } finally {
      renameSync(`${file()}.away`, file())
    }
  })

  it('Readable for others is E_KEYSTORE_MODE, exit 2.', async () => {
    chmodSync(file(), 0o640)
    try {
      expect(await refused(plan)).toMatchObject({
        code: 'E_KEYSTORE_MODE',
        exit: 2,
        next: expect.stringContaining('chmod 600'),
      })
    } finally {
      chmodSync(file(), 0o600)
    }
  })
})

describe('a decision', () => {
  let approve: string[]
  const by = (file: string) => ({ LETHE_SSH_KEY: file })

  beforeAll(async () => {
    expect(
      await lethe(['arm', 'closed', '--reason', 'test'], { ...app.env, ...by(officer.file) }),
    ).toMatchObject({ code: 0 })
    expect(await lethe(['retention', 'run', 'closed'], app.env)).toMatchObject({ code: 0 })
    await workOnce({})
    const [proposal] = await app.control(`SELECT id FROM lethe_control.proposals WHERE state = 'waiting'`)
    approve = ['retention', 'approve', String(proposal?.['id']), '--reason', 'test']
  })

  it.each([
    ['without an identity', 'E_IDENTITY_MISSING', {}],
    ['by a stranger', 'E_IDENTITY_UNKNOWN', by(stranger.file)],
    ['by someone whose role may not', 'E_ROLE_MISSING', by(clerk.file)],
  ])('%s is %s, exit 13, for approving and for arming', async (_who, code, env) => {
    expect(await refused(approve, env)).toMatchObject({ code, exit: 13 })
    expect(await refused(['arm', 'closed', '--reason', 'test'], env)).toMatchObject({ code, exit: 13 })
  })

  it('without a reason is E_USAGE, exit 2, for approving and for arming', async () => {
    const nothing = approve.map((word, place) => (approve[place - 1] === '--reason' ? ' ' : word))
    expect(await refused(nothing, by(officer.file))).toMatchObject({ code: 'E_USAGE', exit: 2 })
    expect(await refused(['arm', 'closed', '--reason', ''], by(officer.file))).toMatchObject({
      code: 'E_USAGE',
      exit: 2,
    })
  })

  it('with a day that does not exist, or a hold without an owner or behind its time, is E_USAGE, exit 2', async () => {
    const extend = [...approve, '--outcome', 'extend', '--until', '2027-02-30']
    const holding =
      'hold add --level subject --subject person --key 1 --kind legal-claim --reason claim'.split(' ')
    const hold = (review: string, owner: string) => [...holding, '--review', review, '--owner', owner]
    for (const args of [
      extend,
      hold('2999-02-30', 'legal'),
      hold('2001-01-01', 'legal'),
      hold('2999-01-01', ' '),
    ])
      expect(await refused(args, by(officer.file))).toMatchObject({ code: 'E_USAGE', exit: 2 })
  })

  it('of which no row of the database knows is E_NOT_FOUND, exit 10', async () => {
    const nowhere = ['retention', 'approve', '00000000-0000-4000-8000-000000000000', '--reason', 'test']
    expect(await refused(nowhere, by(officer.file))).toMatchObject({ code: 'E_NOT_FOUND', exit: 10 })
    expect(await refused(['retention', 'approve', 'x', '--reason', 'test'], by(officer.file))).toMatchObject({
      exit: 10,
    })
  })

  it('to start a second run of a policy is E_ALREADY_RUNNING, exit 11', async () => {
    expect(await refused(['retention', 'run', 'closed'])).toMatchObject({
      code: 'E_ALREADY_RUNNING',
      exit: 11,
    })
  })

  it('is made once: the second one is E_PROPOSAL_DECIDED, exit 12', async () => {
    expect(await lethe(approve, { ...app.env, ...by(officer.file) })).toMatchObject({ code: 0 })
    expect(await refused(approve, by(officer.file))).toMatchObject({ code: 'E_PROPOSAL_DECIDED', exit: 12 })
    const reject = [...approve, '--outcome', 'reject']
    expect(await refused(reject, by(officer.file))).toMatchObject({ code: 'E_PROPOSAL_DECIDED', exit: 12 })
  })
})

/** What a worker does with the one run that is queued. */
async function workOnce(env: Readonly<Record<string, string>>): Promise<void> {
  const opened = await openContext('test', { ...app.env, LETHE_LOG_LEVEL: 'silent', ...env })
  try {
    for (const job of await takeForEnqueue(opened.context.control))
      await runJob(opened.context, registry, job, new AbortController().signal)
  } finally {
    await opened.close()
  }
}

describe('lethe grants', () => {
  it.each([
    ['--application', ''],
    ['--application', 'app role'],
    ['--application', 'app"; DROP TABLE x; --'],
    // quoted or not, PostgreSQL reads it as everybody
    ['--application', 'public'],
    ['--worker', 'pg_monitor'],
    ['--operator', 'x'.repeat(64)],
  ])('%s "%s" is E_USAGE, and nothing is printed', async (option, role) => {
    const failure = await refused(['grants', '--sql', '--on', 'control', option, role])
    expect(failure).toMatchObject({ code: 'E_USAGE', exit: 2 })
    expect(failure.message).toContain(option)
  })
})
