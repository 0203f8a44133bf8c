/** D3 of issue 10: one person's row that refuses, or on which an expression of the map fails, stops nobody else. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { requestStatus, retryLeg } from '../../../../jobs/erasure/index.ts'
import { openErasureHouse, type ErasureHouse } from '../../../support/stages/erasure-house.ts'

const gone = { app: 0, sessions: 0, letters: 0, parcels: 0 }

let house: ErasureHouse
beforeAll(async () => {
  house = await openErasureHouse()
})
beforeEach(async () => {
  await house.empty()
  await house.people(1, 2, 3)
})
afterEach(() => house.app.execute('DROP TRIGGER IF EXISTS no_way ON people'))
afterAll(() => house.close())

const accepted = {
  accept: [{ finding: 'delete-trigger:app/public.people.no_way', reason: 'it refuses some on purpose' }],
}

async function refuse(id: number): Promise<void> {
  await house.app.execute(
    `CREATE OR REPLACE FUNCTION no_way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       IF OLD.id = ${id} THEN RAISE EXCEPTION 'not %', OLD.email USING ERRCODE = '45000'; END IF; RETURN OLD; END $$`,
  )
  await house.app.execute(
    'CREATE TRIGGER no_way BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION no_way()',
  )
}

test('a person whose row refuses its deletion is named by what refused, comes before a person, and is tried again; the others are gone', async () => {
  await house.configure(accepted)
  await refuse(2)
  const ids = [await house.ask(1), await house.ask(2), await house.ask(3)].map(({ id }) => id)
  await house.work()
  for (let time = 0; time < 3; time += 1) await house.later()
  expect(await house.left(1)).toEqual(gone)
  expect(await house.left(3)).toEqual(gone)
  const [, refused = ''] = ids
  const { app } = await house.legs(refused)
  expect(app).toMatchObject({ state: 'failed', errorCode: 'E_ROW_REFUSED', reopened: 0, nextAt: null })
  const status = JSON.stringify(await requestStatus(house.context, refused))
  expect(status).toContain('no_way (SQLSTATE 45000)')
  expect(status).not.toContain('said to be done')
  expect(status).not.toContain('p2@example.org')
  await house.app.execute('DROP TRIGGER no_way ON people')
  await retryLeg(house.context, refused, 'app', await house.by('erasure.retry', refused, { store: 'app' }))
  await house.later()
  expect(await house.left(2)).toEqual(gone)
})

test('a person on whose row the expression of an identifier fails waits for a person, and says which; the others are gone', async () => {
  await house.configure(
    {},
    {
      identifiers: {
        email: { sql: 'root.email' },
        number: { sql: `(CASE WHEN root.keep THEN 'none' ELSE '7' END)::int` },
      },
      access: undefined,
    },
  )
  await house.app.execute(`UPDATE people SET keep = id = 2`)
  const ids = [await house.ask(1), await house.ask(2), await house.ask(3)].map(({ id }) => id)
  await house.work()
  expect(await house.left(1)).toEqual(gone)
  expect(await house.left(3)).toEqual(gone)
  const [, refused = ''] = ids
  expect(await house.request(refused)).toMatchObject({
    state: 'needs-attention',
    waitingFor: 'identifier:number:22P02',
  })
  const { next } = await requestStatus(house.context, refused)
  expect(next).toContain('subjects.person.identifiers.number of the map fails')
  await house.app.execute(`UPDATE people SET keep = false`)
  await retryLeg(house.context, refused, null, await house.by('erasure.retry', refused))
  await house.later()
  expect(await house.left(2)).toEqual(gone)
})

test('a person whose access a rule of the database does not let be cut says so; the others are gone', async () => {
  await house.app.execute(`ALTER TABLE people ADD CONSTRAINT stays CHECK (id <> 2 OR is_active)`)
  try {
    const [first, second] = [await house.ask(1), await house.ask(2)]
    await house.work()
    expect(await house.left(1)).toEqual(gone)
    expect((await house.request(first.id)).state).toBe('completed-with-retained')
    expect(await house.request(second.id)).toMatchObject({ state: 'assessed', waitingFor: 'access:stays' })
    expect((await requestStatus(house.context, second.id)).next).toContain('stays refuses the change')
  } finally {
    await house.app.execute(`ALTER TABLE people DROP CONSTRAINT stays`)
  }
})
