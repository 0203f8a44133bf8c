/** Rows that two people share: the plan foretells what the erasure then does, and the leg counts the same. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { previewErasure } from '../../../../jobs/erasure/index.ts'
import { openErasureHouse, type ErasureHouse } from '../../../support/stages/erasure-house.ts'

let house: ErasureHouse
beforeAll(async () => {
  house = await openErasureHouse()
  await house.app.execute(
    'CREATE TABLE pairs (id bigint PRIMARY KEY, a bigint REFERENCES people, b bigint REFERENCES people)',
  )
  await house.app.execute('CREATE INDEX ON pairs (a)')
  await house.app.execute('CREATE INDEX ON pairs (b)')
  const { app = {} } = house.context.config.file.tables
  await house.configure({
    tables: {
      app: {
        ...app,
        'public.pairs': {
          columns: { none: ['id', 'a', 'b'] },
          edges: [
            { kind: 'shared', to: 'public.people', columns: ['a'], then: 'null' },
            { kind: 'shared', to: 'public.people', columns: ['b'], then: 'null' },
          ],
          action: 'delete',
        },
      },
    },
  })
})
afterAll(() => house.close())

test('stay with the other, and go with the last', async () => {
  await house.people(1, 2)
  await house.app.execute(
    'INSERT INTO pairs VALUES (1, 1, 2), (2, 2, 1), (3, 1, NULL), (4, 1, 1), (5, 2, NULL)',
  )
  const { places } = await previewErasure(house.context, 'person', ['1'])
  expect(places.find(({ store }) => store === 'app')?.rows).toContainEqual(
    expect.objectContaining({ place: 'public.pairs', removed: 2, detached: 2, kept: 0, pseudonymised: 0 }),
  )
  const { id } = await house.ask(1)
  await house.work()
  const { app } = await house.legs(id)
  expect(app).toMatchObject({
    state: 'verified',
    counts: { 'public.pairs': 2 },
    detached: { 'public.pairs': 2 },
  })
  const left = await house.app.query(z.object({ id: z.coerce.number() }), 'SELECT id FROM pairs ORDER BY id')
  expect(left.map((row) => row.id)).toEqual([1, 2, 5])
})
