/**
 * Sessions of the application write while batches remove people: they move visits and notes to others, add and change them.
 * Whatever was moved to, or made for, somebody who stays must be there at the end. A failure prints its seed: run it again
 * with LETHE_MODEL_SEED; LETHE_MODEL_RUNS asks for more.
 */
import pg from 'pg'
import { afterAll, beforeAll, expect, it, test } from 'vitest'
import { z } from 'zod'
import { newId } from '../../lib/base/clock/index.ts'
import { migrate, openDatabase, type Database } from '../../lib/base/db/index.ts'
import { loadCatalogue, mapShape } from '../../lib/data/datamap/index.ts'
import { planDeletion, type DeletionPlan } from '../../lib/data/deletion/index.ts'
import { storeSchema } from '../../lib/data/erasers/index.ts'
import { raiseFence, runBatch, type Batch } from '../../lib/data/rows/index.ts'
import { freshDatabase } from '../support/servers/shared.ts'
import { untilWaiting } from '../support/stages/small-clinic.ts'

const schema = `
  CREATE TABLE people (id bigint PRIMARY KEY, seen_at timestamptz);
  CREATE TABLE visits (id bigserial PRIMARY KEY, person_id bigint NOT NULL REFERENCES people);
  CREATE TABLE notes (id bigserial PRIMARY KEY, visit_id bigint NOT NULL REFERENCES visits, body text);
  CREATE TABLE tags (id bigserial PRIMARY KEY, note_ref bigint NOT NULL, name text);
  CREATE TABLE bills (id bigserial PRIMARY KEY, visit_id bigint NOT NULL REFERENCES visits, payer text, keep_until timestamptz NOT NULL);
  CREATE INDEX ON visits (person_id); CREATE INDEX ON notes (visit_id); CREATE INDEX ON tags (note_ref); CREATE INDEX ON bills (visit_id);`

const owned = (to: string, column: string, columns: Record<string, string[]>) => ({
  columns,
  edges: [{ kind: 'owned', to, columns: [column] }],
  action: 'delete',
})
const map = z.strictObject(mapShape(storeSchema)).parse({
  stores: { main: { kind: 'postgres', url: 'env:TARGET' } },
  subjects: { person: { store: 'main', root: 'public.people' } },
  tables: {
    main: {
      'public.people': { columns: { none: ['id', 'seen_at'] }, action: 'delete' },
      'public.visits': owned('public.people', 'person_id', { none: ['id', 'person_id'] }),
      'public.notes': owned('public.visits', 'visit_id', { none: ['id', 'visit_id'], 'free-text': ['body'] }),
      'public.tags': owned('public.notes', 'note_ref', { none: ['id', 'note_ref', 'name'] }),
      'public.bills': owned('public.visits', 'visit_id', {
        none: ['id', 'visit_id', 'keep_until'],
        identity: ['payer'],
      }),
    },
  },
  accept: [],
})

const GOING = 8
const PEOPLE = 12
const WRITERS = 3
const ACTS = 60

let url: string
let db: Database
let plan: DeletionPlan
let drop: () => Promise<void>
beforeAll(async () => {
  const database = await freshDatabase()
  url = database.url
  drop = async () => database.drop()
  await migrate(url, 'target')
  db = openDatabase(url, { name: 'main', applicationName: 'lethe test', max: 4 })
  for (const statement of schema.split(';')) await db.execute(statement)
  plan = planDeletion(map, 'main', { subject: 'person' }, await loadCatalogue(db, ['public']))
})
afterAll(async () => {
  await db.close()
  await drop()
})

async function fill(): Promise<void> {
  await db.execute('TRUNCATE people, visits, notes, tags, bills RESTART IDENTITY')
  await db.execute(`INSERT INTO people SELECT n FROM generate_series(1, ${PEOPLE}) n`)
  await db.execute('INSERT INTO visits (person_id) SELECT p.id FROM people p, generate_series(1, 3)')
  await db.execute(`INSERT INTO notes (visit_id, body) SELECT v.id, 'x' FROM visits v, generate_series(1, 3)`)
  await db.execute(`INSERT INTO tags (note_ref, name) SELECT id, 'x' FROM notes`)
}

/** Everything by which batches can be asked to erase persons, one transaction each. */
async function batches(): Promise<(keys: readonly number[], more?: Partial<Batch>) => Promise<number[]>> {
  const runId = newId()
  await raiseFence(db, runId, 1n)
  let number = 0n
  return async (keys, more = {}) => {
    number += 1n
    const { done } = await runBatch(
      db,
      plan,
      {
        runId,
        fence: 1n,
        number,
        proposalId: null,
        roots: keys.map((key) => ({ ordinal: BigInt(key), key: [String(key)] })),
        guard: null,
        wait: false,
        pieceRows: null,
        ...more,
      },
      { beforeDestruction: () => Promise.resolve() },
    )
    return done.map(Number)
  }
}

/** Numbers from 0 to below `n`, the same for the same seed. */
function generator(seed: number): (n: number) => number {
  let state = seed >>> 0
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
}

/** What must be there at the end: `table id`. */
type Expected = Set<string>

/** One session of the application; what it has committed for somebody who stays goes into `expected`. */
async function writer(pick: (n: number) => number, expected: Expected): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const ids = async (sql: string, values: unknown[]) =>
    (await client.query<{ id: string }>(sql, values)).rows.map(({ id }) => id)
  const someone = () => GOING + 1 + pick(PEOPLE - GOING)
  const theirs = () => ids('SELECT id FROM visits WHERE person_id = $1 ORDER BY id FOR UPDATE', [someone()])
  const acts: (() => Promise<string[]>)[] = [
    async () => {
      // filed under the wrong patient
      const moved = await ids('UPDATE visits SET person_id = $1 WHERE id = $2 RETURNING id', [
        someone(),
        1 + pick(PEOPLE * 3),
      ])
      const notes = await ids('SELECT id FROM notes WHERE visit_id = ANY ($1)', [moved])
      const tags = await ids('SELECT id FROM tags WHERE note_ref = ANY ($1)', [notes])
      return [
        ...moved.map((id) => `visits ${id}`),
        ...notes.map((id) => `notes ${id}`),
        ...tags.map((id) => `tags ${id}`),
      ]
    },
    async () => {
      // a note that belongs to another visit
      const [visit] = await theirs()
      if (visit === undefined) return []
      const moved = await ids('UPDATE notes SET visit_id = $1 WHERE id = $2 RETURNING id', [
        visit,
        1 + pick(PEOPLE * 9),
      ])
      const tags = await ids('SELECT id FROM tags WHERE note_ref = ANY ($1)', [moved])
      return [...moved.map((id) => `notes ${id}`), ...tags.map((id) => `tags ${id}`)]
    },
    async () => {
      const [visit] = await theirs()
      if (visit === undefined) return []
      const made = await ids(`INSERT INTO notes (visit_id, body) VALUES ($1, 'new') RETURNING id`, [visit])
      return made.map((id) => `notes ${id}`)
    },
    async () => {
      await client.query(`UPDATE notes SET body = body || '.' WHERE visit_id = $1`, [1 + pick(PEOPLE * 3)])
      return []
    },
    async () => {
      await client.query('INSERT INTO visits (person_id) VALUES ($1)', [1 + pick(GOING)])
      return []
    },
    async () => {
      await client.query('UPDATE people SET seen_at = now() WHERE id = $1', [1 + pick(GOING)])
      return []
    },
  ]
  try {
    for (let n = 0; n < ACTS; n += 1) {
      try {
        await client.query('BEGIN')
        const kept = await (acts[pick(acts.length)] ?? theirs)()
        await client.query('COMMIT')
        for (const one of kept) expected.add(one)
      } catch {
        // a deadlock, or a person who is gone: this act of the application did not happen
        await client.query('ROLLBACK')
      }
    }
  } finally {
    await client.end()
  }
}

async function present(table: string): Promise<string[]> {
  const rows = await db.query(z.object({ id: z.string() }), `SELECT id FROM ${table}`)
  return rows.map(({ id }) => `${table} ${id}`)
}

it('While others move, add and change rows, only rows of the persons of a batch are removed', async () => {
  const { LETHE_MODEL_SEED: seed, LETHE_MODEL_RUNS: runs } = process.env
  const first = Number(seed ?? 1)
  for (let one = first; one < first + Number(runs ?? (seed === undefined ? 12 : 1)); one += 1) {
    await fill()
    const pick = generator(one)
    const expected: Expected = new Set()
    const erase = await batches()
    const writing = Array.from({ length: WRITERS }, (_, place) =>
      writer(generator(one * 1000 + place), expected),
    )
    const left = new Set(Array.from({ length: GOING }, (_, place) => place + 1))
    for (let turn = 0; left.size > 0; turn += 1) {
      const some = [...left].slice(0, 1 + pick(4))
      const more = pick(4) === 0 && some.length === 1 ? { pieceRows: 3 } : { wait: pick(2) === 0 }
      for (const id of await erase(some, more)) left.delete(id)
      // who can't go now comes last
      for (const id of some) if (left.delete(id)) left.add(id)
      if (turn === 400) await Promise.all(writing)
      expect(turn, `seed ${one}: persons ${[...left].join(', ')} never go`).toBeLessThan(600)
    }
    await Promise.all(writing)
    const there = new Set((await Promise.all(['visits', 'notes', 'tags'].map(present))).flat())
    expect(
      [...expected].filter((row) => !there.has(row)),
      `seed ${one}`,
    ).toEqual([])
    const orphans = await db.query(
      z.object({ id: z.string() }),
      'SELECT id FROM tags WHERE NOT EXISTS (SELECT FROM notes WHERE notes.id = note_ref)',
    )
    expect(orphans, `seed ${one}`).toEqual([])
  }
}, 600_000)

test('A visit that is moved to another person while its former one is erased keeps its notes', async () => {
  await fill()
  const erase = await batches()
  const [visit] = await db.query(
    z.object({ id: z.string() }),
    'SELECT min(id) AS id FROM visits WHERE person_id = 1',
  )
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query('BEGIN')
    await client.query(`UPDATE notes SET body = 'moved' WHERE visit_id = $1`, [visit?.id])
    await client.query('UPDATE visits SET person_id = 2 WHERE id = $1', [visit?.id])
    const erasing = erase([1], { wait: true })
    await untilWaiting(db)
    await client.query('COMMIT')
    expect(await erasing).toEqual([1])
  } finally {
    await client.end()
  }
  const [row] = await db.query(
    z.object({ n: z.coerce.number() }),
    'SELECT count(*) AS n FROM notes JOIN visits v ON v.id = visit_id WHERE v.id = $1 AND person_id = 2',
    [visit?.id],
  )
  expect(row?.n).toBe(3)
})
