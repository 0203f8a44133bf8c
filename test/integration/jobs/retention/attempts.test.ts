/** D5 of issue 10: a sweep was failed at 7,100 of 40,000 rows, after eight failures in all. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'

let house: RetentionHouse
beforeAll(async () => {
  house = await openRetentionHouse()
})
afterAll(() => house.close())

const PEOPLE = Array.from({ length: 20 }, (_, place) => place + 1)

test('a sweep that removes something between two failures uses up no attempt, however often it fails', async () => {
  await house.configure(
    {
      accept: [
        { finding: 'delete-trigger:app/public.people.disk_full', reason: 'the disk is full now and then' },
      ],
    },
    { closed: { limits: { rows: 1_000_000, share: 1, median_multiple: 1000 }, throttle: { max_rows: 100 } } },
  )
  await house.app.execute(
    `INSERT INTO people (id, email, deleted_at) SELECT id, 'p' || id, now() - interval '90 days' FROM unnest($1::bigint[]) id`,
    [PEOPLE],
  )
  await house.app.execute(
    `INSERT INTO visits SELECT id * 1000 + n, id FROM unnest($1::bigint[]) id, generate_series(1, 98) n`,
    [PEOPLE],
  )
  // a sequence keeps its number when the batch is rolled back: each person's first deletion fails, and no other
  for (const id of PEOPLE) await house.app.execute(`CREATE SEQUENCE first_${id}`)
  await house.app.execute(
    `CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       IF nextval('first_' || OLD.id) = 1 THEN RAISE EXCEPTION 'full' USING ERRCODE = 'disk_full'; END IF; RETURN OLD; END $$`,
  )
  await house.app.execute(
    'CREATE TRIGGER disk_full BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION disk_full()',
  )
  await house.arm('closed')
  const run = await house.decide(await house.sweep('closed'))
  expect(run).toMatchObject({ state: 'succeeded', outcome: 'executed', attempt: 0 })
  expect(await house.ids('people')).toEqual([])
  expect((await house.report(run)).subjects).toMatchObject({ erased: PEOPLE.length })
}, 60_000)
