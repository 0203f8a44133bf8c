/** Keys that reach the rows from elsewhere, in whatever spelling (issue 10, A4). */
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  collectIdentifiers,
  expandSubjects,
  findByIdentifier,
  headsOf,
  lookUpKeys,
  verifyKeys,
  weighRoots,
} from '../../../../../../lib/data/rows/index.ts'
import type { DeletionPlan } from '../../../../../../lib/data/deletion/index.ts'
import { createCaseless, isThere } from '../../../../../support/servers/collations.ts'
import { planFor, playground, type Playground } from '../../../../../support/stages/datamap.ts'

let play: Playground
beforeAll(async () => {
  play = await playground()
  await play.db.execute('CREATE EXTENSION citext')
  await createCaseless(play.db)
})
afterAll(() => play.close())

const nothing = { identifiers: {}, contact: null }

async function people(type: string): Promise<DeletionPlan> {
  const schema =
    await play.schema(`CREATE TABLE people (id ${type} PRIMARY KEY, merged_into ${type} REFERENCES people);
    INSERT INTO people VALUES ('Ada', NULL), ('Bob', 'Ada'), ('Cid', 'Bob'), ('Eve', NULL)`)
  const accept = type.endsWith('caseless')
    ? [{ finding: `key-of-several-texts:test/${schema}.people(id)`, reason: 'nobody rewrites it' }]
    : []
  return planFor(play.db, { schema, tables: { people: {} }, subject: { alias: 'merged_into' }, accept })
}

const caseless = [
  'public.citext',
  'text COLLATE public.caseless',
  'varchar(8) COLLATE public.caseless',
].filter(isThere)

it.for([...caseless, 'text', 'text COLLATE "C"', 'varchar(8) COLLATE "POSIX"'])(
  'Rows that were merged into a person are the person’s, whatever the collation of the key (%s).',
  async (type) => {
    const plan = await people(type)
    const [one] = await expandSubjects(play.db, plan, [{ ordinal: 1n, key: ['Ada'] }])
    expect(one?.keys.map(([key]) => key?.toLowerCase())).toEqual(['ada', 'bob', 'cid'])
    const [head] = await headsOf(play.db, plan, [['Cid']])
    expect(head).toEqual(one?.keys[0])
  },
)

it.for(caseless)(
  'One person who is given twice is one subject, with both places in the population (%s).',
  async (type) => {
    const plan = await people(type)
    const roots = ['Ada', 'EVE', 'ADA', 'eve'].map((key, place) => ({ ordinal: BigInt(place), key: [key] }))
    const subjects = await expandSubjects(play.db, plan, roots)
    expect(subjects.map(({ ordinals }) => [...ordinals])).toEqual([
      [0n, 2n],
      [1n, 3n],
    ])
    expect(await weighRoots(play.db, plan, [['ADA'], ['eVe'], ['Zoe']])).toEqual([1, 1, 0])
  },
)

it.for(caseless)('Other stores are asked by the key as its row has it (%s).', async (type) => {
  const plan = await people(type)
  const [found] = await collectIdentifiers(play.db, plan, [['EVE']], nothing)
  expect(found?.identifiers['id']?.[0]).toBe('Eve')
  expect(found?.keys).toHaveLength(1)
  expect(await collectIdentifiers(play.db, plan, [['Zoe']], nothing)).toMatchObject([{ present: false }])
})

it('A key is looked up by its column’s own equality: its one text, as its row has it, and whether a row has it.', async () => {
  const plan = await people('public.citext')
  const table = `"${plan.root.schema}"."people"`
  expect(await lookUpKeys(play.db, plan.key, table, [['ADA'], ['Zoe']])).toEqual([
    { key: ['ada'], written: ['Ada'], found: true },
    { key: ['zoe'], written: ['Zoe'], found: false },
  ])
  const numbers = [{ name: 'id', type: 'numeric', oneText: true }]
  expect(await lookUpKeys(play.db, numbers, null, [['1.50']])).toEqual([
    { key: ['1.5'], written: ['1.50'], found: false },
  ])
  expect(await lookUpKeys(play.db, numbers, null, [['1.50'], ['many']])).toBeNull()
})

it('An identifier leads to a person by its own type’s equality, and a value of another type to nobody.', async () => {
  const schema =
    await play.schema(`CREATE TABLE people (id int PRIMARY KEY, email public.citext, code uuid, rate numeric, name text, born date);
    INSERT INTO people VALUES (1, 'ada@example.org', '0a0b0c0d-1111-4222-8333-aabbccddeeff', 1.50, 'Ada', '2001-02-03')`)
  const plan = await planFor(play.db, { schema, tables: { people: {} } })
  const find = async (sql: string, value: string) => findByIdentifier(play.db, plan, sql, value)
  expect(await find('root.email', 'ADA@example.org')).toEqual([['1']])
  expect(await find('root.code', '{0A0B0C0D-1111-4222-8333-AABBCCDDEEFF}')).toEqual([['1']])
  expect(await find('root.rate', '1.5')).toEqual([['1']])
  expect(await find('root.born', '20010203')).toEqual([['1']])
  expect(await find('root.name', 'Ada')).toEqual([['1']])
  expect(await find('root.name', 'ada')).toEqual([])
  expect(await find('root.code', 'nobody')).toEqual([])
  expect(await find('root.rate', 'many')).toEqual([])
})

it('A person’s rows are found again by a key that is written otherwise, in a store of another zone too.', async () => {
  const schema = await play.schema(`CREATE TABLE people (id timestamptz, n numeric, PRIMARY KEY (id, n));
    CREATE TABLE notes (id int PRIMARY KEY, person timestamptz NOT NULL, n numeric NOT NULL, FOREIGN KEY (person, n) REFERENCES people);
    INSERT INTO people VALUES ('2024-01-01 00:00+00', 1.0); INSERT INTO notes VALUES (1, '2024-01-01 01:00+01', 1.00)`)
  const plan = await planFor(play.db, {
    schema,
    tables: { people: {}, notes: { edges: [{ kind: 'owned', to: 'people', columns: ['person', 'n'] }] } },
    store: { time_zone: 'Asia/Kathmandu' },
  })
  const [left] = await verifyKeys(play.db, plan, [['2024-01-01T05:45:00+05:45', '1']])
  expect(left?.left).toEqual({ [`${schema}.people`]: 1, [`${schema}.notes`]: 1 })
})
