/**
 * The rule that every key follows (issue 10, A4): values have the same text exactly if their column calls them equal, whatever
 * the settings of the session are; and whatever has no such text is known not to have it.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { keyText, loadCatalogue, writtenText, type KeyType } from '../../../../../lib/data/datamap/index.ts'
import { openDatabase, type Database } from '../../../../../lib/base/db/index.ts'
import { playground, type Playground } from '../../../../support/stages/datamap.ts'
import { createCaseless, isThere } from '../../../../support/servers/collations.ts'
import { freshDatabase } from '../../../../support/servers/shared.ts'

const values: Record<string, readonly string[]> = {
  smallint: ['1', '01', '-1', '2'],
  bigint: ['7', '007', '+7', '-7', '8'],
  oid: ['7', '07', '8'],
  numeric: [
    '1',
    '1.0',
    '1.00',
    '0.10',
    '.1',
    '-0',
    '0',
    '0.000',
    '1e3',
    '1000',
    '100',
    'NaN',
    'Infinity',
    '-Infinity',
  ],
  'numeric(10,2)': ['1', '1.00', '1.004', '1.01'],
  real: ['0', '-0', '0.1', '1e-1', '16777216', '16777217', 'NaN', 'Infinity', '1e-40'],
  'double precision': ['0', '-0', '0.1', '1e-1', '0.30000000000000004', '0.3', 'NaN', '-Infinity', '5e-324'],
  boolean: ['true', 't', 'on', 'false'],
  uuid: [
    '0a0b0c0d-1111-4222-8333-aabbccddeeff',
    '{0A0B0C0D11114222-8333-AABBCCDDEEFF}',
    '0a0b0c0d-1111-4222-8333-aabbccddee00',
  ],
  text: ['a', 'A', 'a ', 'ä', 'a\u0308', ''],
  'text COLLATE "C"': ['a', 'A', 'ä'],
  'character varying(3)': ['a', 'A', 'a ', 'abc'],
  'character(4)': ['a', 'a  ', 'A', 'ab'],
  name: ['a', 'A', 'a '],
  '"char"': ['a', 'A'],
  citext: [
    'ada',
    'Ada',
    'ADA',
    'ada ',
    'É',
    'é',
    'İ',
    'i',
    'ß',
    'ẞ',
    'Σ',
    'ς',
    'σ',
    '\\a',
    "o'neill",
    "O'Neill",
  ],
  bytea: ['a', '\\x61', '\\141', '\\x6100', ''],
  date: ['2024-01-01', '20240101', 'January 1, 2024', '0044-03-15 BC', '0044-03-15', 'infinity', '-infinity'],
  timestamp: [
    '2024-01-01',
    '2024-01-01 00:00:00.0',
    '2024-01-01 00:00:00.000001',
    '0044-03-15 BC',
    'infinity',
  ],
  timestamptz: [
    '2024-01-01 00:00+00',
    '2024-01-01 01:00+01',
    '2023-12-31 19:00-05',
    '2024-01-01 00:00:00.5+00',
    '2024-07-01 00:00+00',
    '0044-03-15 00:00+00 BC',
    '0044-03-15 00:00+00',
    '1890-01-01 00:00+00',
    '1890-01-01 00:00:00.000001+00',
    'infinity',
    '-infinity',
  ],
  'timestamp(3) with time zone': ['2024-01-01 00:00:00.1234+00', '2024-01-01 00:00:00.123+00'],
  time: ['10:00', '10:00:00.0', '10:00 PM', '22:00'],
  timetz: ['10:00+00', '11:00+01', '10:00:00.0+00'],
  interval: [
    '1 month',
    '30 days',
    '720 hours',
    '1 day',
    '24 hours',
    '1 mon -1 day',
    '29 days',
    '-1 day',
    '-24:00:00',
    '0',
    '1 mon -30 days',
    '1 year',
    '12 mons',
    '360 days',
    '365 days',
  ],
  'interval day to second': ['1 day', '24 hours', '25 hours'],
  inet: ['10.0.0.1', '10.0.0.1/32', '10.0.0.1/24', '::1'],
  cidr: ['10.0.0.0/8', '10/8', '10.0.0.0/16'],
  macaddr: ['08:00:2b:01:02:03', '08-00-2B-01-02-03', '08002b:010204'],
  'bit(3)': ['101', '100'],
  'bit varying': ['101', '1010', '10'],
  money: ['1', '1.00', '1,000.00', '1000', '-1'],
  pg_lsn: ['0/1', '00/01', '1/0'],
  mood: ['calm', 'wild'],
  handle: ['ada', 'Ada', 'eve'],
  inner_handle: ['ada', 'Ada', 'eve'],
  amount: ['1', '1.0', '2'],
}
/** Equal values with several texts, none of which is the one. */
const without: Record<string, readonly string[]> = {
  'text COLLATE caseless': ['ada', 'Ada', 'eve'],
  jsonb: ['{"a": 1}', '{"a":1.0}', '{"a": 2}'],
  'numeric[]': ['{1}', '{1.0}', '{2}'],
  tstzrange: ['[2024-01-01 00:00+00,)', '[2024-01-01 01:00+01,)'],
  pair: ['(1,a)', '(1.0,a)'],
}

let play: Playground
const sessions: Database[] = []
let close: () => Promise<void>
beforeAll(async () => {
  play = await playground()
  for (const sql of [
    'CREATE EXTENSION citext',
    `CREATE TYPE mood AS ENUM ('calm', 'wild')`,
    `CREATE DOMAIN handle AS citext CHECK (VALUE <> '')`,
    'CREATE DOMAIN inner_handle AS handle',
    'CREATE DOMAIN amount AS numeric(10,2)',
    'CREATE TYPE pair AS (a numeric, b text)',
  ])
    await play.db.execute(sql)
  await createCaseless(play.db)
  // a database whose every session prints otherwise than ours
  const database = await freshDatabase()
  const url =
    (await play.db.query(z.object({ name: z.string() }), 'SELECT current_database() AS name'))[0]?.name ?? ''
  const here = new URL(database.url)
  here.pathname = `/${url}`
  for (const setting of [
    `IntervalStyle = 'iso_8601'`,
    `bytea_output = 'escape'`,
    'extra_float_digits = -5',
    `DateStyle = 'German, DMY'`,
    `TimeZone = 'Asia/Kathmandu'`,
    'standard_conforming_strings = off',
  ])
    await play.db.execute(`ALTER DATABASE ${url} SET ${setting}`)
  for (const timeZone of [undefined, 'Europe/Berlin', 'America/St_Johns', 'Asia/Kathmandu'])
    sessions.push(openDatabase(here.href, { name: 'app', applicationName: 'test', timeZone }))
  close = async () => {
    for (const session of sessions) await session.close()
    await database.drop()
    await play.close()
  }
})
afterAll(() => close())

/** What the catalogue says of a column of this type, with the table that has the values. */
async function filled(type: string, texts: readonly string[]): Promise<{ table: string; column: KeyType }> {
  const schema = await play.schema('SELECT')
  await play.db.execute(`CREATE TABLE ${schema}.t (n int, v ${type})`)
  const cast = type.replace(/ COLLATE .*/, '')
  await play.db.execute(
    `INSERT INTO ${schema}.t SELECT ord, v::${cast} FROM unnest($1::text[]) WITH ORDINALITY AS g(v, ord)`,
    [texts],
  )
  const column = (await loadCatalogue(play.db, [schema])).tables.get(`${schema}.t`)?.columns.get('v')
  if (column === undefined) throw new Error('no column')
  return { table: `${schema}.t`, column: column.keyType }
}

const pair = z.object({ a: z.string(), b: z.string(), same: z.boolean() })

describe.each(Object.entries(values))('a key of type %s', (type, texts) => {
  it('has one text for values that are equal, a text of its own otherwise, and both in every session', async () => {
    const { table, column } = await filled(type, texts)
    expect(column.oneText).toBe(true)
    const seen = new Set<string>()
    for (const session of sessions) {
      const pairs = await session.query(
        pair,
        `SELECT ${keyText(column, 'x.v')} AS a, ${keyText(column, 'y.v')} AS b, x.v = y.v AS same
         FROM ${table} x, ${table} y ORDER BY x.n, y.n`,
      )
      for (const { a, b, same } of pairs) expect(a === b, `${a} and ${b}`).toBe(same)
      seen.add(JSON.stringify(pairs))
    }
    expect(seen.size).toBe(1)
  })

  it('leads back to its row by both texts, in every session', async () => {
    const { table, column } = await filled(type, texts)
    const [first] = sessions
    for (const text of [keyText(column, 'v'), writtenText(column, 'v')]) {
      const known = await first?.query(
        z.object({ n: z.number(), text: z.string() }),
        `SELECT n, ${text} AS text FROM ${table}`,
      )
      for (const session of sessions) {
        const found = await session.query(
          z.object({ n: z.number() }),
          `SELECT t.n FROM unnest($1::int[], $2::text[]) AS g(n, text) JOIN ${table} t ON t.n = g.n AND t.v = g.text::${column.type} ORDER BY 1`,
          [known?.map(({ n }) => n), known?.map((row) => row.text)],
        )
        expect(found).toHaveLength(texts.length)
      }
    }
  })
})

describe.each(Object.entries(without).filter(([type]) => isThere(type)))(
  'a key of type %s',
  (type, texts) => {
    it('has no one text, and is known for it', async () => {
      const { column } = await filled(type, texts)
      expect(column.oneText).toBe(false)
    })
  },
)

it('A key that is longer than its column is cut down to nobody.', async () => {
  for (const type of [
    'character(2)',
    'character varying(2)',
    'bit(2)',
    'numeric(4,1)',
    'timestamp(0)',
    'interval(0)',
  ]) {
    const [long, short] = type.startsWith('bit')
      ? ['110', '11']
      : type.startsWith('n')
        ? ['1.04', '1.0']
        : type.startsWith('t')
          ? ['2024-01-01 00:00:00.2', '2024-01-01']
          : type.startsWith('i')
            ? ['1.2 seconds', '1 second']
            : ['abc', 'ab']
    const { table, column } = await filled(type, [short])
    const found = await play.db.execute(`SELECT FROM ${table} WHERE v = $1::text::${column.type}`, [long])
    expect(found, type).toBe(0)
    expect(
      await play.db.execute(`SELECT FROM ${table} WHERE v = $1::text::${column.type}`, [short]),
      type,
    ).toBe(1)
  }
})
