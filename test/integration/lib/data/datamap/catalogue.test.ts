import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { explainPlan } from '../../../../../lib/data/deletion/index.ts'
import { loadCatalogue } from '../../../../../lib/data/datamap/index.ts'
import { planFor, playground, type Playground } from '../../../../support/stages/datamap.ts'

let play: Playground
beforeAll(async () => {
  play = await playground()
})
afterAll(() => play.close())

describe('the catalogue', () => {
  it('reads tables, keys, indexes, row security and owners', async () => {
    const s = await play.schema(`
      CREATE DOMAIN code AS varchar(8) NOT NULL;
      CREATE TABLE "People" (a int, "B" text, c code, d int GENERATED ALWAYS AS (a + 1) STORED, PRIMARY KEY ("B", a));
      CREATE UNIQUE INDEX one ON "People" (c) INCLUDE (d); CREATE INDEX two ON "People" (a, lower("B")); CREATE INDEX three ON "People" (d) WHERE d > 1;
      ALTER TABLE "People" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
      CREATE VIEW no_table AS SELECT 1; CREATE TABLE dropped (a int, b int); ALTER TABLE dropped DROP COLUMN a;`)
    const { tables } = await loadCatalogue(play.db, [s])
    const people = tables.get(`${s}.People`)
    expect(people).toMatchObject({
      kind: 'table',
      primaryKey: ['B', 'a'],
      rowSecurity: 'forced',
      owner: 'postgres',
    })
    const one = (type: string) => ({ type, oneText: true })
    expect([...(people?.columns.values() ?? [])]).toEqual([
      { name: 'a', type: 'integer', notNull: true, generated: false, keyType: one('integer') },
      { name: 'B', type: 'text', notNull: true, generated: false, keyType: one('text') },
      {
        name: 'c',
        type: 'character varying(8)',
        notNull: true,
        generated: false,
        keyType: one('character varying'),
      },
      { name: 'd', type: 'integer', notNull: false, generated: true, keyType: one('integer') },
    ])
    expect(people?.indexes).toEqual([
      { columns: ['B', 'a'], unique: true, predicate: null },
      { columns: ['c'], unique: true, predicate: null },
      { columns: ['d'], unique: false, predicate: '(d > 1)' },
      { columns: ['a'], unique: false, predicate: null },
    ])
    expect([...tables.keys()]).toEqual([`${s}.People`, `${s}.dropped`])
    expect([...(tables.get(`${s}.dropped`)?.columns.keys() ?? [])]).toEqual(['b'])
  })

  it('folds partitions of partitions into the topmost parent, with their own keys and their rows', async () => {
    const s = await play.schema(`
      CREATE TABLE people (id int PRIMARY KEY);
      CREATE TABLE v (id int, person_id int REFERENCES people, place text, PRIMARY KEY (id, place)) PARTITION BY LIST (place);
      CREATE TABLE v_a PARTITION OF v FOR VALUES IN ('a') PARTITION BY RANGE (id);
      CREATE TABLE v_a1 PARTITION OF v_a FOR VALUES FROM (0) TO (1000); CREATE TABLE v_b PARTITION OF v DEFAULT;
      CREATE TABLE w (id int PRIMARY KEY); INSERT INTO w SELECT generate_series(1, 12); ALTER TABLE v_b ADD CONSTRAINT own FOREIGN KEY (id) REFERENCES w;
      INSERT INTO v SELECT i, null, 'a' FROM generate_series(1, 30) i; INSERT INTO v SELECT i, null, 'b' FROM generate_series(1, 12) i;
      ANALYZE v_a1; ANALYZE v_b;`)
    const { tables, foreignKeys } = await loadCatalogue(play.db, [s])
    expect([...tables.keys()]).toEqual([`${s}.people`, `${s}.v`, `${s}.w`])
    expect(tables.get(`${s}.v`)).toMatchObject({ kind: 'partitioned', estimate: 42, hasChildren: false })
    expect(tables.get(`${s}.v`)?.indexes).toEqual([
      { columns: ['id', 'place'], unique: true, predicate: null },
    ])
    expect(foreignKeys.map(({ from, to, columns }) => ({ from, to, columns }))).toEqual([
      { from: `${s}.v`, to: `${s}.people`, columns: ['person_id'] },
      { from: `${s}.v`, to: `${s}.w`, columns: ['id'] },
    ])
  })

  it('counts a table that was never analysed by its size', async () => {
    const s = await play.schema(
      `CREATE TABLE never (id int) WITH (autovacuum_enabled = off); INSERT INTO never SELECT generate_series(1, 20000); CREATE TABLE empty (id int);`,
    )
    const { tables } = await loadCatalogue(play.db, [s])
    expect(tables.get(`${s}.never`)?.estimate).toBeGreaterThan(5000)
    expect(tables.get(`${s}.empty`)?.estimate).toBe(0)
  })

  it('knows what every foreign key does, also those of other schemas', async () => {
    const other = await play.schema('CREATE TABLE far (id int PRIMARY KEY)')
    const s = await play.schema(`CREATE TABLE a (x int, y int, PRIMARY KEY (x, y));
      CREATE TABLE ${other}.b (p int, q int, CONSTRAINT k1 FOREIGN KEY (q, p) REFERENCES a ON DELETE CASCADE);
      CREATE TABLE c (p int CONSTRAINT k2 REFERENCES ${other}.far ON DELETE SET NULL DEFERRABLE);`)
    const { foreignKeys, tables } = await loadCatalogue(play.db, [s])
    expect(foreignKeys).toEqual([
      {
        name: 'k1',
        from: `${other}.b`,
        to: `${s}.a`,
        columns: ['q', 'p'],
        references: ['x', 'y'],
        onDelete: 'cascade',
        deferrable: false,
      },
      {
        name: 'k2',
        from: `${s}.c`,
        to: `${other}.far`,
        columns: ['p'],
        references: ['id'],
        onDelete: 'set null',
        deferrable: true,
      },
    ])
    expect(tables.get(`${other}.b`)?.inScope).toBe(false)
  })
})

describe('a plan and the views over its tables', () => {
  it('lists materialised views in the order of their refresh, through plain views', async () => {
    const s = await play.schema(`
      CREATE TABLE people (id int PRIMARY KEY); CREATE TABLE codes (id int PRIMARY KEY);
      CREATE VIEW v AS SELECT id FROM people;
      CREATE MATERIALIZED VIEW b_first AS SELECT id FROM v; CREATE UNIQUE INDEX ON b_first (id);
      CREATE MATERIALIZED VIEW a_second AS SELECT count(*) FROM b_first;
      CREATE MATERIALIZED VIEW other AS SELECT count(*) FROM codes;`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: { people: {}, codes: { action: 'ignore', reason: 'no person' } },
    })
    expect(plan.materialisedViews).toEqual([
      { view: { schema: s, table: 'b_first' }, unique: true },
      { view: { schema: s, table: 'a_second' }, unique: false },
    ])
    const text = explainPlan(plan)
    for (const part of [
      'Steps, in this order',
      `${s}.b_first (concurrently)`,
      `${s}.codes: ignored (no person)`,
    ])
      expect(text).toContain(part)
  })

  it('has the same hash until the statements change, whatever the estimates say', async () => {
    const s = await play.schema('CREATE TABLE people (id int PRIMARY KEY, name text)')
    const hash = async (entry: Record<string, unknown>) =>
      (await planFor(play.db, { schema: s, tables: { people: entry } })).hash
    const first = await hash({})
    await play.db.execute(`INSERT INTO ${s}.people SELECT generate_series(1, 1000)`)
    await play.db.execute(`ANALYZE ${s}.people`)
    expect(await hash({})).toBe(first)
    expect(await hash({ action: 'pseudonymise', pseudonymise: { name: { set: null } } })).not.toBe(first)
  })
})

describe('the statements on large tables', () => {
  it('find their rows by index at every depth, whole and in pieces', { timeout: 60_000 }, async () => {
    const s = await play.schema(`
      CREATE TABLE people (id bigint PRIMARY KEY, number text NOT NULL UNIQUE);
      CREATE TABLE visits (id bigint PRIMARY KEY, person_id bigint NOT NULL);
      CREATE TABLE notes (id bigint PRIMARY KEY, visit_id bigint NOT NULL);
      CREATE TABLE files (id bigint PRIMARY KEY, kind text NOT NULL, of bigint NOT NULL);
      CREATE TABLE results (number text NOT NULL, value int);
      CREATE TABLE bills (id bigint PRIMARY KEY, visit_id bigint NOT NULL, until date);
      INSERT INTO people SELECT i, 'n' || i FROM generate_series(1, 60000) i;
      INSERT INTO visits SELECT i, 1 + i % 60000 FROM generate_series(1, 120000) i;
      INSERT INTO notes SELECT i, 1 + i % 120000 FROM generate_series(1, 240000) i;
      INSERT INTO files SELECT i, CASE i % 3 WHEN 0 THEN 'person' ELSE 'visit' END, 1 + i % 60000 FROM generate_series(1, 180000) i;
      INSERT INTO results SELECT 'n' || (1 + i % 60000), i FROM generate_series(1, 120000) i;
      INSERT INTO bills SELECT i, i, now() FROM generate_series(1, 120000) i;
      CREATE INDEX ON visits (person_id); CREATE INDEX ON notes (visit_id); CREATE INDEX ON files (of, kind);
      CREATE INDEX ON results (number); CREATE INDEX ON bills (visit_id);`)
    await play.db.execute('ANALYZE')
    const visit = { kind: 'owned', to: 'visits', columns: ['visit_id'] }
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: { pseudonymise: { number: { hash: true } } },
        visits: {
          edges: [{ kind: 'owned', to: 'people', columns: ['person_id'] }],
          action: 'retain',
          retain: { ground: 'law', until: 'now()' },
        },
        notes: { edges: [visit] },
        files: {
          edges: [
            { kind: 'owned', to: 'people', columns: ['of'], when: { column: 'kind', equals: 'person' } },
            { kind: 'owned', to: 'visits', columns: ['of'], when: { column: 'kind', equals: 'visit' } },
          ],
        },
        results: { edges: [{ kind: 'owned', to: 'people', columns: ['number'], references: ['number'] }] },
        bills: { edges: [visit], action: 'retain', retain: { ground: 'law', until: 't.until' } },
      },
    })
    const ids = Array.from({ length: 500 }, (_, i) => String(1 + i * 119))
    const line = z.object({ 'QUERY PLAN': z.string() })
    for (const step of plan.steps)
      for (const sql of [step.sql, step.pieceSql].filter((text) => text !== undefined)) {
        const values = sql === step.sql ? [ids] : [ids, 1000]
        const lines = await play.db.transaction(async (tx) => {
          await tx.execute(`SET LOCAL lethe.pseudonym_key = 'x'`)
          return tx.query(line, `EXPLAIN ${sql}`, values)
        })
        const scans = lines.map((row) => row['QUERY PLAN']).filter((text) => text.includes('Seq Scan'))
        expect({ step: step.id, scans }).toEqual({ step: step.id, scans: [] })
      }
  })

  it('find a row of one subject by index, also through a key of two columns', async () => {
    const s = await play.schema(`
      CREATE TABLE people (id bigint PRIMARY KEY);
      CREATE TABLE vitals (id bigint, at date, person_id bigint NOT NULL, PRIMARY KEY (id, at));
      CREATE TABLE alerts (id bigint PRIMARY KEY, vital_id bigint NOT NULL, vital_at date NOT NULL);
      INSERT INTO people SELECT i FROM generate_series(1, 20000) i;
      INSERT INTO vitals SELECT i, '2026-01-01', i FROM generate_series(1, 20000) i;
      INSERT INTO alerts SELECT i, i, '2026-01-01' FROM generate_series(1, 20000) i;
      CREATE INDEX ON vitals (person_id); CREATE INDEX ON alerts (vital_id, vital_at);`)
    await play.db.execute('ANALYZE')
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: {},
        vitals: { edges: [{ kind: 'owned', to: 'people', columns: ['person_id'] }] },
        alerts: {
          edges: [
            { kind: 'owned', to: 'vitals', columns: ['vital_id', 'vital_at'], references: ['id', 'at'] },
          ],
        },
      },
    })
    const ids = Array.from({ length: 20 }, (_, i) => String(1 + i * 39))
    const line = z.object({ 'QUERY PLAN': z.string() })
    for (const { table, belongs } of plan.tables.filter((entry) => entry.table.table !== 'people')) {
      const lines = await play.db.query(
        line,
        `EXPLAIN SELECT count(*) FROM unnest($1::bigint[]) AS root(id) JOIN ${s}.${table.table} t ON (${belongs})`,
        [ids],
      )
      const scans = lines.map((row) => row['QUERY PLAN']).filter((text) => text.includes('Seq Scan'))
      expect({ table: table.table, scans }).toEqual({ table: table.table, scans: [] })
    }
  })
})
