/** What `lethe grants --sql` prints is enough for the whole flow, and an application's role can ask and nothing else. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  askedStatement,
  cancelRequest,
  confirmRequest,
  ensureCascade,
  previewErasure,
  requestErasure,
  requestStatement,
  resolveSubject,
  type Asked,
} from '../../../../jobs/erasure/index.ts'
import { registry } from '../../../../jobs/registry.ts'
import { runJob } from '../../../../jobs/runner.ts'
import { openDatabase, type Database } from '../../../../lib/base/db/index.ts'
import { freeExpiredLeases, takeForEnqueue } from '../../../../lib/record/ledger/index.ts'
import { decisionsOf, getRequest, legsOf } from '../../../../lib/record/requests/index.ts'
import { openContext, type OpenContext } from '../../../../workers/context.ts'
import { lethe } from '../../../support/stages/cli.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'
import { testRoles } from '../../../support/servers/roles.ts'

const roles = testRoles('worker', 'operator', 'approver', 'auditor')
const logins = testRoles('worker', 'operator', 'application', 'documented')
const subject = {
  store: 'app',
  root: 'public.people',
  contact: 'root.email',
  identifiers: { email: { sql: 'root.email', unique: true } },
  access: {
    set: [
      { table: 'public.logins', where: 't.person_id = root.id', columns: { active: false, password: '!' } },
    ],
    delete: [{ table: 'public.sessions', where: 't.person_id = root.id' }],
  },
}

let house: RetentionHouse
let worker: OpenContext
let operator: OpenContext
let application: Database

beforeAll(async () => {
  house = await openRetentionHouse()
  const { control, app, environment } = house
  await app.execute(
    `CREATE TABLE logins (id bigint PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, active boolean NOT NULL, password text)`,
  )
  await app.execute(
    `CREATE TABLE sessions (id bigint PRIMARY KEY, person_id bigint NOT NULL REFERENCES people)`,
  )
  await app.execute('CREATE INDEX ON logins (person_id)')
  await app.execute('CREATE INDEX ON sessions (person_id)')
  await configure()
  for (const [database, on] of [
    [control, 'control'],
    [app, 'app'],
  ] as const) {
    const named = Object.entries(roles).flatMap(([role, name]) => [`--${role}`, name])
    if (on === 'app') {
      await app.execute(`CREATE ROLE ${logins.application} LOGIN`)
      named.push('--application', logins.application)
    }
    const printed = await lethe(['grants', '--sql', '--on', on, ...named], environment)
    expect(printed).toMatchObject({ code: 0 })
    await database.execute(printed.stdout)
  }
  await app.execute(`CREATE ROLE ${logins.worker} LOGIN IN ROLE ${roles.worker}`)
  await app.execute(`CREATE ROLE ${logins.operator} LOGIN IN ROLE ${roles.operator}`)
  worker = await openContext('worker', environmentOf(logins.worker))
  operator = await openContext('operator', environmentOf(logins.operator))
  application = openDatabase(as(environment['APP_URL'], logins.application), {
    name: 'app',
    applicationName: 'lethe test',
  })
}, 120_000)
afterAll(async () => {
  await Promise.all([worker.close(), operator.close(), application.close()])
  await house.close()
})
beforeEach(async () => {
  const { app } = house
  await app.execute('TRUNCATE logins, sessions, people CASCADE')
  await app.execute(
    `INSERT INTO people (id, tenant, email) SELECT id, id, 'p' || id || '@example.org' FROM generate_series(1, 9) id`,
  )
  await app.execute(`INSERT INTO logins SELECT id, id, true, 'secret ' || id FROM people`)
  await app.execute('INSERT INTO sessions SELECT id, id FROM people')
})

async function configure(): Promise<void> {
  const { file } = house.context.config
  const owned = { edges: [{ kind: 'owned', to: 'public.people', columns: ['person_id'] }], action: 'delete' }
  await house.configure({
    subjects: { person: subject },
    tables: {
      app: {
        ...file.tables['app'],
        'public.logins': {
          ...owned,
          columns: { none: ['id', 'person_id', 'active'], credentials: ['password'] },
        },
        'public.sessions': { ...owned, columns: { none: ['id', 'person_id'] } },
      },
    },
  })
}

function as(url: string | undefined, login: string): string {
  const own = new URL(url ?? '')
  own.username = login
  return own.toString()
}

function environmentOf(login: string): Record<string, string> {
  const { environment } = house
  return {
    ...environment,
    LETHE_CONTROL_URL: as(environment['LETHE_CONTROL_URL'], login),
    APP_URL: as(environment['APP_URL'], login),
  }
}

async function work(): Promise<void> {
  for (;;) {
    await house.control.execute(
      `UPDATE lethe_control.runs SET next_attempt_at = clock_timestamp() WHERE state = 'queued'`,
    )
    await freeExpiredLeases(worker.context.control)
    const due = await takeForEnqueue(worker.context.control)
    if (due.length === 0) return
    for (const job of due) await runJob(worker.context, registry, job, new AbortController().signal)
  }
}

async function logged(person: number): Promise<unknown> {
  const schema = z.object({ active: z.boolean(), password: z.string().nullable() })
  return (await house.app.query(schema, 'SELECT active, password FROM logins WHERE id = $1', [person]))[0]
}

async function call(text: string, values: readonly unknown[] = []): Promise<string> {
  const [row] = await application.query(z.object({ id: z.string() }), `SELECT ${text}::text AS id`, values)
  return row?.id ?? ''
}

describe('with the printed rights alone', () => {
  test('an operator asks and confirms, and a worker carries it through', async () => {
    const asked: Asked = {
      subject: 'person',
      who: { identifier: 'email', value: 'p2@example.org' },
      kind: 'article-17',
      requester: 'subject',
      immediate: false,
    }
    const key = await resolveSubject(operator.context, asked)
    expect(await previewErasure(operator.context, 'person', key)).toMatchObject({
      places: [
        {
          store: 'app',
          counts: { 'public.people': 1, 'public.logins': 1, 'public.sessions': 1 },
          problem: null,
        },
        { store: 'app:free-text', problem: null },
      ],
    })
    const statement = askedStatement(operator.context, asked, key, 'ticket 7')
    const { id } = await requestErasure(operator.context, asked, key, await house.sign(statement, 'desk'))
    await work()
    expect(await getRequest(house.control, id)).toMatchObject({ state: 'received' })
    const confirmed = requestStatement('erasure.confirm', id, { method: 'staff-check' }, 'called back')
    await confirmRequest(operator.context, id, 'staff-check', {
      attested: await house.sign(confirmed, 'desk'),
    })
    await ensureCascade(operator.context, 'person')
    await work()
    expect(await legsOf(house.control, [id])).toMatchObject([
      { store: 'app', state: 'verified', errorCode: null },
      { store: 'app:free-text', state: 'verified', errorCode: null },
    ])
    expect(await getRequest(house.control, id)).toMatchObject({ state: 'completed' })
    expect(await house.ids('people')).toEqual([1, 3, 4, 5, 6, 7, 8, 9])
  })

  test('an operator cancels within the grace period, and access comes back', async () => {
    const id = await call(
      `lethe.request_erasure('person', ARRAY['3'], requester => 'subject', identity => 'signed-in-session')`,
    )
    await ensureCascade(worker.context, 'person')
    await work()
    expect(await getRequest(house.control, id)).toMatchObject({ state: 'grace' })
    expect(await logged(3)).toEqual({ active: false, password: '!' })
    expect(await logged(4)).toEqual({ active: true, password: 'secret 4' })
    const statement = requestStatement('erasure.cancel', id, {}, 'came back')
    await cancelRequest(operator.context, id, { attested: await house.sign(statement, 'desk') })
    expect(await getRequest(house.control, id)).toMatchObject({ state: 'cancelled', sealed: null })
    expect(await logged(3)).toEqual({ active: true, password: 'secret 3' })
    expect(await house.ids('people')).toContain(3)
  })

  test('an application asks, confirms and cancels; the worker writes down what it decided', async () => {
    const id = await call(`lethe.request_erasure('person', ARRAY['5'])`)
    await call(`lethe.confirm_erasure($1, 'signed-in-session')`, [id])
    await ensureCascade(worker.context, 'person')
    await work()
    expect(await logged(5)).toEqual({ active: false, password: '!' })
    await call('lethe.cancel_erasure($1)', [id])
    await ensureCascade(worker.context, 'person')
    await work()
    expect(await getRequest(house.control, id)).toMatchObject({
      state: 'cancelled',
      actor: `app:${logins.application}`,
      identityMethod: 'signed-in-session',
    })
    expect(await decisionsOf(house.control, [id])).toMatchObject([
      { verb: 'confirm', method: 'sql', actor: `app:${logins.application}`, statement: null },
      { verb: 'cancel', method: 'sql' },
    ])
    expect(await logged(5)).toEqual({ active: true, password: 'secret 5' })
  })
})

test('The statements of the runbook let an application ask, confirm and cancel.', async () => {
  const runbook = readFileSync(new URL('../../../../runbooks/erasure-requests.md', import.meta.url), 'utf8')
  const documented = /```sql\n(GRANT [^`]*)```/u.exec(runbook)?.[1] ?? ''
  const role = logins.documented
  await house.app.execute(`CREATE ROLE ${role} NOLOGIN`)
  await house.app.execute(documented.replaceAll('clinic_app', role))
  await house.app.transaction(async (tx) => {
    await tx.execute(`SET LOCAL ROLE ${role}`)
    const [row] = await tx.query(
      z.object({ id: z.string() }),
      `SELECT lethe.request_erasure('person', ARRAY['1']) AS id`,
    )
    await tx.execute(`SELECT lethe.confirm_erasure($1, 'emailed-link', 'token')`, [row?.id])
    await tx.execute(`SELECT lethe.cancel_erasure($1), lethe.cancel_erasure($1, 'token')`, [row?.id])
  })
})

describe('what they do not cover', () => {
  test.each([
    'SELECT FROM lethe.intake',
    `INSERT INTO lethe.intake (verb) VALUES ('request')`,
    'UPDATE lethe.intake SET taken_at = NULL',
    'SELECT FROM lethe.holds',
    'DELETE FROM lethe.progress',
  ])('an application is refused: %s', async (text) => {
    await expect(application.execute(text)).rejects.toMatchObject({ facts: { sqlstate: '42501' } })
  })

  test.each([
    `SELECT lethe.request_erasure('person', ARRAY['1'])`,
    `SELECT lethe.cancel_erasure('00000000-0000-7000-8000-000000000000')`,
  ])('nobody else calls the functions: %s', async (text) => {
    for (const { context } of [worker, operator])
      await expect((await context.target('app')).execute(text)).rejects.toMatchObject({
        facts: { sqlstate: '42501' },
      })
  })

  test('an operator gives back the columns of the cut, and changes or removes nothing else', async () => {
    const target = await operator.context.target('app')
    expect(await target.execute('UPDATE logins SET active = active WHERE id = 1')).toBe(1)
    for (const text of ['UPDATE logins SET person_id = 2', 'DELETE FROM sessions', 'DELETE FROM people'])
      await expect(target.execute(text), text).rejects.toMatchObject({ facts: { sqlstate: '42501' } })
  })
})
