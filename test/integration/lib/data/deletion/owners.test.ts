/** Issue 10, A1, A5, A7: cases/public/32-own-holds-and-the-sweep and race a-retention E15. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openRetentionHouse, type RetentionHouse } from '../../../../support/stages/retention-house.ts'

let house: RetentionHouse
beforeAll(async () => {
  house = await openRetentionHouse()
  await house.app.execute('ALTER TABLE people ADD claimed boolean NOT NULL DEFAULT false')
  await house.app.execute('ALTER TABLE people ADD merged_into bigint REFERENCES people')
  await house.app.execute('ALTER TABLE visits ADD second_id bigint REFERENCES people')
  await house.app.execute('ALTER TABLE records ADD kind text')
  await house.app.execute('ALTER TABLE messages ADD parent_id bigint REFERENCES messages')
  await house.app.execute('CREATE INDEX ON messages (parent_id)')
  await house.app.execute(
    'CREATE TABLE households (id bigint PRIMARY KEY, sued boolean NOT NULL DEFAULT false)',
  )
  await house.app.execute('ALTER TABLE people ADD household_id bigint REFERENCES households')
  await house.app.execute('CREATE INDEX ON people (household_id)')
  await house.app.execute('CREATE INDEX ON people (merged_into); CREATE INDEX ON visits (second_id)')
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.empty()
  await house.app.execute('TRUNCATE households CASCADE')
})

const owned = (columns: Record<string, string[]>, names: string[], more: Record<string, unknown> = {}) => ({
  columns,
  edges: names.map((name) => ({ kind: 'owned', to: 'public.people', columns: [name] })),
  action: 'delete',
  ...more,
})

interface Shape {
  own?: string
  alias?: boolean
  second?: boolean
  /** Replies go with what they answer. */
  tree?: boolean
  /** People belong to a household, another kind of subject. */
  household?: boolean
  minimum?: Record<string, string>
  accept?: readonly Record<string, string>[]
}

const accepted = [
  {
    finding: 'several-owners:app/public.visits(person_id, second_id)',
    reason: 'a visit is of both, and goes with the first',
  },
]

/** Whoever lives in no household is no household's. */
const nullable = [
  { finding: 'nullable-path:app/public.people(household_id)', reason: 'people live alone, too' },
]
const replies = [
  {
    finding: 'several-owners:app/public.messages(person_id, parent_id)',
    reason: 'a reply goes with what it answers',
  },
]

async function configure({ own, alias, second, tree, household, minimum, accept }: Shape): Promise<void> {
  const twice = ['person_id', 'second_id']
  await house.configure({
    subjects: {
      person: {
        store: 'app',
        root: 'public.people',
        tenant: 'tenant',
        contact: 'root.email',
        ...(alias === true ? { alias: 'merged_into' } : {}),
        ...(own === undefined ? {} : { holds: [{ name: 'claim', sql: own }] }),
      },
      household: { store: 'app', root: 'public.households', holds: [{ name: 'suit', sql: 'root.sued' }] },
    },
    tables: {
      app: {
        'public.people': {
          columns: {
            none: [
              'id',
              'tenant',
              'keep',
              'deleted_at',
              'last_seen',
              'naive_at',
              'claimed',
              'merged_into',
              'household_id',
            ],
            contact: ['email'],
            identity: ['born'],
          },
          action: 'delete',
          edges: [
            {
              kind: household === true ? 'owned' : 'reference',
              to: 'public.households',
              columns: ['household_id'],
              ...(household === true ? {} : { then: 'null' }),
            },
            ...(alias === true
              ? []
              : [{ kind: 'reference', to: 'public.people', columns: ['merged_into'], then: 'null' }]),
          ],
        },
        'public.visits': owned({ none: ['id', ...twice] }, [], {
          edges: [
            { kind: 'owned', to: 'public.people', columns: ['person_id'] },
            second === true
              ? { kind: 'owned', to: 'public.people', columns: ['second_id'] }
              : { kind: 'reference', to: 'public.people', columns: ['second_id'], then: 'null' },
          ],
        }),
        'public.records': owned({ none: ['id', 'person_id', 'keep_until', 'kind'] }, ['person_id'], {
          minimum: { ground: 'records act', until: 't.keep_until', ...minimum },
        }),
        'public.households': { columns: { none: ['id', 'sued'] }, action: 'delete' },
        'public.messages': owned({ none: ['id', 'person_id', 'sent_at', 'parent_id'] }, ['person_id'], {
          edges: [
            { kind: 'owned', to: 'public.people', columns: ['person_id'] },
            tree === true
              ? { kind: 'owned', to: 'public.messages', columns: ['parent_id'] }
              : { kind: 'reference', to: 'public.messages', columns: ['parent_id'], then: 'null' },
          ],
        }),
        'public.loose': owned({ none: ['person_id'], 'free-text': ['note'] }, ['person_id']),
      },
    },
    accept: [...(household === true ? nullable : []), ...(accept ?? [])],
  })
}

const people = (values: string) =>
  house.app.execute(`INSERT INTO people (id, claimed, merged_into, deleted_at) VALUES ${values}`)
const past = `now() - interval '3 years'`

async function destroyed(policy: 'closed' | 'messages') {
  await house.arm(policy)
  const run = await house.decide(await house.sweep(policy))
  return { run, report: await house.report(run) }
}

describe("the application's own hold", () => {
  test('keeps its person from a sweep, and the report says which hold it was', async () => {
    await configure({ own: 'root.claimed' })
    await people(`(1, true, NULL, ${past}), (2, false, NULL, ${past})`)
    const { report } = await destroyed('closed')
    expect(await house.ids('people')).toEqual([1])
    expect(report).toMatchObject({ excluded: { 'hold:claim': 1 } })
  })

  test("keeps its person's rows from a policy on their table", async () => {
    await configure({ own: 'root.claimed' })
    await people(`(1, true, NULL, NULL), (2, false, NULL, NULL)`)
    await house.app.execute(
      `INSERT INTO messages (id, person_id, sent_at) VALUES (1, 1, ${past}), (2, 2, ${past})`,
    )
    const { report } = await destroyed('messages')
    expect(await house.ids('messages')).toEqual([1])
    expect(report).toMatchObject({ excluded: { 'hold:claim': 1 } })
  })

  test('that is set after the approval keeps its person', async () => {
    await configure({ own: 'root.claimed' })
    await people(`(1, false, NULL, ${past}), (2, false, NULL, ${past})`)
    await house.arm('closed')
    const waiting = await house.sweep('closed')
    await house.app.execute('UPDATE people SET claimed = true WHERE id = 1')
    await house.decide(waiting)
    expect(await house.ids('people')).toEqual([1])
  })

  test('says nothing of a row that the application has removed itself', async () => {
    await configure({ own: `root.email IS DISTINCT FROM 'settled'` })
    await house.app.execute(
      `INSERT INTO people (id, email, deleted_at) VALUES (1, 'settled', ${past}), (2, 'settled', ${past})`,
    )
    await house.arm('closed')
    const waiting = await house.sweep('closed')
    await house.app.execute('DELETE FROM people WHERE id = 1')
    const run = await house.decide(waiting)
    expect(await house.ids('people')).toEqual([])
    expect(await house.report(run)).toMatchObject({ subjects: { erased: 2, skipped: {} } })
  })
})

describe('a row with two owners', () => {
  test('stays with the person whose turn it is while the other owner is held by Lethe', async () => {
    await configure({ second: true, accept: accepted })
    await people(`(1, false, NULL, ${past}), (2, false, NULL, NULL), (3, false, NULL, ${past})`)
    await house.app.execute('INSERT INTO visits (id, person_id, second_id) VALUES (1, 1, 2), (2, 3, 3)')
    await house.hold({ level: 'subject', subject: 'person', key: ['2'] })
    const { report } = await destroyed('closed')
    expect(await house.ids('visits')).toEqual([1])
    expect(await house.ids('people')).toEqual([1, 2])
    expect(report).toMatchObject({ excluded: { 'subject-held': 1 } })
  })

  test("stays while the other owner is under the application's own hold, whichever edge leads to whom", async () => {
    await configure({ own: 'root.claimed', second: true, accept: accepted })
    await people(
      `(1, false, NULL, ${past}), (2, true, NULL, NULL), (3, false, NULL, ${past}), (4, true, NULL, NULL), (5, false, NULL, ${past})`,
    )
    await house.app.execute('INSERT INTO visits (id, person_id, second_id) VALUES (1, 1, 2), (2, 4, 3)')
    const { report } = await destroyed('closed')
    expect(await house.ids('visits')).toEqual([1, 2])
    expect(report).toMatchObject({ excluded: { 'hold:claim': 2 } })
  })

  test.each([
    ['tenant', { level: 'tenant', subject: 'person', key: ['7'] }],
    ['row', { level: 'row', table: 'public.messages', key: ['9'] }],
  ] as const)('stays while a hold at %s level keeps the other owner', async (_, hold) => {
    await configure({ second: true, accept: accepted })
    await people(`(1, false, NULL, ${past}), (2, false, NULL, NULL)`)
    await house.app.execute('UPDATE people SET tenant = 7 WHERE id = 2')
    await house.app.execute('INSERT INTO visits (id, person_id, second_id) VALUES (1, 1, 2)')
    await house.app.execute(`INSERT INTO messages (id, person_id, sent_at) VALUES (9, 2, now())`)
    await house.arm('closed')
    const waiting = await house.sweep('closed')
    await house.hold(hold)
    await house.decide(waiting)
    expect(await house.ids('people')).toEqual([1, 2])
    expect(await house.ids('visits')).toEqual([1])
  })

  test('is a finding until somebody says so', async () => {
    await configure({ second: true })
    const run = await house.sweep('closed')
    expect(run).toMatchObject({ state: 'refused', errorCode: 'E_MAP_FINDINGS' })
    expect(run.errorMessage).toContain('public.visits')
  })
})

describe('a reply of one person to another', () => {
  test.each([
    ['who is answered', 'who wrote the reply', 1, 2],
    ['who wrote the reply', 'who is answered', 2, 1],
  ])('keeps the one %s from a sweep while the one %s is held', async (_due, _held, due, held) => {
    await configure({ own: 'root.claimed', tree: true, accept: replies })
    await people(`(1, false, NULL, NULL), (2, false, NULL, NULL), (3, false, NULL, ${past})`)
    await house.app.execute(`UPDATE people SET deleted_at = ${past} WHERE id = ${due}`)
    await house.app.execute(`UPDATE people SET claimed = true WHERE id = ${held}`)
    await house.app.execute(
      `INSERT INTO messages (id, person_id, parent_id, sent_at) VALUES (1, 1, NULL, ${past}), (2, 2, 1, ${past})`,
    )
    const { report } = await destroyed('closed')
    expect(await house.ids('people')).toEqual([1, 2])
    expect(await house.ids('messages')).toEqual([1, 2])
    expect(report).toMatchObject({ excluded: { 'hold:claim': 1 } })
  })
})

test('An own hold on another kind of owner keeps the person, and the rows of the person.', async () => {
  await configure({ household: true })
  await house.app.execute('INSERT INTO households VALUES (1, true), (2, false)')
  await house.app.execute(
    `INSERT INTO people (id, household_id, deleted_at) VALUES (1, 1, ${past}), (2, 2, ${past}), (3, NULL, ${past})`,
  )
  await house.app.execute(
    `INSERT INTO messages (id, person_id, sent_at) VALUES (1, 1, ${past}), (2, 2, ${past})`,
  )
  const messages = await destroyed('messages')
  expect(await house.ids('messages')).toEqual([1])
  expect(messages.report).toMatchObject({ excluded: { 'hold:suit': 1 } })
  const closed = await destroyed('closed')
  expect(await house.ids('people')).toEqual([1])
  expect(closed.report).toMatchObject({ excluded: { 'hold:suit': 1 } })
})

describe('a person merged into another', () => {
  test.each([
    ['the head', 1],
    ['the merged row', 2],
  ])('keeps the rows of both from a policy on a table while %s is held', async (_, held) => {
    await configure({ alias: true })
    await people(`(1, false, NULL, NULL), (2, false, 1, NULL), (3, false, NULL, NULL)`)
    await house.app.execute(
      `INSERT INTO messages (id, person_id, sent_at) VALUES (1, 1, ${past}), (2, 2, ${past}), (3, 3, ${past})`,
    )
    await house.hold({ level: 'subject', subject: 'person', key: [String(held)] })
    await destroyed('messages')
    expect(await house.ids('messages')).toEqual([1, 2])
  })

  test("keeps the rows of both while either is under the application's own hold", async () => {
    await configure({ own: 'root.claimed', alias: true })
    await people(
      `(1, true, NULL, NULL), (2, false, 1, NULL), (3, false, NULL, NULL), (4, true, 3, NULL), (5, false, NULL, NULL)`,
    )
    await house.app.execute(
      `INSERT INTO messages (id, person_id, sent_at) VALUES (1, 2, ${past}), (2, 3, ${past}), (3, 5, ${past})`,
    )
    await destroyed('messages')
    expect(await house.ids('messages')).toEqual([1, 2])
  })

  test("keeps the head while the merged row is under the application's own hold", async () => {
    await configure({ own: 'root.claimed', alias: true })
    await people(`(1, false, NULL, ${past}), (2, true, 1, ${past}), (3, false, NULL, ${past})`)
    const { report } = await destroyed('closed')
    expect(await house.ids('people')).toEqual([1, 2])
    expect(report).toMatchObject({ excluded: { 'hold:claim': 1 } })
  })
})

describe('a legal minimum', () => {
  test('that nobody can date holds', async () => {
    await configure({})
    await people(`(1, false, NULL, ${past}), (2, false, NULL, ${past})`)
    await house.app.execute(
      `INSERT INTO records (id, person_id, keep_until) VALUES (1, 1, NULL), (2, 2, ${past})`,
    )
    const { report } = await destroyed('closed')
    expect(await house.ids('people')).toEqual([1])
    expect(report).toMatchObject({ excluded: { 'minimum:public.records': 1 } })
  })

  test('says nothing of rows to which it does not apply, and holds where nobody knows whether it does', async () => {
    await configure({ minimum: { applies: `t.kind = 'invoice'` } })
    await people(`(1, false, NULL, ${past}), (2, false, NULL, ${past}), (3, false, NULL, ${past})`)
    await house.app.execute(
      `INSERT INTO records (id, person_id, keep_until, kind) VALUES (1, 1, NULL, 'note'), (2, 2, NULL, 'invoice'), (3, 3, NULL, NULL)`,
    )
    await destroyed('closed')
    expect(await house.ids('people')).toEqual([2, 3])
  })
})
