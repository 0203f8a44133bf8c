/** D3 of issue 10 (race E24): one row that refuses its deletion stopped the policy every night, unless by 23xxx or P0001. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'

let house: RetentionHouse
beforeAll(async () => {
  house = await openRetentionHouse()
})
beforeEach(() => house.empty())
afterEach(async () => {
  await house.app.execute('DROP TRIGGER IF EXISTS no_way ON people')
  await house.app.execute('DROP TABLE IF EXISTS audit')
})
afterAll(() => house.close())

/** Five people are due; the trigger's body is PL/pgSQL. */
async function people(body: string): Promise<void> {
  await house.configure(
    {
      accept: [{ finding: 'delete-trigger:app/public.people.no_way', reason: 'it refuses some on purpose' }],
    },
    { closed: { limits: { rows: 1_000_000, share: 1, median_multiple: 1000 } } },
  )
  await house.app.execute(
    `INSERT INTO people (id, email, deleted_at) SELECT id, 'p' || id || '@example.org', now() - interval '90 days' FROM generate_series(1, 5) id`,
  )
  await house.app.execute(
    `CREATE OR REPLACE FUNCTION no_way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} RETURN OLD; END $$`,
  )
  await house.app.execute(
    'CREATE TRIGGER no_way BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION no_way()',
  )
  await house.arm('closed')
}

test.each([
  ['without a code of its own', `RAISE EXCEPTION 'not %', OLD.email;`, 'P0001'],
  ['with 42501', `RAISE EXCEPTION 'not %', OLD.email USING ERRCODE = '42501';`, '42501'],
  ['with 45000', `RAISE EXCEPTION 'not %', OLD.email USING ERRCODE = '45000';`, '45000'],
  ['with 22023', `RAISE EXCEPTION 'not %', OLD.email USING ERRCODE = '22023';`, '22023'],
  ['because a value of its row does not fit', `PERFORM OLD.email::int;`, '22P02'],
])(
  'one person whose deletion a trigger refuses %s stays, named by it; the others go',
  async (_, act, code) => {
    await people(`IF OLD.id = 3 THEN ${act} END IF;`)
    const run = await house.decide(await house.sweep('closed'))
    expect(run).toMatchObject({ state: 'succeeded', outcome: 'executed' })
    expect(await house.ids('people')).toEqual([3])
    const { subjects } = await house.report(run)
    expect(subjects).toMatchObject({ erased: 4, blocked: { [`no_way (SQLSTATE ${code})`]: 1 } })
    expect(JSON.stringify([run.errorMessage, run.counters, subjects])).not.toContain('example.org')
  },
)

test.each([
  ['a table that is not there', 'PERFORM 1 FROM audit;', '42P01'],
  ['a full disk', `RAISE EXCEPTION 'full' USING ERRCODE = '53100';`, '53100'],
])(
  '%s is nobody’s own fault: the sweep fails with it, and nobody is called blocked',
  async (_, act, code) => {
    await people(act)
    const run = await house.decide(await house.sweep('closed'))
    expect(run).toMatchObject({ state: 'failed', errorMessage: expect.stringContaining(`SQLSTATE ${code}`) })
    expect(await house.ids('people')).toHaveLength(5)
    expect((await house.report(run).catch(() => null))?.subjects.blocked ?? {}).toEqual({})
  },
)
