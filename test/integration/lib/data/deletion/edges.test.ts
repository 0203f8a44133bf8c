import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  column,
  planFor,
  playground,
  rowsOf,
  runPlan,
  type Playground,
} from '../../../../support/stages/datamap.ts'

let play: Playground
beforeAll(async () => {
  play = await playground()
})
afterAll(() => play.close())

const people = `CREATE TABLE people (id bigint PRIMARY KEY, name text NOT NULL);
  INSERT INTO people SELECT i, 'name ' || i FROM generate_series(1, 4) i;`
const owned = { kind: 'owned', to: 'people', columns: ['person_id'] }

describe('a plan, executed', () => {
  it("removes a subject's rows at every depth and nothing else", async () => {
    const s = await play.schema(`${people}
      CREATE TABLE visits (id int PRIMARY KEY, person_id bigint NOT NULL REFERENCES people);
      CREATE TABLE notes (id int PRIMARY KEY, visit_id int NOT NULL REFERENCES visits);
      INSERT INTO visits SELECT i, 1 + i % 4 FROM generate_series(1, 20) i;
      INSERT INTO notes SELECT i, 1 + i % 20 FROM generate_series(1, 60) i;`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: {},
        visits: { edges: [owned] },
        notes: { edges: [{ kind: 'owned', to: 'visits', columns: ['visit_id'] }] },
      },
    })
    expect(await runPlan(play.db, plan, [['2'], ['3']])).toEqual({
      [`delete ${s}.notes`]: 30,
      [`delete ${s}.visits`]: 10,
      [`delete root ${s}.people`]: 2,
    })
    expect(await column(play.db, `${s}.people`, 'id')).toEqual(['1', '4'])
    expect(new Set(await column(play.db, `${s}.visits`, 'person_id'))).toEqual(new Set(['1', '4']))
  })

  it('does the same in pieces, trees leaf by leaf', async () => {
    const s = await play.schema(`${people}
      CREATE TABLE folders (id int PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, parent_id int REFERENCES folders);
      CREATE TABLE tags (folder_id int NOT NULL REFERENCES folders, tag text NOT NULL);
      INSERT INTO folders SELECT i, 1 + i % 2, CASE WHEN i > 2 THEN i - 2 END FROM generate_series(1, 20) i;
      INSERT INTO tags SELECT 1 + i % 20, i::text FROM generate_series(1, 60) i;`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: {},
        folders: { edges: [owned] },
        tags: { edges: [{ kind: 'owned', to: 'folders', columns: ['folder_id'] }] },
      },
    })
    expect(await runPlan(play.db, plan, [['1']], 3)).toMatchObject({
      [`delete ${s}.tags`]: 30,
      [`delete ${s}.folders`]: 10,
    })
    expect(await column(play.db, `${s}.people`, 'id')).toEqual(['2', '3', '4'])
  })

  it('follows an owned tree to rows that name no person themselves', async () => {
    const s = await play.schema(`${people}
      CREATE TABLE parts (id int PRIMARY KEY, person_id bigint REFERENCES people, part_of int REFERENCES parts);
      INSERT INTO parts VALUES (1, 1, null), (2, null, 1), (3, null, 2), (4, 2, null), (5, null, 4);`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: {},
        parts: { edges: [owned, { kind: 'owned', to: 'parts', columns: ['part_of'] }] },
      },
      accept: [{ finding: `nullable-path:test/${s}.parts(person_id)`, reason: 'parts belong to parts' }],
    })
    await runPlan(play.db, plan, [['1']])
    expect(await column(play.db, `${s}.parts`, 'id')).toEqual(['4', '5'])
  })

  it('takes composite keys, quoted names and a business number kept as text', async () => {
    const s = await play.schema(`
      CREATE TABLE people ("Tenant" int, "No" bigint, number bigint NOT NULL, PRIMARY KEY ("Tenant", "No"));
      CREATE TABLE "Odd.Name" ("Id" int PRIMARY KEY, "Tenant" int NOT NULL, "No" bigint NOT NULL, other text,
        FOREIGN KEY ("Tenant", "No") REFERENCES people);
      CREATE TABLE results (number_text text NOT NULL, value int);
      INSERT INTO people SELECT t, n, t * 10 + n FROM generate_series(1, 2) t, generate_series(1, 2) n;
      INSERT INTO "Odd.Name" SELECT row_number() OVER (), t, n, 'x' FROM generate_series(1, 2) t, generate_series(1, 2) n;
      INSERT INTO "Odd.Name" VALUES (9, 2, 2, '11');
      INSERT INTO results SELECT (t * 10 + n)::text, 1 FROM generate_series(1, 2) t, generate_series(1, 2) n;
      INSERT INTO results VALUES ('not a number', 1);`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: {},
        [`${s}."Odd.Name"`]: {
          columns: { none: ['Id', 'Tenant', 'No', 'other'] },
          edges: [
            { kind: 'owned', to: 'people', columns: ['Tenant', 'No'] },
            { kind: 'owned', to: 'people', columns: ['other'], references: ['number'] },
          ],
        },
        results: {
          edges: [{ kind: 'owned', to: 'people', columns: ['number_text'], references: ['number'] }],
        },
      },
    })
    expect(plan.key).toEqual([
      { name: 'Tenant', type: 'integer', oneText: true },
      { name: 'No', type: 'bigint', oneText: true },
    ])
    await runPlan(play.db, plan, [['1', '1']])
    expect(await column(play.db, `${s}."Odd.Name"`, '"Id"')).toEqual(['2', '3', '4'])
    expect(await column(play.db, `${s}.results`, 'number_text')).toEqual(['12', '21', '22', 'not a number'])
  })

  it('finds both halves of a polymorphic pair', async () => {
    const s = await play.schema(`${people}
      CREATE TABLE messages (id bigint PRIMARY KEY, person_id bigint NOT NULL REFERENCES people);
      CREATE TABLE files (id int PRIMARY KEY, kind text NOT NULL, of_id bigint NOT NULL);
      INSERT INTO messages VALUES (3, 1), (4, 2);
      INSERT INTO files VALUES (1, 'person', 1), (2, 'person', 3), (3, 'message', 3), (4, 'message', 1), (5, 'bill', 1);`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: {},
        messages: { edges: [owned] },
        files: {
          edges: [
            { kind: 'owned', to: 'people', columns: ['of_id'], when: { column: 'kind', equals: 'person' } },
            {
              kind: 'owned',
              to: 'messages',
              columns: ['of_id'],
              when: { column: 'kind', equals: 'message' },
            },
          ],
        },
      },
    })
    await runPlan(play.db, plan, [['1']])
    expect(await column(play.db, `${s}.files`, 'id')).toEqual(['2', '4', '5'])
  })

  it('removes a row owned on the parent side only when nobody else points at it', async () => {
    const s = await play.schema(`
      CREATE TABLE addresses (id int PRIMARY KEY, street text);
      CREATE TABLE geocodes (address_id int PRIMARY KEY REFERENCES addresses);
      CREATE TABLE people (id bigint PRIMARY KEY, name text, address_id int REFERENCES addresses);
      CREATE TABLE shops (id int PRIMARY KEY, address_id int REFERENCES addresses);
      INSERT INTO addresses SELECT i FROM generate_series(1, 5) i;
      INSERT INTO geocodes SELECT i FROM generate_series(1, 5) i;
      INSERT INTO people VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 2), (4, 'd', 3), (5, 'e', 4), (6, 'f', 4);
      INSERT INTO shops VALUES (1, 3);`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: {},
        addresses: { edges: [{ kind: 'owned', to: 'people', columns: ['address_id'], side: 'parent' }] },
        geocodes: { edges: [{ kind: 'owned', to: 'addresses', columns: ['address_id'] }] },
        shops: {
          action: 'ignore',
          reason: 'companies',
          edges: [{ kind: 'reference', to: 'addresses', columns: ['address_id'], then: 'keep' }],
        },
      },
    })
    // 1 alone in a house, 2 with 3 who stays, 4 above a shop, 5 and 6 leave together
    await runPlan(play.db, plan, [['1'], ['2'], ['4'], ['5'], ['6']])
    expect(await column(play.db, `${s}.addresses`, 'id')).toEqual(['2', '3', '5'])
    expect(await column(play.db, `${s}.geocodes`, 'address_id')).toEqual(['2', '3', '5'])
    expect(plan.steps.at(-1)?.table.table).toBe('addresses')
  })

  it('removes a shared row with its last owner, and lets go of it before', async () => {
    const s = await play.schema(`${people}
      CREATE TABLE plans (id int PRIMARY KEY, a bigint REFERENCES people, b bigint REFERENCES people);
      CREATE TABLE goals (id int PRIMARY KEY, plan_id int NOT NULL REFERENCES plans);
      INSERT INTO plans VALUES (1, 1, 2), (2, 1, null), (3, 3, 1), (4, 2, 1), (5, 3, 4);
      INSERT INTO goals SELECT i, i FROM generate_series(1, 5) i;`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: {},
        plans: {
          edges: [
            { kind: 'shared', to: 'people', columns: ['a'] },
            { kind: 'shared', to: 'people', columns: ['b'] },
          ],
        },
        goals: { edges: [{ kind: 'owned', to: 'plans', columns: ['plan_id'] }] },
      },
    })
    await runPlan(play.db, plan, [['1'], ['2']])
    expect(await rowsOf(play.db, `${s}.plans`)).toEqual([
      '{"a": 3, "b": 4, "id": 5}',
      '{"a": 3, "b": null, "id": 3}',
    ])
    expect(await column(play.db, `${s}.goals`, 'id')).toEqual(['3', '5'])
  })

  it('keeps and pseudonymises a root with retained rows, and removes what is out of time', async () => {
    const s = await play.schema(`${people}
      CREATE TABLE bills (id int PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, until date, sent_to text);
      CREATE TABLE lines (id int PRIMARY KEY, bill_id int NOT NULL REFERENCES bills);
      INSERT INTO bills VALUES (1, 1, now() + interval '1 year', 'x'), (2, 1, now() - interval '1 day', 'x'),
        (3, 2, now() - interval '1 day', 'x'), (4, 3, null, 'x'), (5, 1, now() + interval '2 years', 'x');
      INSERT INTO lines SELECT i, i FROM generate_series(1, 5) i;`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: { pseudonymise: { name: { hash: true } } },
        bills: {
          edges: [owned],
          action: 'retain',
          retain: { ground: 'accounting', until: 't.until' },
          pseudonymise: { sent_to: { sql: `'person ' || t.person_id` } },
        },
        lines: {
          edges: [{ kind: 'owned', to: 'bills', columns: ['bill_id'] }],
          action: 'retain',
          retain: { ground: 'accounting', until: 'parent' },
        },
      },
    })
    const kept = await play.db.query(
      z.object({ id: z.string(), years: z.string().nullable() }),
      `SELECT id, round(extract(epoch FROM (${plan.keptUntil ?? ''}) - now()) / 31557600)::text AS years
         FROM ${s}.people root WHERE ${plan.keptCondition ?? ''} ORDER BY id`,
    )
    expect(kept).toEqual([
      { id: '1', years: '2' },
      { id: '3', years: null },
    ])
    await runPlan(play.db, plan, [['1'], ['2'], ['3']])
    expect(await column(play.db, `${s}.bills`, 'id')).toEqual(['1', '4', '5'])
    expect(await column(play.db, `${s}.lines`, 'id')).toEqual(['1', '4', '5'])
    expect(await column(play.db, `${s}.bills`, 'sent_to')).toEqual(['person 1', 'person 1', 'person 3'])
    const before = await rowsOf(play.db, `${s}.people`)
    expect(before.filter((row) => /"ps_[0-9a-f]{64}"/.test(row))).toHaveLength(2)
    // Once more: nothing changes, a pseudonym least of all.
    await runPlan(play.db, plan, [['1'], ['2'], ['3']], 1)
    expect(await rowsOf(play.db, `${s}.people`)).toEqual(before)
  })

  it('lets a root that stays go of its address', async () => {
    const s = await play.schema(`
      CREATE TABLE addresses (id int PRIMARY KEY, street text);
      CREATE TABLE people (id bigint PRIMARY KEY, name text, address_id int REFERENCES addresses);
      CREATE TABLE bills (id int PRIMARY KEY, person_id bigint NOT NULL REFERENCES people);
      INSERT INTO addresses VALUES (1); INSERT INTO people VALUES (1, 'a', 1); INSERT INTO bills VALUES (1, 1);`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: { pseudonymise: { name: { set: null } } },
        addresses: { edges: [{ kind: 'owned', to: 'people', columns: ['address_id'], side: 'parent' }] },
        bills: {
          edges: [owned],
          action: 'retain',
          retain: { ground: 'accounting', until: `now() + interval '1 day'` },
        },
      },
    })
    await runPlan(play.db, plan, [['1']])
    expect(await rowsOf(play.db, `${s}.people`)).toEqual(['{"id": 1, "name": null, "address_id": null}'])
    expect(await rowsOf(play.db, `${s}.addresses`)).toEqual([])
  })

  it('keeps a root that an author column must name, nulls or repoints the others', async () => {
    const s = await play.schema(`${people}
      CREATE TABLE patients (id int PRIMARY KEY);
      CREATE TABLE messages (id int PRIMARY KEY, patient_id int NOT NULL REFERENCES patients, author bigint NOT NULL REFERENCES people,
        checked_by bigint REFERENCES people, sent_by bigint NOT NULL REFERENCES people);
      INSERT INTO patients VALUES (1);
      INSERT INTO messages VALUES (1, 1, 1, 1, 1), (2, 1, 4, 2, 2);`)
    const tables = {
      people: { pseudonymise: { name: { set: 'Former colleague' } } },
      patients: {},
      messages: {
        edges: [
          { kind: 'owned', to: 'patients', columns: ['patient_id'] },
          { kind: 'authored', to: 'people', columns: ['author'] },
          { kind: 'authored', to: 'people', columns: ['checked_by'], then: 'null' },
          { kind: 'authored', to: 'people', columns: ['sent_by'], then: { repoint: ['4'] } },
        ],
      },
    }
    const subjects = {
      person: { store: 'test', root: `${s}.people` },
      patient: { store: 'test', root: `${s}.patients` },
    }
    const plan = await planFor(play.db, { schema: s, tables, subjects })
    await runPlan(play.db, plan, [['1'], ['2']])
    expect(await rowsOf(play.db, `${s}.messages`)).toEqual([
      '{"id": 1, "author": 1, "sent_by": 4, "checked_by": null, "patient_id": 1}',
      '{"id": 2, "author": 4, "sent_by": 4, "checked_by": null, "patient_id": 1}',
    ])
    expect(await column(play.db, `${s}.people`, 'name')).toEqual(['Former colleague', 'name 3', 'name 4'])
    const other = await planFor(play.db, { schema: s, tables, subjects }, { subject: 'patient' })
    await runPlan(play.db, other, [['1']])
    expect(await rowsOf(play.db, `${s}.messages`)).toEqual([])
    expect(await column(play.db, `${s}.people`, 'id')).toEqual(['1', '3', '4'])
  })

  it('opens a circle of two tables by nulling, or by a deferrable key', async () => {
    const s = await play.schema(`${people}
      CREATE TABLE episodes (id int PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, current_id int);
      CREATE TABLE referrals (id int PRIMARY KEY, episode_id int NOT NULL REFERENCES episodes);
      ALTER TABLE episodes ADD FOREIGN KEY (current_id) REFERENCES referrals;
      CREATE TABLE eggs (id int PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, hen_id int NOT NULL);
      CREATE TABLE hens (id int PRIMARY KEY, egg_id int NOT NULL REFERENCES eggs);
      ALTER TABLE eggs ADD FOREIGN KEY (hen_id) REFERENCES hens DEFERRABLE;
      INSERT INTO episodes VALUES (1, 1, null), (2, 2, null); INSERT INTO referrals VALUES (1, 1), (2, 2);
      UPDATE episodes SET current_id = id;
      SET CONSTRAINTS ALL DEFERRED;
      INSERT INTO eggs VALUES (1, 1, 1), (2, 2, 2); INSERT INTO hens VALUES (1, 1), (2, 2);`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: {},
        episodes: { edges: [owned] },
        referrals: { edges: [{ kind: 'owned', to: 'episodes', columns: ['episode_id'] }] },
        eggs: { edges: [owned] },
        hens: { edges: [{ kind: 'owned', to: 'eggs', columns: ['egg_id'] }] },
      },
    })
    await runPlan(play.db, plan, [['1']], 1)
    for (const table of ['episodes', 'referrals', 'eggs', 'hens'])
      expect(await column(play.db, `${s}.${table}`, 'id')).toEqual(['2'])
    expect(plan.steps.find((step) => step.sql.startsWith('SET CONSTRAINTS'))?.kind).toBe('detach')
    expect(plan.steps.find((step) => step.id === `delete ${s}.hens`)?.pieceSql).toBeUndefined()
  })

  it('treats partitions as their parent, and a child by inheritance as a table of its own', async () => {
    const s = await play.schema(`${people}
      CREATE TABLE vitals (id int, person_id bigint NOT NULL REFERENCES people, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
      CREATE TABLE vitals_1 PARTITION OF vitals FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
      CREATE TABLE vitals_2 PARTITION OF vitals FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
      CREATE TABLE alerts (id int PRIMARY KEY, vital_id int NOT NULL, vital_at date NOT NULL, person_id bigint,
        FOREIGN KEY (vital_id, vital_at) REFERENCES vitals (id, at));
      CREATE TABLE readings (id int PRIMARY KEY, person_id bigint NOT NULL);
      CREATE TABLE device_readings (serial text) INHERITS (readings);
      INSERT INTO vitals SELECT i, 1 + i % 4, date '2020-01-01' + i * 30 FROM generate_series(1, 20) i;
      INSERT INTO alerts SELECT id, id, at, null FROM vitals; INSERT INTO alerts SELECT id + 100, id, at, 2 FROM vitals WHERE person_id <> 2;
      INSERT INTO readings SELECT i, 1 + i % 4 FROM generate_series(1, 8) i;
      INSERT INTO device_readings SELECT i, 1 + i % 4, 's' FROM generate_series(11, 18) i;`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: {},
        vitals: { edges: [owned] },
        alerts: {
          edges: [
            { kind: 'owned', to: 'vitals', columns: ['vital_id', 'vital_at'], references: ['id', 'at'] },
            owned,
          ],
        },
        readings: { edges: [owned] },
        device_readings: { edges: [owned] },
      },
    })
    for (const piece of [undefined, 2]) {
      await runPlan(play.db, plan, [[piece === undefined ? '1' : '2']], piece)
      const gone = piece === undefined ? ['1'] : ['1', '2']
      for (const table of ['vitals', 'readings', 'device_readings'])
        expect(
          (await column(play.db, `${s}.${table}`, 'person_id')).filter((id) => gone.includes(id ?? '')),
        ).toEqual([])
    }
    expect(await column(play.db, `${s}.vitals`, 'id')).toHaveLength(10)
    expect((await column(play.db, `${s}.alerts`, 'id')).length).toBe(10)
    expect(await column(play.db, `${s}.readings`, 'id')).toHaveLength(8)
  })

  it('knows the rows merged into a root, through several merges', async () => {
    const s =
      await play.schema(`CREATE TABLE people (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text, merged_into uuid REFERENCES people);
      INSERT INTO people (id, name) SELECT ('00000000-0000-4000-8000-00000000000' || i)::uuid, i::text FROM generate_series(1, 5) i;
      UPDATE people SET merged_into = '00000000-0000-4000-8000-000000000001' WHERE name = '2';
      UPDATE people SET merged_into = '00000000-0000-4000-8000-000000000002' WHERE name = '3';`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: { people: {} },
      subject: { alias: 'merged_into' },
    })
    const first = '00000000-0000-4000-8000-000000000001'
    const merged = await play.db.query(z.object({ k1: z.string() }), `${plan.aliasSql ?? ''} ORDER BY 1`, [
      [first],
    ])
    expect(merged.map((row) => row.k1.at(-1))).toEqual(['2', '3'])
    await runPlan(play.db, plan, [[first], ...merged.map((row) => [row.k1])])
    expect(await column(play.db, `${s}.people`, 'name')).toEqual(['4', '5'])
  })

  it('works on the rows of a table that is nobody by itself', async () => {
    const s = await play.schema(`${people}
      CREATE TABLE logins (id int PRIMARY KEY, person_id bigint NOT NULL REFERENCES people);
      CREATE TABLE clicks (id int PRIMARY KEY, login_id int NOT NULL REFERENCES logins);
      INSERT INTO logins SELECT i, 1 FROM generate_series(1, 3) i; INSERT INTO clicks SELECT i, i FROM generate_series(1, 3) i;`)
    const tables = {
      people: {},
      logins: { edges: [owned] },
      clicks: { edges: [{ kind: 'owned', to: 'logins', columns: ['login_id'] }] },
    }
    const plan = await planFor(play.db, { schema: s, tables }, { table: `${s}.logins` })
    expect(plan.subject).toBe(`table:${s}.logins`)
    await runPlan(play.db, plan, [['2']])
    expect(await column(play.db, `${s}.clicks`, 'id')).toEqual(['1', '3'])
    expect(await column(play.db, `${s}.people`, 'id')).toHaveLength(4)
  })

  it('waits for a minimum that nobody can date, or of which nobody can say whether it applies', async () => {
    const s = await play.schema(`${people}
      CREATE TABLE records (id int PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, controlled boolean, keep_until date);
      INSERT INTO records VALUES (1, 1, true, null), (2, 2, null, null), (3, 3, false, null), (4, 4, true, '2001-01-01');`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: {},
        records: {
          edges: [owned],
          minimum: { ground: 'the law', applies: 't.controlled', until: 't.keep_until' },
        },
      },
    })
    const waiting = await play.db.query(
      z.object({ id: z.string() }),
      `SELECT id FROM ${s}.people root WHERE ${plan.minimums[0]?.condition ?? ''} ORDER BY id`,
    )
    expect(waiting.map(({ id }) => id)).toEqual(['1', '2'])
  })

  it('deletes a row that leads to several people with the last of them, and never by an empty text', async () => {
    // case 02
    const s = await play.schema(`
      CREATE TABLE people (id bigint PRIMARY KEY, number text NOT NULL);
      CREATE TABLE episodes (id int PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, no int NOT NULL);
      CREATE TABLE results (id int PRIMARY KEY, number text NOT NULL);
      CREATE TABLE charges (id int PRIMARY KEY, no int NOT NULL);
      INSERT INTO people VALUES (1, '77'), (2, '77'), (3, '9'), (4, '');
      INSERT INTO episodes VALUES (10, 1, 1), (20, 2, 1), (30, 3, 2);
      INSERT INTO results VALUES (1, '77'), (2, '9'), (3, ''); INSERT INTO charges VALUES (4, 1), (5, 2);`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: {},
        episodes: { edges: [owned] },
        results: {
          edges: [{ kind: 'owned', to: 'people', columns: ['number'], references: ['number'] }],
        },
        charges: { edges: [{ kind: 'owned', to: 'episodes', columns: ['no'], references: ['no'] }] },
      },
    })
    const left = async () => [
      ...(await column(play.db, `${s}.results`, 'id')),
      ...(await column(play.db, `${s}.charges`, 'id')),
    ]
    await runPlan(play.db, plan, [['1']])
    expect(await left()).toEqual(['1', '2', '3', '4', '5'])
    await runPlan(play.db, plan, [['3'], ['4']])
    expect(await left()).toEqual(['1', '3', '4'])
    await runPlan(play.db, plan, [['2']])
    expect(await left()).toEqual(['3'])
  })

  it('lets go by the column that names the row, and leaves a tenant that stands in the same key', async () => {
    // case 12, c and e
    const s = await play.schema(`${people}
      CREATE TABLE orgs (id int PRIMARY KEY); INSERT INTO orgs VALUES (9);
      CREATE TABLE items (tenant int, id bigint, person_id bigint NOT NULL REFERENCES people, PRIMARY KEY (tenant, id));
      CREATE TABLE carts (id int PRIMARY KEY, tenant int REFERENCES orgs, item_id bigint, FOREIGN KEY (tenant, item_id) REFERENCES items);
      CREATE TABLE lists (id int PRIMARY KEY, tenant int NOT NULL, item_id bigint, FOREIGN KEY (tenant, item_id) REFERENCES items);
      CREATE TABLE plain (id int PRIMARY KEY, tenant int, item_id bigint, FOREIGN KEY (tenant, item_id) REFERENCES items);
      INSERT INTO items VALUES (9, 1, 1); INSERT INTO carts VALUES (1, 9, 1); INSERT INTO lists VALUES (1, 9, 1);
      INSERT INTO plain VALUES (1, 9, 1);`)
    const to = (then: unknown) => ({
      edges: [{ kind: 'reference', to: 'items', columns: ['tenant', 'item_id'], then }],
    })
    const tables = {
      people: {},
      orgs: { action: 'ignore', reason: 'companies' },
      items: { edges: [owned] },
      carts: to('null'),
      lists: to('null'),
      plain: to({ null: ['item_id'] }),
    }
    const plan = await planFor(play.db, { schema: s, tables })
    await runPlan(play.db, plan, [['1']])
    expect(await column(play.db, `${s}.items`, 'id')).toEqual([])
    for (const table of ['carts', 'lists', 'plain'])
      expect(await column(play.db, `${s}.${table}`, `tenant || ' ' || coalesce(item_id::text, '-')`)).toEqual(
        ['9 -'],
      )
    await expect(planFor(play.db, { schema: s, tables: { ...tables, plain: to('null') } })).rejects.toThrow(
      'does not say which column names the row',
    )
  })

  it('says of each row of each table which root it belongs to', async () => {
    const s = await play.schema(`${people}
      CREATE TABLE visits (id int PRIMARY KEY, person_id bigint NOT NULL REFERENCES people);
      CREATE TABLE notes (id int PRIMARY KEY, visit_id int NOT NULL REFERENCES visits, about bigint);
      INSERT INTO visits VALUES (1, 1), (2, 2); INSERT INTO notes VALUES (1, 1, 3), (2, 2, null), (3, 2, 2);`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: {},
        visits: { edges: [owned] },
        notes: {
          edges: [
            { kind: 'owned', to: 'visits', columns: ['visit_id'] },
            { kind: 'owned', to: 'people', columns: ['about'] },
          ],
          minimum: { ground: 'the law', applies: 't.id = 1', until: `now() + interval '1 day'` },
        },
      },
    })
    const belongs = plan.tables.find((table) => table.table.table === 'notes')?.belongs ?? ''
    const counts = await play.db.query(
      z.object({ n: z.string(), waits: z.boolean() }),
      `SELECT (SELECT count(*) FROM ${s}.notes t WHERE ${belongs}) AS n, ${plan.minimums[0]?.condition ?? ''} AS waits FROM ${s}.people root ORDER BY id`,
    )
    expect(counts).toEqual([
      { n: '1', waits: true },
      { n: '2', waits: false },
      { n: '1', waits: true },
      { n: '0', waits: false },
    ])
  })
})
