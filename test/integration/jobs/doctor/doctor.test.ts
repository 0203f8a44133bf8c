import { chmodSync } from 'node:fs'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { diagnose, exitCodeOf, type Finding } from '../../../../jobs/doctor/index.ts'
import { policyMode } from '../../../../jobs/retention/index.ts'
import { grantsSql } from '../../../../lib/record/grants/index.ts'
import { loadCatalogue } from '../../../../lib/data/datamap/index.ts'
import { planDeletion } from '../../../../lib/data/deletion/index.ts'
import { loadConfig } from '../../../../lib/config/index.ts'
import { migrate, openDatabase } from '../../../../lib/base/db/index.ts'
import { openKeystore } from '../../../../lib/base/keystore/index.ts'
import { startPgBouncer, startRedis, type RedisServer } from '../../../support/servers/servers.ts'
import { testRoles } from '../../../support/servers/roles.ts'
import { createSmallApp, type SmallApp } from '../../../support/stages/small-app.ts'
import { createSshKey } from '../../../support/stages/ssh-key.ts'

let app: SmallApp
let redis: RedisServer
const { role, ...others } = testRoles('role', 'operator', 'approver', 'auditor')
const identities = { 'dr-osei': { roles: ['records'], ssh_keys: [createSshKey().publicKeyLine] } }

beforeAll(async () => {
  redis = await startRedis({ appendonly: true, own: true })
  app = await createSmallApp(inject('postgresUrl'), redis.url)
  await migrate(app.controlUrl, 'control')
  await migrate(app.appUrl, 'target')
  await openKeystore(app.env['LETHE_KEYSTORE'] ?? '', { create: true })
  await app.sql(`CREATE ROLE ${role} LOGIN`)
})
afterAll(async () => {
  await app.drop()
  await redis.stop()
})
beforeEach(() => {
  app.configure({ identities })
})

async function examine(
  env: Readonly<Record<string, string>> = {},
  nodeVersion = '24.22.3',
): Promise<{ findings: Finding[]; exit: number; find: (check: string, on?: string) => Finding | undefined }> {
  const config = loadConfig(app.env['LETHE_CONFIG'] ?? '', { ...app.env, ...env })
  const diagnosis = await diagnose({ config, policyMode, nodeVersion })
  return {
    ...diagnosis,
    exit: exitCodeOf(diagnosis),
    // the worst of that check: a check may say ok about one thing and more about another
    find: (check, on) =>
      diagnosis.findings
        .filter((finding) => finding.check === check && (on === undefined || finding.on === on))
        .sort((a, b) => rank(b) - rank(a))[0],
  }
}

function rank({ severity }: Finding): number {
  return ['ok', 'note', 'warning', 'error'].indexOf(severity)
}

function as(url: string, name: string): string {
  const own = new URL(url)
  own.username = name
  return own.toString()
}

describe('a sound installation', () => {
  it('has no failure, ends with 0, and every finding above ok carries a mend', async () => {
    const { findings, exit } = await examine()
    expect(findings.filter((finding) => finding.severity === 'error')).toEqual([])
    expect(exit).toBe(0)
    const warnings = findings.filter((finding) => finding.severity === 'warning')
    expect(warnings.length).toBeGreaterThan(0)
    expect(warnings.filter(({ mend }) => (mend ?? '') === '')).toEqual([])
  })

  it('is told what is armed, what only observes and who runs', async () => {
    const { find } = await examine()
    expect(find('policy-mode', 'closed')).toMatchObject({
      severity: 'note',
      mend: expect.stringContaining('lethe arm closed'),
    })
    expect(find('processes')).toMatchObject({
      severity: 'warning',
      message: expect.stringContaining('dispatcher'),
    })
    await app.control(
      `INSERT INTO lethe_control.workers (id, roles, version) VALUES ('w', '{dispatcher,retention,erasure,evidence}', '1')`,
    )
    expect((await examine()).find('processes')).toMatchObject({ severity: 'ok' })
    expect((await examine()).find('processes-config')).toMatchObject({
      severity: 'warning',
      message: expect.stringContaining('configuration than this one: w'),
    })
    const { version } = loadConfig(app.env['LETHE_CONFIG'] ?? '', app.env)
    await app.control(`UPDATE lethe_control.workers SET config_version = '${version}'`)
    expect((await examine()).find('processes-config')).toBe(undefined)
    await app.control(`DELETE FROM lethe_control.workers`)
  })
})

describe('the machine and the keystore', () => {
  it.each(['20.20.2', '22.23.4', '24.9.0', '24.22.2', '25.9.0', '26.12.1'])(
    'Node %s fails: it lacks security fixes',
    async (version) => {
      const { find, exit } = await examine({}, version)
      expect(find('node')).toMatchObject({ severity: 'error', mend: expect.stringContaining('24.22.3') })
      expect(exit).toBe(12)
    },
  )

  it.each(['22.23.5', '22.24.0', '24.22.3', '26.13.1'])('Node %s is right', async (version) => {
    expect((await examine({}, version)).find('node')).toMatchObject({ severity: 'ok' })
  })

  it('a machine without ssh-keygen fails: nothing could be approved', async () => {
    const path = process.env['PATH']
    process.env['PATH'] = '/nowhere'
    try {
      expect((await examine()).find('ssh-keygen')).toMatchObject({ severity: 'error' })
    } finally {
      process.env['PATH'] = path
    }
  })

  it('a keystore that others can read fails, and so does one that is missing', async () => {
    const file = app.env['LETHE_KEYSTORE'] ?? ''
    chmodSync(file, 0o644)
    try {
      expect((await examine()).find('keystore')?.message).toContain('E_KEYSTORE_MODE')
    } finally {
      chmodSync(file, 0o600)
    }
    expect((await examine({ LETHE_KEYSTORE: '/nowhere/k' })).find('keystore')?.message).toContain(
      'E_KEYSTORE_MISSING',
    )
  })
})

describe('Redis', () => {
  it('made for a cache (evicting, without its file) is told', async () => {
    const cache = await startRedis({ own: true })
    const client = new Redis(cache.url)
    await client.config('SET', 'maxmemory-policy', 'allkeys-lru')
    client.disconnect()
    try {
      const { find, exit } = await examine({ LETHE_REDIS_URL: cache.url })
      expect(find('redis-eviction')).toMatchObject({
        severity: 'error',
        mend: expect.stringContaining('noeviction'),
      })
      expect(find('redis-persistence')).toMatchObject({ severity: 'warning' })
      expect(exit).toBe(12)
    } finally {
      await cache.stop()
    }
  })

  it('that does not answer ends with 20, and the rest is looked at all the same', async () => {
    const { find, exit } = await examine({ LETHE_REDIS_URL: 'redis://127.0.0.1:1' })
    expect(find('redis')).toMatchObject({ severity: 'error', unavailable: true })
    expect(find('schema', 'app')).toMatchObject({ severity: 'ok' })
    expect(exit).toBe(20)
  })
})

describe('the databases', () => {
  it('that do not answer end with 20', async () => {
    const away = 'postgres://postgres@127.0.0.1:1/none'
    const { find, exit } = await examine({ LETHE_CONTROL_URL: away, APP_URL: away })
    expect(find('reachable', 'control')).toMatchObject({ unavailable: true })
    expect(find('reachable', 'app')).toMatchObject({ unavailable: true })
    expect(exit).toBe(20)
  })

  it('without Lethe’s schema are to be migrated', async () => {
    const { find, exit } = await examine({ LETHE_CONTROL_URL: inject('postgresUrl') })
    expect(find('schema', 'control')).toMatchObject({
      severity: 'error',
      mend: expect.stringContaining('lethe migrate'),
    })
    expect(exit).toBe(12)
  })

  it('behind a pool in transaction mode are refused', async () => {
    const pool = await startPgBouncer(app.appUrl, 'transaction')
    try {
      const { find } = await examine({ APP_URL: pool.url })
      expect(find('reachable', 'app')?.message).toContain('E_POOLER_TRANSACTION_MODE')
    } finally {
      await pool.stop()
    }
  })

  it('in one server are a warning: a restore takes the ledger back too', async () => {
    expect((await examine()).find('same-server')).toMatchObject({ severity: 'warning', on: 'app' })
  })

  it('that the map declares as two stores are a warning, and other databases are none', async () => {
    expect((await examine()).find('same-database')).toBe(undefined)
    const postgres = (url: string) => ({ kind: 'postgres', url: `env:${url}` })
    app.configure({ identities, stores: { app: postgres('APP_URL'), again: postgres('AGAIN_URL') } })
    const again = app.env['APP_URL'] ?? ''
    expect((await examine({ AGAIN_URL: again })).find('same-database')).toMatchObject({
      severity: 'warning',
      message: expect.stringContaining('app and again are the same database'),
    })
    expect((await examine({ AGAIN_URL: app.controlUrl })).find('same-database')).toBe(undefined)
  })

  it('under a role that owns the evidence are a warning; a disabled trigger fails', async () => {
    expect((await examine()).find('append-only')).toMatchObject({ severity: 'warning' })
    await app.control('ALTER TABLE lethe_control.events DISABLE TRIGGER append_only')
    try {
      expect((await examine()).find('append-only')).toMatchObject({ severity: 'error' })
    } finally {
      await app.control('ALTER TABLE lethe_control.events ENABLE TRIGGER append_only')
    }
  })

  it('whose evidence log nobody keeps, anchors or ages are told, each with what to do', async () => {
    expect((await examine()).find('evidence-log')).toMatchObject({ severity: 'note' })
    const bucket = { name: 'evidence', region: 'eu-west-2', lock: '6 years' }
    app.configure({ identities, evidence: { origin: 'example.org/lethe' }, locked_bucket: bucket })
    expect((await examine()).find('evidence-anchored')).toMatchObject({
      severity: 'error',
      mend: 'lethe evidence lock "6 years"',
    })
    app.configure({ identities, evidence: { origin: 'example.org/lethe' } })
    expect((await examine()).find('evidence-anchored')).toMatchObject({ severity: 'warning' })
    expect((await examine()).find('evidence-age')).toMatchObject({ severity: 'note' })
    expect((await examine()).find('evidence-log')).toMatchObject({ severity: 'ok' })
    await app.control(
      `INSERT INTO lethe_control.events (type, at, data) VALUES ('run.woken', now() - interval '1 hour', '{}')`,
    )
    expect((await examine()).find('evidence-log')).toMatchObject({
      severity: 'error',
      message: expect.stringContaining('events wait for their index'),
    })
  })

  it('with a replication slot that nobody reads are told', async () => {
    const slot = `doctor_${process.pid}`
    await app.sql(`SELECT pg_create_physical_replication_slot('${slot}')`)
    try {
      const { find } = await examine()
      expect(find('replication-slots')?.message).toContain(slot)
      expect(find('max-slot-wal-keep-size')).toMatchObject({ severity: 'warning' })
    } finally {
      await app.sql(`SELECT pg_drop_replication_slot('${slot}')`)
    }
  })

  it('whose role has its own time limits are noted', async () => {
    await app.sql(`ALTER ROLE ${role} SET statement_timeout = '5s'`)
    const { find } = await examine({ APP_URL: as(app.appUrl, role) })
    expect(find('role-timeouts', 'app')?.message).toContain('statement_timeout=5s')
  })
})

describe('a role with the least rights', () => {
  it('lacks what it lacks by name, and nothing after the printed grants', async () => {
    const worker = { LETHE_CONTROL_URL: as(app.controlUrl, role), APP_URL: as(app.appUrl, role) }
    const before = await examine(worker)
    expect(before.exit).toBe(12)
    // without a right it can't even ask which version the schema has
    expect(
      before.findings.filter((finding) => finding.severity === 'error').map((finding) => finding.on),
    ).toEqual(expect.arrayContaining(['control', 'app', 'closed']))

    const roles = { worker: role, ...others }
    const catalogueSource = openDatabase(app.appUrl, { name: 'app', applicationName: 'test' })
    const config = app.configure({ identities })
    const plan = planDeletion(
      config.file,
      'app',
      { subject: 'person' },
      await loadCatalogue(catalogueSource, ['public']),
    )
    await catalogueSource.close()
    await app.control(grantsSql('control', { roles }))
    await app.sql(grantsSql('target', { roles, plans: [plan] }))
    try {
      const granted = await examine(worker)
      expect(granted.findings.filter((finding) => finding.severity === 'error')).toEqual([])
      expect(granted.find('own-rights', 'control')?.message).toContain('worker')
      expect(granted.find('append-only')).toMatchObject({ severity: 'ok' })
      expect(granted.find('plan-rights')).toMatchObject({ severity: 'ok' })
      expect(granted.find('maintenance')?.message).toContain('public.note_counts')

      await app.sql(`REVOKE UPDATE ON people FROM ${role}; REVOKE DELETE ON notes FROM ${role}`)
      const less = (await examine(worker)).find('plan-rights')
      expect(less?.message).toContain('UPDATE on public.people')
      expect(less?.message).toContain('DELETE on public.notes')

      await app.sql(`GRANT UPDATE ON people TO ${role}; GRANT DELETE ON notes TO ${role}`)
      await app.sql(`ALTER TABLE notes ENABLE ROW LEVEL SECURITY`)
      const hidden = await examine(worker)
      expect(hidden.find('row-security')).toMatchObject({
        severity: 'error',
        message: expect.stringContaining('public.notes'),
        mend: expect.stringContaining('BYPASSRLS'),
      })
      await app.sql(`ALTER ROLE ${role} BYPASSRLS`)
      expect((await examine(worker)).find('row-security')).toBeUndefined()
    } finally {
      await app.sql(`ALTER TABLE notes DISABLE ROW LEVEL SECURITY; ALTER ROLE ${role} NOBYPASSRLS`)
      for (const name of [roles.operator, roles.auditor]) {
        await app.sql(`DROP OWNED BY ${name}`)
        await app.control(`DROP OWNED BY ${name}`)
      }
    }
  })
})

describe('the login of a person', () => {
  const { login, ...names } = testRoles('worker', 'operator', 'approver', 'auditor', 'login')
  const urls = () => ({ LETHE_CONTROL_URL: as(app.controlUrl, login), APP_URL: as(app.appUrl, login) })
  beforeAll(async () => {
    const { file } = app.configure({ identities, subjects: { person: subject } })
    const source = openDatabase(app.appUrl, { name: 'app', applicationName: 'test' })
    const catalogue = await loadCatalogue(source, ['public'])
    await source.close()
    const plans = [planDeletion(file, 'app', { subject: 'person' }, catalogue)]
    for (const roles of [names, {}]) {
      await app.control(grantsSql('control', { roles }))
      await app.sql(
        grantsSql('target', { roles, plans, access: [file.subjects['person']?.access ?? noAccess] }),
      )
    }
    await app.sql(`CREATE ROLE ${login} LOGIN`)
  })
  const noAccess = { set: [], delete: [], stores: [] }
  const subject = {
    store: 'app',
    root: 'public.people',
    contact: 'root.email',
    access: {
      set: [{ table: 'public.people', where: 't.id = root.id', columns: { deleted_at: null } }],
      delete: [{ table: 'public.notes', where: 't.person_id = root.id' }],
    },
  }

  it.each(['lethe_operator', names.operator])(
    'who is a member of %s is judged by what an operator needs',
    async (group) => {
      app.configure({ identities, subjects: { person: subject } })
      await app.sql(`GRANT ${group} TO ${login}`)
      const { find, findings, exit } = await examine(urls())
      expect(findings.filter(({ severity }) => severity === 'error')).toEqual([])
      expect(exit).toBe(0)
      expect(find('login', 'app')).toMatchObject({
        severity: 'note',
        message: expect.stringContaining("an operator's"),
      })
      expect(find('maintenance')).toBeUndefined()

      await app.sql(
        `REVOKE SELECT ON notes FROM ${group}; REVOKE UPDATE (deleted_at) ON people FROM ${group}`,
      )
      const less = await examine(urls())
      expect(less.find('plan-rights', 'closed')?.message).toContain('as an operator: SELECT on public.notes')
      expect(less.find('subject-rights', 'person')?.message).toContain(
        'UPDATE (deleted_at) on "public"."people"',
      )
      await app.sql(`GRANT SELECT ON notes TO ${group}; GRANT UPDATE (deleted_at) ON people TO ${group}`)
      await app.sql(`REVOKE ${group} FROM ${login}`)
    },
  )

  it('who is a member of lethe_auditor is asked for no right on a table of anybody', async () => {
    await app.sql(`GRANT lethe_auditor TO ${login}`)
    const { find, findings } = await examine(urls())
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([])
    expect(find('login', 'app')?.message).toContain("an auditor's")
    await app.sql(`REVOKE lethe_auditor FROM ${login}`)
  })

  it('who is a member of the worker too is judged as a worker', async () => {
    await app.sql(`GRANT lethe_operator, lethe_worker TO ${login}; REVOKE DELETE ON notes FROM lethe_worker`)
    const { find } = await examine(urls())
    expect(find('login', 'app')).toBeUndefined()
    expect(find('plan-rights', 'closed')?.message).toContain('as a worker: DELETE on public.notes')
    await app.sql(`REVOKE lethe_operator, lethe_worker FROM ${login}`)
  })
})

describe('tables and policies', () => {
  it('autovacuum switched off on a table of the plan is a warning', async () => {
    await app.sql('ALTER TABLE notes SET (autovacuum_enabled = false)')
    try {
      expect((await examine()).find('table-autovacuum')?.message).toContain('public.notes')
    } finally {
      await app.sql('ALTER TABLE notes RESET (autovacuum_enabled)')
    }
  })

  it('a table nobody classified stops the policies: exit 12, with the finding', async () => {
    await app.sql('CREATE TABLE surprise (id int)')
    try {
      const { find, exit } = await examine()
      expect(find('plan', 'closed')?.message).toContain('E_MAP_FINDINGS')
      expect(find('plan', 'closed')?.message).toContain('public.surprise')
      expect(exit).toBe(12)
    } finally {
      await app.sql('DROP TABLE surprise')
    }
  })

  it('a hold that is not in force yet fails, and one whose review has passed is a warning', async () => {
    await app.control(
      `WITH signed AS (INSERT INTO lethe_control.statements (hash, statement) VALUES (sha256('test'), 'test') RETURNING hash)
       INSERT INTO lethe_control.holds (id, level, store, kind, owner, review_at, created_by, method, statement_hash)
       SELECT gen_random_uuid(), 'table', 'app', 'complaint', 'team', '2020-01-01', 'x', 'ssh', hash FROM signed`,
    )
    const { find } = await examine()
    expect(find('holds')).toMatchObject({ severity: 'error' })
    expect(find('holds-overdue')).toMatchObject({ severity: 'warning' })
    await app.control('DELETE FROM lethe_control.holds')
  })

  it('nobody who could approve fails; an identity without keys is a warning', async () => {
    app.configure({ identities: { ghost: { roles: ['records'] } } })
    const { find } = await examine()
    expect(find('identities')?.message).toContain('ghost')
    expect(find('approvers')).toMatchObject({ severity: 'error', message: expect.stringContaining('closed') })
  })

  it('an inactivity policy whose warnings only go to the log is a warning; a missing webhook secret fails', async () => {
    const policies = {
      silent: {
        subject: 'person',
        when: 'inactive',
        clock: 'root.deleted_at',
        records_class: 'Silent accounts',
      },
    }
    app.configure({ identities, policies })
    expect((await examine()).find('notifications', 'silent')).toMatchObject({ severity: 'warning' })
    app.configure({
      identities,
      policies,
      notifications: { channel: 'webhook', webhook: { url: 'env:HOOK', secret: 'env:HOOK_SECRET' } },
    })
    const { find } = await examine({ HOOK: 'https://example.org/' })
    expect(find('notifications', 'silent')).toBeUndefined()
    expect(find('notifications', 'configuration')?.message).toContain('HOOK_SECRET')
  })

  it('an armed policy that was changed since observes, and says so', async () => {
    await app.control(
      `INSERT INTO lethe_control.policies (name, mode, armed_version) VALUES ('closed', 'armed', 'another')`,
    )
    expect((await examine()).find('policy-mode', 'closed')).toMatchObject({
      severity: 'warning',
      message: expect.stringContaining('changed since it was armed'),
    })
    await app.control('DELETE FROM lethe_control.policies')
  })
})

it('the doctor changes nothing: its sessions are read-only', async () => {
  const client = new pg.Client({ connectionString: app.controlUrl })
  await client.connect()
  const read = async () =>
    (
      await client.query<{ n: string }>(
        `SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) AS n FROM pg_stat_user_tables`,
      )
    ).rows[0]?.n
  const before = await read()
  await examine()
  expect(await read()).toBe(before)
  await client.end()
})
