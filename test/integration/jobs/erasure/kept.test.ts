/** Rows that stay on a ground: foretold by person and not by table, and kept for as long as the map says today. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  askedStatement,
  previewErasure,
  requestErasure,
  resolveSubject,
  type Asked,
} from '../../../../jobs/erasure/index.ts'
import { getRequest, legsOf } from '../../../../lib/record/requests/index.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'
import { previewText } from '../../../../workers/cli/erasure-text.ts'

let house: RetentionHouse
let tables: (typeof house.context.config.file.tables)[string]
beforeAll(async () => {
  house = await openRetentionHouse()
  tables = house.context.config.file.tables['app'] ?? {}
  await house.app.execute('ALTER TABLE records ADD COLUMN phone text')
})
afterAll(async () => {
  await house.close()
})
beforeEach(async () => {
  await house.empty()
  await keepFor('7 years')
  await house.app.execute(
    `INSERT INTO people (id, email) VALUES (1, 'p1@example.org'), (2, 'p2@example.org')`,
  )
})

async function keepFor(period: string): Promise<void> {
  await house.configure({
    subjects: {
      person: {
        store: 'app',
        root: 'public.people',
        contact: 'root.email',
        identifiers: { email: { sql: 'root.email', unique: true } },
      },
    },
    tables: {
      app: {
        ...tables,
        'public.people': { ...tables['public.people'], pseudonymise: { email: { set: null } } },
        'public.records': {
          columns: { none: ['id', 'person_id', 'keep_until'], contact: ['phone'] },
          edges: [{ kind: 'owned', to: 'public.people', columns: ['person_id'] }],
          action: 'retain',
          retain: { ground: `Tax law, ${period}`, until: `t.keep_until + interval '${period}'` },
          pseudonymise: { phone: { set: null } },
        },
      },
    },
  })
}

/** Records of person 1, so many years old. */
async function records(...ages: number[]): Promise<void> {
  await house.app.execute(
    `INSERT INTO records (id, person_id, keep_until, phone)
     SELECT 10 + ord, 1, now() - age * interval '1 year', '555' FROM unnest($1::int[]) WITH ORDINALITY AS g(age, ord)`,
    [ages],
  )
}

async function erase(): Promise<string> {
  const asked: Asked = {
    subject: 'person',
    who: { key: ['1'] },
    kind: 'article-17',
    requester: 'subject',
    immediate: false,
    identity: 'staff-check',
  }
  const key = await resolveSubject(house.context, asked)
  const by = await house.sign(askedStatement(house.context, asked, key, 'ticket 7'), 'desk')
  const { id } = await requestErasure(house.context, asked, key, by)
  await house.work()
  return id
}

async function appLeg(id: string) {
  return (await legsOf(house.control, [id])).find(({ store }) => store === 'app')
}

async function foretold() {
  const preview = await previewErasure(house.context, 'person', ['1'])
  const rows = preview.places.find(({ store }) => store === 'app')?.rows ?? []
  return { rows, text: previewText(preview, (line) => line) }
}

test('a row older than its retention is foretold as deleted, and is', async () => {
  await records(8, 9)
  const { rows, text } = await foretold()
  expect(rows).toMatchObject([
    { place: 'public.people', removed: 1, pseudonymised: 0, ground: null },
    { place: 'public.records', removed: 2, pseudonymised: 0, kept: 0, ground: null, until: null },
  ])
  expect(text).not.toMatch(/see below|Stays/)
  const id = await erase()
  expect(await getRequest(house.control, id)).toMatchObject({ state: 'completed' })
  expect(await appLeg(id)).toMatchObject({
    counts: { 'public.people': 1, 'public.records': 2 },
    pseudonymised: {},
  })
})

test('what is foretold to stay stays: each row by its own age, with its ground and end', async () => {
  await records(8, 6, 2)
  const { rows, text } = await foretold()
  expect(rows).toMatchObject([
    { place: 'public.people', removed: 0, pseudonymised: 1, ground: 'Tax law, 7 years' },
    { place: 'public.records', removed: 1, pseudonymised: 2, kept: 0, ground: 'Tax law, 7 years' },
  ])
  expect(text).toMatch(/public\.records +1 +deleted/)
  expect(text).toMatch(/public\.records +2 +kept and pseudonymised, see below/)
  expect(text).toContain(
    `public.records: 2 pseudonymised, until ${rows[1]?.until?.slice(0, 10) ?? '?'}, Tax law, 7 years`,
  )
  const id = await erase()
  expect(await appLeg(id)).toMatchObject({
    state: 'retained',
    counts: { 'public.records': 1 },
    pseudonymised: { 'public.people': 1, 'public.records': 2 },
    retained: [
      { place: 'public.people', count: 1, until: rows[1]?.until },
      { place: 'public.records', count: 2, until: rows[1]?.until, ground: 'Tax law, 7 years' },
    ],
  })
})

test('a retention that was shortened ends what was kept before: a new request deletes it', async () => {
  await records(4)
  await erase()
  expect(await house.ids('people')).toEqual([1, 2])
  await keepFor('1 year')
  expect((await foretold()).rows).toMatchObject([{ removed: 1 }, { removed: 1 }])
  const id = await erase()
  expect(await getRequest(house.control, id)).toMatchObject({ state: 'completed' })
  expect(await appLeg(id)).toMatchObject({
    state: 'verified',
    counts: { 'public.people': 1, 'public.records': 1 },
    retained: [],
  })
  expect(await house.ids('people')).toEqual([2])
  expect(await house.app.execute('SELECT FROM lethe.kept_roots')).toBe(0)
})

test('a retention that was changed is named with its new ground and end, and ends for each row by itself', async () => {
  await records(4, 1)
  await erase()
  await keepFor('3 years')
  const [, kept] = (await foretold()).rows
  expect(kept).toMatchObject({ removed: 1, pseudonymised: 1, ground: 'Tax law, 3 years' })
  const id = await erase()
  expect(await appLeg(id)).toMatchObject({
    state: 'retained',
    counts: { 'public.records': 1 },
    // they were before
    pseudonymised: {},
    retained: [
      { place: 'public.people', count: 1, until: kept?.until, ground: 'Tax law, 3 years' },
      { place: 'public.records', count: 1, until: kept?.until, ground: 'Tax law, 3 years' },
    ],
  })
})

test('when their day has come, a sweep of the same kind of subject deletes them, whatever their clock says', async () => {
  await records(4)
  await erase()
  await house.arm('closed')
  await house.sweep('closed')
  expect(await house.ids('people')).toEqual([1, 2])
  await house.app.execute(`UPDATE records SET keep_until = now() - interval '8 years'`)
  await house.decide(await house.sweep('closed'))
  expect(await house.ids('people')).toEqual([2])
  expect(await house.ids('records')).toEqual([])
  expect(await house.app.execute('SELECT FROM lethe.kept_roots')).toBe(0)
})

test('what a request decided to retain is left alone by a sweep, which knows nothing of that decision', async () => {
  await house.configure({
    tables: {
      app: {
        ...tables,
        'public.people': { ...tables['public.people'], pseudonymise: { email: { set: null } } },
        'public.records': {
          columns: { none: ['id', 'person_id', 'keep_until', 'phone'] },
          edges: [{ kind: 'owned', to: 'public.people', columns: ['person_id'] }],
          action: 'delete',
          class: 'care',
        },
      },
    },
    erasure: {
      classes: {
        care: { decision: 'retain', ground: 'The care act', until: `t.keep_until + interval '7 years'` },
      },
    },
  })
  await records(4)
  await house.app.execute(`UPDATE people SET deleted_at = now() - interval '1 year'`)
  const id = await erase()
  expect(await appLeg(id)).toMatchObject({ state: 'retained', retained: [{}, { ground: 'The care act' }] })
  await house.arm('closed')
  await house.decide(await house.sweep('closed'))
  expect(await house.ids('people')).toEqual([1])
  expect(await house.ids('records')).toEqual([11])
  await house.app.execute(`UPDATE lethe.kept_roots SET until = now() - interval '1 day'`)
  await house.decide(await house.sweep('closed'))
  expect(await house.ids('people')).toEqual([])
})
