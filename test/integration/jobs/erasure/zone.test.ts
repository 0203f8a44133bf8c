import { afterAll, beforeAll, expect, test } from 'vitest'
import { openErasureHouse, owned, tables, type ErasureHouse } from '../../../support/stages/erasure-house.ts'

let house: ErasureHouse
beforeAll(async () => {
  house = await openErasureHouse()
})
afterAll(() => house.close())

// issue 10, race E12
test.each([
  ['America/Los_Angeles', '1 hour', 1],
  ['America/Los_Angeles', '-1 hour', 0],
  ['Asia/Tokyo', '1 hour', 1],
  ['Asia/Tokyo', '-1 hour', 0],
])(
  'An end without a zone is read in the store’s zone by the batch and by whatever looks after it (%s, %s from now).',
  async (zone, from, kept) => {
    await house.empty()
    await house.app.execute('DROP TABLE IF EXISTS papers')
    await house.app.execute(
      'CREATE TABLE papers (id bigint PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, keep timestamp)',
    )
    await house.app.execute('CREATE INDEX ON papers (person_id)')
    await house.configure(
      {
        stores: { app: { kind: 'postgres', url: 'env:APP_URL', time_zone: zone } },
        tables: {
          app: {
            ...tables.app,
            'public.records': owned({ none: ['id', 'person_id', 'keep_until'] }),
            'public.papers': owned(
              { none: ['id', 'person_id', 'keep'] },
              { action: 'retain', retain: { ground: 'accounting law', until: 't.keep' } },
            ),
          },
        },
      },
      { other_stores: [], access: undefined },
    )
    await house.people(1)
    await house.app.execute(
      `INSERT INTO papers VALUES (1, 1, (now() AT TIME ZONE '${zone}') + interval '${from}')`,
    )
    const asked = await house.ask(1)
    await house.work()
    await house.later()
    const leg = (await house.legs(asked.id))['app']
    expect(leg).toMatchObject({ errorCode: null, reopened: 0 })
    expect((await house.request(asked.id)).state).toBe(kept === 1 ? 'completed-with-retained' : 'completed')
    expect(await house.app.execute('SELECT FROM papers')).toBe(kept)
    await house.app.execute('DROP TABLE papers')
  },
)
