/** D1 of issue 10 (races E26, E28): a call of an application that fails holds up no other, and is kept, said and tried again. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { ensureCascade, requestStatus, takeIntake } from '../../../../jobs/erasure/index.ts'
import { intakeState, listRequests } from '../../../../lib/record/requests/index.ts'
import { examineIntake } from '../../../../jobs/doctor/requests.ts'
import { openErasureHouse, tables, type ErasureHouse } from '../../../support/stages/erasure-house.ts'

let house: ErasureHouse
beforeAll(async () => {
  house = await openErasureHouse()
})
beforeEach(() => house.empty())
afterEach(async () => {
  await house.app.execute('DROP INDEX IF EXISTS one_mail')
  await house.app.execute('DROP TABLE IF EXISTS club_files, clubs')
})
afterAll(() => house.close())

const gone = { app: 0, sessions: 0, letters: 0, parcels: 0 }
const closure = `identity => 'signed-in-session'`

const due = () =>
  house.app.execute('UPDATE lethe.intake SET next_at = clock_timestamp() WHERE taken_at IS NULL')

async function work(): Promise<void> {
  await ensureCascade(house.context, 'person')
  await house.work()
}

async function said(): Promise<string> {
  return JSON.stringify(await examineIntake(house.app))
}

test('a cancel that can not give access back holds up nobody, keeps its own person, is said, and is followed once it can be', async () => {
  await house.app.execute('CREATE UNIQUE INDEX one_mail ON people (email)')
  await house.configure(
    {},
    { access: { set: [{ table: 'public.people', where: 't.id = root.id', columns: { email: null } }] } },
  )
  await house.people(1, 2)
  const first = await house.askSql(1, closure)
  await house.work()
  expect(await house.request(first)).toMatchObject({ state: 'grace' })
  await house.app.execute(`INSERT INTO people (id, email) VALUES (9, 'p1@example.org')`)
  await house.app.execute('SELECT lethe.cancel_erasure($1)', [first])
  await house.askSql(2)
  await house.work()
  expect(await house.left(2)).toMatchObject({ app: 0 })
  expect(await intakeState(house.app)).toMatchObject({ waiting: 0, failing: { 'E_DATABASE: one_mail': 1 } })
  expect(await said()).toContain('1 E_DATABASE: one_mail')
  // neither the end of the grace nor another try erases who took it back
  await due()
  await house.later()
  expect(await house.request(first)).toMatchObject({
    state: 'needs-attention',
    waitingFor: 'cancel:E_DATABASE: one_mail',
  })
  expect((await requestStatus(house.context, first)).next).toContain('Nothing is erased meanwhile')
  expect(await house.left(1)).toMatchObject({ app: 3 })
  await house.app.execute('DELETE FROM people WHERE id = 9')
  await due()
  await work()
  expect(await house.request(first)).toMatchObject({ state: 'cancelled' })
  expect(
    await house.app.query(z.object({ email: z.string() }), 'SELECT email FROM people WHERE id = 1'),
  ).toEqual([{ email: 'p1@example.org' }])
  expect(await said()).not.toContain('E_DATABASE')
})

test('a cancel that waited takes nothing back that was asked for after it', async () => {
  await house.app.execute('CREATE UNIQUE INDEX one_mail ON people (email)')
  await house.configure(
    {},
    { access: { set: [{ table: 'public.people', where: 't.id = root.id', columns: { email: null } }] } },
  )
  await house.people(1)
  const first = await house.askSql(1, closure)
  await house.work()
  await house.app.execute(`INSERT INTO people (id, email) VALUES (9, 'p1@example.org')`)
  await house.app.execute('SELECT lethe.cancel_erasure($1)', [first])
  await work()
  await house.askSql(1, closure)
  await house.work()
  await house.app.execute('DELETE FROM people WHERE id = 9')
  await due()
  await work()
  expect(await house.request(first)).toMatchObject({ state: 'grace' })
  await house.later()
  expect(await house.left(1)).toMatchObject({ app: 0 })
})

test('a finding on one kind of subject stops no other kind of the same store', async () => {
  await house.app.execute(`CREATE TABLE clubs (id bigint PRIMARY KEY)`)
  await house.app.execute(`CREATE TABLE club_files (id bigint PRIMARY KEY, club_id bigint REFERENCES clubs)`)
  const owned = (to: string, columns: object, by: string) => ({
    columns,
    edges: [{ kind: 'owned', to, columns: [by] }],
    action: 'delete',
  })
  const both = {
    subjects: {
      person: { store: 'app', root: 'public.people' },
      club: { store: 'app', root: 'public.clubs' },
    },
    tables: {
      app: {
        ...tables.app,
        'public.records': owned('public.people', { none: ['id', 'person_id', 'keep_until'] }, 'person_id'),
        'public.clubs': { columns: { none: ['id'] }, action: 'delete' },
        'public.club_files': owned('public.clubs', { none: ['id', 'club_id'] }, 'club_id'),
      },
    },
  }
  await house.configure(both)
  await house.people(1)
  await house.app.execute('INSERT INTO clubs VALUES (1)')
  await house.app.execute(
    `SELECT lethe.request_erasure('club', ARRAY['1'], kind => 'article-17', identity => 'signed-in-session')`,
  )
  await house.askSql(1)
  await house.work()
  await house.later()
  expect(await house.left(1)).toEqual({ ...gone, sessions: 2, letters: 2, parcels: 2 })
  expect(await intakeState(house.app)).toMatchObject({ waiting: 0, failing: {} })
  expect(await house.app.query(z.object({ id: z.string() }), 'SELECT id::text FROM clubs')).toEqual([
    { id: '1' },
  ])
  await house.app.execute('ALTER TABLE club_files ALTER COLUMN club_id SET NOT NULL')
  await house.configure(both)
  await due()
  await house.later()
  expect((await listRequests(house.control)).map(({ subjectKind }) => subjectKind).sort()).toEqual([
    'club',
    'person',
  ])
})

test('a row that was written past our functions is refused by itself', async () => {
  await house.people(1)
  await house.app.execute(
    `INSERT INTO lethe.intake (verb, subject_kind, root_key, data) VALUES ('request', 'person', ARRAY[NULL], '[]'), ('cancel', NULL, NULL, '7')`,
  )
  const id = await house.askSql(1)
  expect(await takeIntake(house.context, 'app')).toMatchObject({ requests: 1, refused: 2 })
  expect((await house.request(id)).state).toBe('received')
})
