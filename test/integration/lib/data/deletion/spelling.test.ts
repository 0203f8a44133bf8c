import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCaseless, isThere } from '../../../../support/servers/collations.ts'
import { column, planFor, playground, runPlan, type Playground } from '../../../../support/stages/datamap.ts'

let play: Playground
beforeAll(async () => {
  play = await playground()
  await play.db.execute('CREATE EXTENSION citext')
  await createCaseless(play.db)
})
afterAll(() => play.close())

const a = '0a0b0c0d-1111-4222-8333-aabbccddeeff'
const b = '0a0b0c0d-1111-4222-8333-aabbccddee00'

// issue 10, case 03
describe('An edge between columns of two types', () => {
  it('takes rows that write the person’s uuid as text in any common way, and nobody else’s', async () => {
    const s = await play.schema(`CREATE TABLE people (id uuid PRIMARY KEY, name text);
      CREATE TABLE tokens (n int PRIMARY KEY, user_id text NOT NULL);
      CREATE TABLE uses (n int PRIMARY KEY, token int NOT NULL REFERENCES tokens);
      CREATE INDEX ON tokens (user_id);
      INSERT INTO people VALUES ('${a}'), ('${b}');
      INSERT INTO tokens VALUES (1, '${a}'), (2, upper('${a}')), (3, '{${a}}'), (4, replace('${a}', '-', '')),
        (5, upper('{${a}}')), (6, replace(upper('${a}'), '-', '')), (7, '${b}'), (8, upper('${b}')), (9, ''), (10, 'x ${a}');
      INSERT INTO uses SELECT n, n FROM tokens;`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: {},
        tokens: { edges: [{ kind: 'owned', to: 'people', columns: ['user_id'], references: ['id'] }] },
        uses: { edges: [{ kind: 'owned', to: 'tokens', columns: ['token'] }] },
      },
    })
    const [counted] = plan.tables.filter(({ table }) => table.table === 'tokens')
    expect(
      await play.db.execute(
        `SELECT FROM ${s}.tokens t, ${s}.people root WHERE root.id = '${a}' AND (${counted?.belongs ?? ''})`,
      ),
    ).toBe(6)
    await runPlan(play.db, plan, [[a]])
    expect(await column(play.db, `${s}.tokens`, 'n')).toEqual(['10', '7', '8', '9'])
    expect(await column(play.db, `${s}.uses`, 'n')).toEqual(['10', '7', '8', '9'])
  })

  it('takes rows that write a person’s citext in any case', async () => {
    const s =
      await play.schema(`CREATE TABLE people (id int PRIMARY KEY, email public.citext UNIQUE NOT NULL);
      CREATE TABLE newsletter (n int PRIMARY KEY, email text NOT NULL);
      CREATE TABLE members (n int PRIMARY KEY, email varchar(40) NOT NULL);
      INSERT INTO people VALUES (1, 'ada@example.org'), (2, 'bob@example.org');
      INSERT INTO newsletter VALUES (1, 'Ada@Example.org'), (2, 'ada@example.org'), (3, 'BOB@example.org');
      INSERT INTO members SELECT * FROM newsletter;`)
    const byEmail = { edges: [{ kind: 'owned', to: 'people', columns: ['email'], references: ['email'] }] }
    const plan = await planFor(play.db, {
      schema: s,
      tables: { people: {}, newsletter: byEmail, members: byEmail },
    })
    await runPlan(play.db, plan, [['1']])
    expect(await column(play.db, `${s}.newsletter`, 'n')).toEqual(['3'])
    expect(await column(play.db, `${s}.members`, 'n')).toEqual(['3'])
  })

  it('finds the owner whose uuid a row’s text writes in any way that PostgreSQL reads', async () => {
    const s = await play.schema(`CREATE TABLE people (id text PRIMARY KEY);
      CREATE TABLE files (n int PRIMARY KEY, owner uuid NOT NULL);
      INSERT INTO people VALUES (upper('${a}')), ('{${b}}'), ('nobody');
      INSERT INTO files VALUES (1, '${a}'), (2, '${b}'), (3, gen_random_uuid());`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: {},
        files: { edges: [{ kind: 'owned', to: 'people', columns: ['owner'], references: ['id'] }] },
      },
    })
    await runPlan(play.db, plan, [[a.toUpperCase()], [`{${b}}`], ['nobody']])
    expect(await column(play.db, `${s}.files`, 'n')).toEqual(['3'])
  })

  it.each(['text COLLATE public.caseless'].filter(isThere))(
    'takes rows by the collation of the person’s key, which ignores case, and not by their own (%s)',
    async (type) => {
      const s = await play.schema(`CREATE TABLE people (id ${type} PRIMARY KEY);
      CREATE TABLE notes (n int PRIMARY KEY, person text NOT NULL);
      CREATE TABLE letters (n int PRIMARY KEY, note int NOT NULL REFERENCES notes);
      INSERT INTO people VALUES ('Ada'), ('Bob');
      INSERT INTO notes VALUES (1, 'ada'), (2, 'ADA'), (3, 'bob');
      INSERT INTO letters VALUES (1, 1), (2, 2), (3, 3);`)
      const plan = await planFor(play.db, {
        schema: s,
        tables: {
          people: {},
          notes: { edges: [{ kind: 'owned', to: 'people', columns: ['person'], references: ['id'] }] },
          letters: { edges: [{ kind: 'owned', to: 'notes', columns: ['note'] }] },
        },
        accept: [{ finding: `key-of-several-texts:test/${s}.people(id)`, reason: 'nobody rewrites it' }],
      })
      await runPlan(play.db, plan, [['Ada']])
      expect(await column(play.db, `${s}.notes`, 'n')).toEqual(['3'])
      expect(await column(play.db, `${s}.letters`, 'n')).toEqual(['3'])
    },
  )

  it('takes rows that write a person’s number as its row does, though the key has another text', async () => {
    const s = await play.schema(`CREATE TABLE people (id numeric PRIMARY KEY);
      CREATE TABLE notes (n int PRIMARY KEY, person text NOT NULL);
      INSERT INTO people VALUES (1.50), (2);
      INSERT INTO notes VALUES (1, '1.50'), (2, '2');`)
    const plan = await planFor(play.db, {
      schema: s,
      tables: {
        people: {},
        notes: { edges: [{ kind: 'owned', to: 'people', columns: ['person'], references: ['id'] }] },
      },
    })
    await runPlan(play.db, plan, [['1.5']])
    expect(await column(play.db, `${s}.notes`, 'n')).toEqual(['2'])
  })
})
