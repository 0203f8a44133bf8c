/** The search for a person's identifiers in texts about others: what is found, and what only looks like it. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openDatabase, type Database } from '../../../../../../lib/base/db/index.ts'
import { searchFreeText } from '../../../../../../lib/data/rows/index.ts'
import type { TestDatabase } from '../../../../../support/servers/postgres.ts'
import { freshDatabase } from '../../../../../support/servers/shared.ts'

let database: TestDatabase
let db: Database
beforeAll(async () => {
  database = await freshDatabase()
  db = openDatabase(database.url, { name: 'app', applicationName: 'test' })
  await db.execute('CREATE TABLE notes (body text)')
  await db.execute('CREATE TABLE "Letters" ("Text" varchar)')
})
afterAll(async () => {
  await db.close()
  await database.drop()
})
beforeEach(() => db.execute('TRUNCATE notes, "Letters"'))

const columns = [
  { table: 'public.notes', column: 'body' },
  { table: 'public.Letters', column: 'Text' },
]
const never = new AbortController().signal

async function found(text: string, value: string): Promise<boolean> {
  await db.execute('TRUNCATE notes')
  await db.execute('INSERT INTO notes VALUES ($1), (NULL)', [text])
  const [one] = await searchFreeText(db, columns, [[value]], never)
  return one?.absent === false
}

test.each([
  ['she wrote to Jane.Doe@Example.org, twice', 'jane.doe@example.org'],
  ['mailto:jane.doe@example.org', 'jane.doe@example.org'],
  ['jane.doe@example.org', ' jane.doe@example.org '],
  ['NHS9434765919', '9434765919'],
  ['NHS 943-476-5919.', '943-476-5919'],
  ['user:10042!', 'user:10042'],
  ['a+b(c)*@example.org?', 'a+b(c)*@example.org'],
  ['José.Núñez@correo.example', 'josé.núñez@correo.example'],
  ['100%_sure@example.org', '100%_sure@example.org'],
])('%j says %j', async (text, value) => {
  expect(await found(text, value)).toBe(true)
})

test.each([
  ['user:100421', 'user:10042'],
  ['19434765919', '9434765919'],
  ['jane.doe at example.org', 'jane.doe@example.org'],
  ['janexdoe@example.org', 'jane.doe@example.org'],
  ['', 'jane.doe@example.org'],
  ['what anybody writes', 'anyone'],
])('%j does not say %j', async (text, value) => {
  expect(await found(text, value)).toBe(false)
})

test('each person has their own hits, by column and row', async () => {
  await db.execute(
    `INSERT INTO notes VALUES ('p1@example.org and p1@example.org'), ('p1@example.org'), ('p2@example.org')`,
  )
  await db.execute(`INSERT INTO "Letters" VALUES ('to 5550001 or p1@example.org')`)
  const persons = [
    ['p1@example.org', '5550001', 'short'],
    ['p2@example.org'],
    ['p3@example.org'],
    ['p1@example.org'],
    [],
  ]
  expect(await searchFreeText(db, columns, persons, never)).toEqual([
    { absent: false, left: { 'public.notes.body': 2, 'public.Letters.Text': 2 }, retained: [] },
    { absent: false, left: { 'public.notes.body': 1 }, retained: [] },
    { absent: true, left: {}, retained: [] },
    { absent: false, left: { 'public.notes.body': 2, 'public.Letters.Text': 1 }, retained: [] },
    { absent: true, left: {}, retained: [] },
  ])
})

test('a thousand persons are found among texts that share all their words but one', async () => {
  const persons = Array.from({ length: 1000 }, (_, id) => [`patient.${7919 * (id + 1)}@clinic.example.org`])
  await db.execute(
    `INSERT INTO notes SELECT 'a patient of clinic.example.org: patient.' || n * 7919 || '@clinic.example.org'
     FROM generate_series(1, 2000, 2) n`,
  )
  const verified = await searchFreeText(db, columns, persons, never)
  expect(verified.map(({ absent }) => absent)).toEqual(persons.map((_, id) => id % 2 === 1))
})
