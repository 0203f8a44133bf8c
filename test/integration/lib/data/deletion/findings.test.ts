import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkMap, planDeletion, type Finding } from '../../../../../lib/data/deletion/index.ts'
import { loadCatalogue } from '../../../../../lib/data/datamap/index.ts'
import { LetheError } from '../../../../../lib/base/errors/index.ts'
import { mapOf, playground, type MapShape, type Playground } from '../../../../support/stages/datamap.ts'

let play: Playground
beforeAll(async () => {
  play = await playground()
})
afterAll(() => play.close())

const people = 'CREATE TABLE people (id bigint PRIMARY KEY, name text NOT NULL);'
const owned = { kind: 'owned', to: 'people', columns: ['person_id'] }
const visits = 'CREATE TABLE visits (id int PRIMARY KEY, person_id bigint NOT NULL REFERENCES people);'

async function findings(
  script: string,
  shape: (schema: string) => Omit<MapShape, 'schema' | 'catalogue'>,
): Promise<{ ids: string[]; all: Finding[] }> {
  const schema = await play.schema(script)
  const catalogue = await loadCatalogue(play.db, [schema])
  const all = checkMap(mapOf({ schema, catalogue, ...shape(schema) }), 'test', catalogue)
  const ids = all.map((finding) => finding.id.replaceAll(`${schema}.`, '').replace(':test/', ' '))
  return { all, ids: ids.toSorted() }
}

describe('datamap check', () => {
  it('finds nothing on a map that says everything', async () => {
    const { ids } = await findings(people + visits, () => ({
      tables: { people: {}, visits: { edges: [owned] } },
    }))
    expect(ids).toEqual([])
  })

  it('lists unclassified and vanished tables and columns, all at once', async () => {
    const { ids } = await findings(
      `${people} CREATE TABLE strangers (id int); CREATE VIEW v AS SELECT 1;`,
      () => ({
        tables: {
          people: {
            columns: { none: ['id', 'gone'] },
            pseudonymise: { lost: { set: null } },
            edges: [{ kind: 'reference', to: 'people', columns: ['missing'] }],
          },
          left: { columns: { none: ['id'] } },
        },
        subject: { tenant: 'tenant_id' },
      }),
    )
    expect(ids).toEqual(
      [
        'unclassified-table strangers',
        'unclassified-column people.name',
        'vanished-table left',
        'vanished-column people.gone',
        'vanished-column people.lost',
        'vanished-column people.missing',
        'vanished-column people.tenant_id',
      ].toSorted(),
    )
  })

  it('names delete triggers and rules of the tables that rows leave, those of a partition too', async () => {
    const { ids } = await findings(
      `${people} ${visits}
       CREATE TABLE vitals (person_id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);
       CREATE TABLE vitals_1 PARTITION OF vitals DEFAULT;
       CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
       CREATE TRIGGER each_row BEFORE DELETE ON visits FOR EACH ROW EXECUTE FUNCTION f();
       CREATE TRIGGER each_statement AFTER UPDATE OR DELETE ON people FOR EACH STATEMENT EXECUTE FUNCTION f();
       CREATE TRIGGER off BEFORE DELETE ON visits FOR EACH ROW EXECUTE FUNCTION f();
       ALTER TABLE visits DISABLE TRIGGER off;
       CREATE TRIGGER inserts BEFORE INSERT ON visits FOR EACH ROW EXECUTE FUNCTION f();
       CREATE TRIGGER own AFTER DELETE ON vitals_1 FOR EACH ROW EXECUTE FUNCTION f();
       CREATE RULE keep AS ON DELETE TO visits DO INSTEAD NOTHING;`,
      () => ({ tables: { people: {}, visits: { edges: [owned] }, vitals: { edges: [owned] } } }),
    )
    expect(ids).toEqual(
      [
        'delete-trigger people.each_statement',
        'delete-trigger visits.each_row',
        'delete-trigger vitals.own',
        'rule visits.keep',
      ].toSorted(),
    )
  })

  it('reports cascades and set-nulls that reach rows no plan shows', async () => {
    const { ids } = await findings(
      `${people} ${visits}
       CREATE TABLE logs (id int PRIMARY KEY, person_id bigint REFERENCES people ON DELETE CASCADE);
       CREATE TABLE seats (id int PRIMARY KEY, visit_id int REFERENCES visits ON DELETE SET NULL);
       CREATE TABLE fine (id int PRIMARY KEY, visit_id int NOT NULL REFERENCES visits ON DELETE CASCADE);`,
      () => ({
        tables: {
          people: {},
          visits: { edges: [owned] },
          logs: { action: 'ignore', reason: 'log' },
          seats: { action: 'ignore', reason: 'seats' },
          fine: { edges: [{ kind: 'owned', to: 'visits', columns: ['visit_id'] }] },
        },
      }),
    )
    expect(ids).toEqual(
      [
        'cascade-outside-plan logs(person_id)->people',
        'cascade-outside-plan seats(visit_id)->visits',
      ].toSorted(),
    )
  })

  it('reports foreign keys that would refuse the delete, from other schemas as well', async () => {
    const other = await play.schema('SELECT 1')
    const { ids } = await findings(
      `${people} ${visits}
       CREATE TABLE ${other}.claims (id int PRIMARY KEY, person_id bigint REFERENCES people);
       CREATE TABLE bills (id int PRIMARY KEY, visit_id int NOT NULL REFERENCES visits, person_id bigint NOT NULL REFERENCES people);
       CREATE TABLE refs (id int PRIMARY KEY, visit_id int REFERENCES visits);`,
      () => ({
        tables: {
          people: { pseudonymise: { name: { set: '' } } },
          visits: { edges: [owned] },
          bills: {
            edges: [owned, { kind: 'owned', to: 'visits', columns: ['visit_id'] }],
            action: 'retain',
            retain: { ground: 'accounting', until: 'now()' },
          },
          refs: {
            action: 'ignore',
            reason: 'x y z',
            edges: [{ kind: 'reference', to: 'visits', columns: ['visit_id'] }],
          },
        },
      }),
    )
    expect(ids).toEqual(
      [
        'blocking-foreign-key bills(visit_id)->visits',
        'blocking-foreign-key refs(visit_id)->visits',
        `blocking-foreign-key ${other}.claims(person_id)->people`,
        'several-owners bills(person_id, visit_id)',
      ].toSorted(),
    )
  })

  it('reports a path through nullable columns only', async () => {
    const { ids } = await findings(
      `${people} ${visits}
       CREATE TABLE a (id int PRIMARY KEY, person_id bigint REFERENCES people);
       CREATE TABLE b (id int PRIMARY KEY, person_id bigint REFERENCES people, visit_id int NOT NULL REFERENCES visits);`,
      () => ({
        tables: {
          people: {},
          visits: { edges: [owned] },
          a: { edges: [owned] },
          b: { edges: [owned, { kind: 'owned', to: 'visits', columns: ['visit_id'] }] },
        },
      }),
    )
    expect(ids).toEqual(['nullable-path a(person_id)', 'several-owners b(person_id, visit_id)'])
  })

  it('reports each edge by which a row may lead to several rows, unless the database proves that it does not', async () => {
    const { ids } = await findings(
      `CREATE TABLE people (id bigint PRIMARY KEY, number text NOT NULL, device int, local_id int, home_id int, seat_id int UNIQUE, code text UNIQUE);
       CREATE UNIQUE INDEX ON people (number) WHERE id > 0;
       CREATE TABLE by_number (id int PRIMARY KEY, number text NOT NULL);
       CREATE TABLE by_pair (id int PRIMARY KEY, device int NOT NULL, local_id int NOT NULL);
       CREATE TABLE by_code (id int PRIMARY KEY, code text NOT NULL, device int NOT NULL);
       CREATE TABLE episodes (id int PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, no int NOT NULL);
       CREATE TABLE by_episode (id int PRIMARY KEY, no int NOT NULL);
       CREATE TABLE homes (id int PRIMARY KEY); CREATE TABLE seats (id int PRIMARY KEY);
       CREATE TABLE letters (id int PRIMARY KEY, writer text);`,
      () => ({
        tables: {
          people: {},
          by_number: {
            edges: [{ kind: 'owned', to: 'people', columns: ['number'], references: ['number'] }],
          },
          by_pair: {
            edges: [
              {
                kind: 'owned',
                to: 'people',
                columns: ['device', 'local_id'],
                references: ['device', 'local_id'],
              },
            ],
          },
          by_code: {
            edges: [
              { kind: 'owned', to: 'people', columns: ['code', 'device'], references: ['code', 'device'] },
            ],
          },
          episodes: { edges: [owned] },
          by_episode: { edges: [{ kind: 'owned', to: 'episodes', columns: ['no'], references: ['no'] }] },
          homes: { edges: [{ kind: 'owned', to: 'people', columns: ['home_id'], side: 'parent' }] },
          seats: { edges: [{ kind: 'owned', to: 'people', columns: ['seat_id'], side: 'parent' }] },
          letters: {
            edges: [
              { kind: 'authored', to: 'people', columns: ['writer'], references: ['number'], then: 'null' },
            ],
          },
        },
      }),
    )
    expect(ids.filter((id) => id.startsWith('ambiguous-owner'))).toEqual(
      [
        'ambiguous-owner by_number(number)->people(number)',
        'ambiguous-owner by_pair(device, local_id)->people(device, local_id)',
        'ambiguous-owner by_episode(no)->episodes(no)',
        'ambiguous-owner homes(id)->people(home_id)',
        'ambiguous-owner letters(writer)->people(number)',
      ].toSorted(),
    )
  })

  it('asks for an index on every column set of a large table that the plan looks up, with or without a key', async () => {
    const { ids } = await findings(
      `${people}
       CREATE TABLE a (id int PRIMARY KEY, person_id bigint NOT NULL, other bigint REFERENCES people);
       CREATE TABLE b (id int PRIMARY KEY, kind text NOT NULL, of bigint NOT NULL); CREATE INDEX ON b (kind, of);
       CREATE TABLE c (id int PRIMARY KEY, person_id bigint NOT NULL); CREATE INDEX ON c (id, person_id); CREATE INDEX ON c (person_id) WHERE id > 5;
       CREATE TABLE d (id int PRIMARY KEY, person_id bigint NOT NULL); CREATE INDEX ON d (person_id) WHERE person_id IS NOT NULL;
       CREATE TABLE small (id int PRIMARY KEY, person_id bigint NOT NULL);
       CREATE TABLE parts (id int, person_id bigint NOT NULL) PARTITION BY RANGE (id);
       CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (50); CREATE INDEX ON parts_1 (person_id);
       CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
       INSERT INTO people VALUES (1, 'x');
       INSERT INTO a SELECT i, 1, 1 FROM generate_series(1, 100) i; INSERT INTO b SELECT i, 'p', 1 FROM generate_series(1, 100) i;
       INSERT INTO c SELECT i, 1 FROM generate_series(1, 100) i; INSERT INTO d SELECT i, 1 FROM generate_series(1, 100) i;
       INSERT INTO parts SELECT i, 1 FROM generate_series(1, 100) i; INSERT INTO small VALUES (1, 1);
       ANALYZE a; ANALYZE b; ANALYZE d; ANALYZE parts_1; ANALYZE parts_2;`,
      () => ({
        store: { large_table_rows: 10 },
        tables: {
          people: {},
          a: { edges: [owned] },
          b: {
            edges: [{ kind: 'owned', to: 'people', columns: ['of'], when: { column: 'kind', equals: 'p' } }],
          },
          c: { edges: [owned] },
          d: { edges: [owned] },
          small: { edges: [owned] },
          parts: { edges: [owned] },
        },
      }),
    )
    expect(ids.filter((id) => !id.includes('small'))).toEqual([
      'unindexed-foreign-key a(other)',
      'unindexed-foreign-key a(person_id)',
      'unindexed-foreign-key c(person_id)',
      'unindexed-foreign-key parts(person_id)',
    ])
  })

  it('refuses a circle that nothing can open', async () => {
    const { ids } = await findings(
      `${people}
       CREATE TABLE eggs (id int PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, hen_id int NOT NULL);
       CREATE TABLE hens (id int PRIMARY KEY, egg_id int NOT NULL REFERENCES eggs);
       ALTER TABLE eggs ADD FOREIGN KEY (hen_id) REFERENCES hens;`,
      () => ({
        tables: {
          people: {},
          eggs: { edges: [owned] },
          hens: { edges: [{ kind: 'owned', to: 'eggs', columns: ['egg_id'] }] },
        },
      }),
    )
    expect(ids).toEqual(['unbreakable-cycle eggs <-> hens'])
  })

  it('refuses a root without a primary key, and an edge to a table without one', async () => {
    const { ids } = await findings(
      'CREATE TABLE people (id bigint NOT NULL); CREATE TABLE a (person_id bigint);',
      () => ({
        tables: { people: {}, a: { edges: [owned] } },
      }),
    )
    expect(ids).toEqual(['no-primary-key people'])
  })

  it('names a key whose equal values have several texts', async () => {
    const { ids } = await findings(
      `CREATE TABLE people (id text, n numeric, j jsonb, PRIMARY KEY (id, n, j));`,
      () => ({ tables: { people: {} } }),
    )
    expect(ids).toEqual(['key-of-several-texts people(j)'])
  })

  it("lists the map's own errors", async () => {
    const { ids } = await findings(
      `${people} ${visits} CREATE TABLE codes (id int PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, code varchar(8) NOT NULL, twin int GENERATED ALWAYS AS (1) STORED);`,
      (s) => ({
        subjects: {
          one: { store: 'test', root: `${s}.people` },
          two: { store: 'test', root: `${s}.people`, other_stores: ['nowhere'] },
          three: { store: 'absent', root: 'a.b' },
          four: { store: 'test', root: `${s}.nothing` },
        },
        tables: {
          people: {
            columns: { none: ['id', 'name'], contact: ['name'] },
            edges: [{ kind: 'owned', to: 'people', columns: ['id'] }],
          },
          visits: {
            action: 'retain',
            retain: { ground: 'law', until: 'parent' },
            edges: [
              owned,
              { kind: 'authored', to: 'people', columns: ['person_id'], side: 'parent' },
              { kind: 'owned', to: 'people', columns: ['id', 'person_id'] },
              { kind: 'owned', to: 'elsewhere', columns: ['id'] },
            ],
          },
          codes: {
            edges: [
              { ...owned, then: 'null' },
              { kind: 'authored', to: 'people', columns: ['person_id'], then: 'null' },
            ],
            pseudonymise: { code: { hash: true }, person_id: { set: null }, twin: { set: 2 } },
          },
        },
      }),
    )
    expect(ids).toEqual(
      [
        'codes.code pseudonymise',
        'codes.person_id pseudonymise',
        'codes.twin pseudonymise',
        'codes(person_id)',
        'codes(person_id)',
        'people(id)',
        'people.name',
        'subject four',
        'subject three',
        'subject two',
        'subject two',
        'visits edge id to elsewhere',
        'visits edge id, person_id to people',
        'visits edge person_id to people',
        'visits retain',
      ]
        .map((on) => `map-error ${on}`)
        .toSorted(),
    )
  })

  it('wants to know what is left of a root that rows keep', async () => {
    const { ids } = await findings(people + visits, () => ({
      tables: {
        people: {},
        visits: { edges: [owned], action: 'retain', retain: { ground: 'law', until: 'now()' } },
      },
    }))
    expect(ids).toEqual(['map-error people pseudonymise'])
  })

  it('says under what is not covered which columns of kept rows stay in clear', async () => {
    const bills = `CREATE TABLE bills (id int PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, bill_name text, mail text, sum int);`
    const schema = await play.schema(people + bills)
    const catalogue = await loadCatalogue(play.db, [schema])
    const map = mapOf({
      schema,
      catalogue,
      tables: {
        people: { pseudonymise: { name: { hash: true } } },
        bills: {
          edges: [owned],
          columns: { none: ['id', 'person_id', 'sum'], identity: ['bill_name'], contact: ['mail'] },
          action: 'retain',
          retain: { ground: 'bookkeeping', until: 'now()' },
          pseudonymise: { mail: { hash: true } },
        },
      },
    })
    const plan = planDeletion(map, 'test', { subject: 'person' }, catalogue)
    expect(plan.notCovered).toContain(
      `${schema}.bills: rows kept under "bookkeeping" keep in clear: bill_name (identity)`,
    )
  })

  it('carries the reason of an accepted finding, and reports an acceptance that matches nothing', async () => {
    const { all } = await findings(`${people} CREATE TABLE a (person_id bigint);`, (s) => ({
      tables: { people: {}, a: { edges: [owned] } },
      accept: [
        { finding: `nullable-path:test/${s}.a(person_id)`, reason: 'counted every month' },
        { finding: `nullable-path:test/${s}.b(person_id)`, reason: 'long gone' },
      ],
    }))
    expect(all.map(({ kind, accepted }) => ({ kind, accepted }))).toEqual([
      { kind: 'map-error', accepted: null },
      { kind: 'nullable-path', accepted: 'counted every month' },
    ])
    expect(all[0]?.message).toContain('no such finding')
  })
})

describe('an acceptance of a missing index', () => {
  it('is not stale while the table is small', async () => {
    const { ids } = await findings(people + visits, (s) => ({
      tables: { people: {}, visits: { edges: [owned] } },
      accept: [{ finding: `unindexed-foreign-key:test/${s}.visits(person_id)`, reason: 'it grows' }],
    }))
    expect(ids).toEqual([])
  })
})

describe('planDeletion', () => {
  it('refuses with the whole list and exit code 12', async () => {
    const schema = await play.schema(`${people} CREATE TABLE a (person_id bigint); CREATE TABLE b (id int);`)
    const catalogue = await loadCatalogue(play.db, [schema])
    const map = mapOf({ schema, catalogue, tables: { people: {}, a: { edges: [owned] } } })
    const attempt = () => planDeletion(map, 'test', { subject: 'person' }, catalogue)
    expect(attempt).toThrow(LetheError)
    try {
      attempt()
    } catch (error) {
      if (!(error instanceof LetheError)) throw error
      expect(error.exitCode).toBe(12)
      expect(error.message).toContain(`unclassified-table:test/${schema}.b`)
      expect(error.message).toContain(`nullable-path:test/${schema}.a(person_id)`)
      expect(error.facts['findings']).toHaveLength(2)
    }
  })

  it("does not stop one subject for what stands in another's plan", async () => {
    const schema = await play.schema(
      `${people} CREATE TABLE staff (id int PRIMARY KEY); CREATE TABLE badges (id int PRIMARY KEY, staff_id int REFERENCES staff);`,
    )
    const catalogue = await loadCatalogue(play.db, [schema])
    const map = mapOf({
      schema,
      catalogue,
      tables: {
        people: {},
        staff: {},
        badges: { edges: [{ kind: 'owned', to: 'staff', columns: ['staff_id'] }] },
      },
      subjects: {
        person: { store: 'test', root: `${schema}.people` },
        colleague: { store: 'test', root: `${schema}.staff` },
      },
    })
    expect(planDeletion(map, 'test', { subject: 'person' }, catalogue).steps).toHaveLength(1)
    expect(() => planDeletion(map, 'test', { subject: 'colleague' }, catalogue)).toThrow(/nullable-path/)
    expect(() => planDeletion(map, 'test', { subject: 'nobody' }, catalogue)).toThrow(/no subject nobody/)
    expect(() => planDeletion(map, 'test', { table: `${schema}.nothing` }, catalogue)).toThrow(
      /no entry in the map/,
    )
  })
})
