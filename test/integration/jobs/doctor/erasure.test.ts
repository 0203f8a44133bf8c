/** What the doctor says about erasure requests: their stores, rights, dates, and what waits for somebody. */
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { diagnose, type Finding } from '../../../../jobs/doctor/index.ts'
import { policyMode } from '../../../../jobs/retention/index.ts'
import { loadConfig } from '../../../../lib/config/index.ts'
import { migrate } from '../../../../lib/base/db/index.ts'
import { openKeystore } from '../../../../lib/base/keystore/index.ts'
import { testRoles } from '../../../support/servers/roles.ts'
import { createSmallApp, type SmallApp } from '../../../support/stages/small-app.ts'
import { createSshKey } from '../../../support/stages/ssh-key.ts'

let app: SmallApp
const { role } = testRoles('role')
const identities = { 'dr-osei': { roles: ['records'], ssh_keys: [createSshKey().publicKeyLine] } }
const own = { kind: 'postgres', url: 'env:APP_URL' }
const sessions = (places: unknown) => ({ kind: 'redis', url: 'env:SESSIONS_URL', places })
const person = { store: 'app', root: 'public.people', contact: 'root.email' }

beforeAll(async () => {
  app = await createSmallApp(inject('postgresUrl'), inject('redisUrl'))
  await migrate(app.controlUrl, 'control')
  await migrate(app.appUrl, 'target')
  await openKeystore(app.env['LETHE_KEYSTORE'] ?? '', { create: true })
  await app.sql(`CREATE ROLE ${role} LOGIN`)
})
afterAll(async () => {
  await app.drop()
})
beforeEach(() => {
  app.configure({ identities })
})

async function examine(env: Readonly<Record<string, string>> = {}) {
  const config = loadConfig(app.env['LETHE_CONFIG'] ?? '', { ...app.env, ...env })
  const { findings } = await diagnose({ config, policyMode, nodeVersion: '24.22.3' })
  return (check: string, on?: string): Finding | undefined =>
    findings
      .filter((finding) => finding.check === check && (on === undefined || finding.on === on))
      .sort((a, b) => rank(b) - rank(a))[0]
}

function rank({ severity }: Finding): number {
  return ['ok', 'note', 'warning', 'error'].indexOf(severity)
}

describe('a store that a subject names', () => {
  const places = [{ name: 'sessions', key: 'session:{id}' }]
  const configure = (given: unknown = places) =>
    app.configure({
      identities,
      stores: { app: own, sessions: sessions(given) },
      subjects: { person: { ...person, other_stores: ['sessions'] } },
    })

  it('that answers its probe is well', async () => {
    configure()
    const find = await examine({ SESSIONS_URL: inject('redisUrl') })
    expect(find('store', 'sessions')).toMatchObject({ severity: 'ok' })
    expect(find('store-identifiers')).toBeUndefined()
  })

  it('that is away is a warning: requests wait for it and go on by themselves', async () => {
    configure()
    const find = await examine({ SESSIONS_URL: 'redis://127.0.0.1:1' })
    expect(find('store', 'sessions')).toMatchObject({
      severity: 'warning',
      message: expect.stringContaining('E_STORE_UNAVAILABLE'),
    })
  })

  it('without its credentials fails', async () => {
    configure()
    expect((await examine())('store', 'sessions')).toMatchObject({
      severity: 'error',
      message: expect.stringContaining('SESSIONS_URL'),
    })
  })

  it('that no identifier leads to fails, and one that some places of are lost is a warning', async () => {
    configure([{ name: 'sessions', key: 'session:{login}' }])
    const env = { SESSIONS_URL: inject('redisUrl') }
    expect((await examine(env))('store-identifiers', 'sessions')).toMatchObject({
      severity: 'error',
      message: expect.stringContaining('login'),
      mend: expect.stringContaining('subjects.person.identifiers'),
    })
    configure([...places, { name: 'logins', key: 'login:{login}' }])
    expect((await examine(env))('store-identifiers', 'sessions')).toMatchObject({ severity: 'warning' })
  })

  it('that is PostgreSQL and is linked by an identifier that is not there fails', async () => {
    app.configure({
      identities,
      stores: { app: own, other: own },
      subjects: {
        person: { ...person, other_stores: [{ store: 'other', subject: 'copy', key: ['{login}'] }] },
        copy: { store: 'other', root: 'public.people' },
      },
      tables: { ...app.configure().file.tables, other: app.configure().file.tables['app'] },
    })
    expect((await examine())('store-identifiers', 'other')).toMatchObject({ severity: 'error' })
  })
})

describe('a subject', () => {
  const access = {
    set: [{ table: 'public.people', where: 't.id = root.id', columns: { deleted_at: null } }],
    delete: [{ table: 'public.notes', where: 't.person_id = root.id' }],
  }

  it('whose rights the role lacks, the columns of the cut too, is told by name', async () => {
    app.configure({ identities, subjects: { person: { ...person, access } } })
    const url = new URL(app.appUrl)
    url.username = role
    await app.sql(`GRANT USAGE ON SCHEMA lethe TO ${role}`)
    await app.sql(`GRANT SELECT ON ALL TABLES IN SCHEMA lethe TO ${role}`)
    await app.sql(`GRANT SELECT ON people, notes TO ${role}`)
    const missing = (await examine({ APP_URL: url.toString() }))('subject-rights', 'person')
    expect(missing).toMatchObject({ severity: 'error', mend: expect.stringContaining('lethe grants') })
    expect(missing?.message).toMatch(/DELETE, UPDATE on "public"."notes"/)
    expect((await examine())('subject-rights', 'person')).toMatchObject({ severity: 'ok' })
  })

  it('whose SQL names a table that the role may not read, or that is not there, is told', async () => {
    await app.sql('CREATE TABLE uploads (person_id bigint, file_key text)')
    try {
      const { tables } = app.configure().file
      app.configure({
        identities,
        subjects: {
          person: {
            ...person,
            identifiers: {
              upload: { sql: 'ARRAY(SELECT u.file_key FROM uploads u WHERE u.person_id = root.id)' },
              gone: { sql: 'root.no_such_column' },
            },
          },
        },
        tables: {
          app: {
            ...tables['app'],
            'public.uploads': {
              columns: { none: ['person_id', 'file_key'] },
              action: 'ignore',
              reason: 'addresses of files only',
            },
          },
        },
      })
      const url = new URL(app.appUrl)
      url.username = role
      expect((await examine({ APP_URL: url.toString() }))('subject-sql', 'person')).toMatchObject({
        severity: 'error',
        message: expect.stringContaining('identifiers.upload'),
        mend: expect.stringContaining('Grant SELECT'),
      })
      expect((await examine())('subject-sql', 'person')?.message).toContain('identifiers.gone')
    } finally {
      await app.sql('DROP TABLE uploads')
    }
  })
})

describe('requests', () => {
  const insert = (due: string, more: { state?: string; waiting?: string } = {}) =>
    app.control(
      `INSERT INTO lethe_control.erasure_requests (id, subject_kind, store, subject_hash, key_id, kind, ground, requester, actor, origin,
         state, due_at, next_at, waiting_for)
       VALUES (gen_random_uuid(), 'person', 'app', sha256(random()::text::bytea), 'k', 'article-17', 'g', 'subject', 'desk', 'command-line',
         $1, now() + $2::interval, CASE WHEN $3::text IS NULL THEN now() ELSE 'infinity' END, $3) RETURNING id`,
      [more.state ?? 'received', due, more.waiting ?? null],
    )
  const forget = () =>
    app.control('DELETE FROM lethe_control.erasure_legs; DELETE FROM lethe_control.erasure_requests')

  it('that are overdue fail, and those due soon are a warning', async () => {
    expect((await examine())('erasure-due')).toMatchObject({ severity: 'ok' })
    await insert('9 days')
    expect((await examine())('erasure-due')).toMatchObject({
      severity: 'warning',
      message: expect.stringContaining('1 erasure request is due within ten days'),
    })
    await insert('-1 hour')
    expect((await examine())('erasure-due')).toMatchObject({ severity: 'error' })
    await app.control(`UPDATE lethe_control.erasure_requests SET finished_at = now()`)
    expect((await examine())('erasure-due')).toMatchObject({ severity: 'ok' })
    await forget()
  })

  it('and legs that only a person moves are a warning that says what they wait for', async () => {
    await insert('20 days', { waiting: 'identity' })
    expect((await examine())('erasure-waiting')?.message).toContain('1 identity')
    await forget()
    const [row] = await insert('20 days', { state: 'erasing' })
    expect((await examine())('erasure-waiting')).toBeUndefined()
    await app.control(
      `INSERT INTO lethe_control.erasure_legs (request_id, store, kind, state, next_at) VALUES ($1, 'mail', 'sendgrid', 'failed', 'infinity')`,
      [row?.['id']],
    )
    expect((await examine())('erasure-waiting')).toMatchObject({
      severity: 'warning',
      message: expect.stringContaining('mail (1)'),
    })
    await forget()
  })

  it('whose ledger has no copy are a warning without a bucket, and fail where its copy is late', async () => {
    expect((await examine())('erasure-ledger')).toBeUndefined()
    await app.control('UPDATE lethe_control.ledger_head SET number = 1')
    await app.control(
      `INSERT INTO lethe_control.ledger_objects (number, body, at) VALUES (1, '{}', now() - interval '1 hour')`,
    )
    try {
      expect((await examine())('erasure-ledger')).toMatchObject({ severity: 'warning' })
      const bucket = { name: 'evidence', region: 'eu-west-2', lock: '6 years' }
      app.configure({ identities, evidence: { origin: 'example.org/lethe' }, locked_bucket: bucket })
      expect((await examine())('erasure-ledger')).toMatchObject({
        severity: 'error',
        message: expect.stringContaining('1 entry'),
      })
      await app.control('UPDATE lethe_control.ledger_objects SET written_at = now()')
      expect((await examine())('erasure-ledger')).toMatchObject({ severity: 'ok' })
    } finally {
      await app.control('TRUNCATE lethe_control.ledger_objects')
      await app.control('UPDATE lethe_control.ledger_head SET number = 0')
    }
  })

  it('that a failing run stops fail, are counted, and the command that lists the findings is named', async () => {
    expect((await examine())('erasure-stopped')).toBeUndefined()
    await insert('20 days')
    await insert('20 days', { state: 'grace' })
    await insert('20 days', { waiting: 'identity' })
    await app.control(
      `INSERT INTO lethe_control.runs (id, kind, queue, scope, state, max_attempts, created_by, outcome, error_code, error_message, finished_at)
       VALUES (gen_random_uuid(), 'erasure.cascade', 'erasure', 'person', 'refused', 8, 'lethe', 'refused', 'E_MAP_FINDINGS', 'm', now())`,
    )
    const found = (await examine())('erasure-stopped', 'person')
    expect(found).toMatchObject({
      severity: 'error',
      mend: expect.stringContaining('lethe datamap check app'),
    })
    expect(found?.message).toContain('2 requests wait for that.')
    await app.control('DELETE FROM lethe_control.runs')
    await forget()
  })

  it('of an application that nobody took in fail, and those that were refused are a warning', async () => {
    expect((await examine())('erasure-intake')).toBeUndefined()
    await app.sql(
      `INSERT INTO lethe.intake (verb, data, taken_at) VALUES ('cancel', '{"refused":"E_NOT_FOUND"}', now())`,
    )
    expect((await examine())('erasure-intake', 'app')).toMatchObject({ severity: 'warning' })
    await app.sql(
      `TRUNCATE lethe.intake; INSERT INTO lethe.intake (verb, at) SELECT 'cancel', now() - interval '2 minutes' FROM generate_series(1, 3)`,
    )
    expect((await examine())('erasure-intake', 'app')).toMatchObject({
      severity: 'warning',
      message: '3 calls of applications are not taken in yet, the oldest for 2 minutes.',
    })
    await app.sql(`INSERT INTO lethe.intake (verb, at) VALUES ('cancel', now() - interval '1 hour')`)
    expect((await examine())('erasure-intake', 'app')).toMatchObject({ severity: 'error' })
    await app.sql('TRUNCATE lethe.intake')
  })
})
