/** Rows that were merged into another are the same person: whoever asks under one of them is erased whole, and nobody else is. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { resolveSubject } from '../../../../jobs/erasure/index.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'

let house: RetentionHouse
beforeAll(async () => {
  house = await openRetentionHouse()
  await house.app.execute('ALTER TABLE people ADD COLUMN merged_into bigint REFERENCES people')
  await house.app.execute('CREATE INDEX ON people (merged_into)')
})
afterAll(() => house.close())
beforeEach(async () => {
  const { tables } = house.context.config.file
  const people = tables['app']?.['public.people']
  await house.configure({
    subjects: {
      person: {
        store: 'app',
        root: 'public.people',
        alias: 'merged_into',
        contact: 'root.email',
        identifiers: { email: { sql: 'root.email', unique: true } },
      },
    },
    tables: {
      app: {
        ...tables['app'],
        'public.people': {
          ...people,
          columns: {
            none: ['id', 'tenant', 'keep', 'deleted_at', 'last_seen', 'naive_at', 'merged_into'],
            contact: ['email'],
            identity: ['born'],
          },
        },
      },
    },
  })
  await house.app.execute('TRUNCATE people CASCADE')
  // 2 and 3 were found to be 1; 3 by way of 2
  await house.app.execute(
    `INSERT INTO people (id, email, merged_into) VALUES (1, 'a', NULL), (2, 'a', 1), (3, 'old', 2), (4, 'shared', NULL), (5, 'shared', NULL)`,
  )
})

test.each([['1'], ['2'], ['3']])('the key %s leads to the row that stands for all', async (key) => {
  expect(await resolveSubject(house.context, { subject: 'person', who: { key: [key] } })).toEqual(['1'])
})

test('a key without a row stands for itself', async () => {
  expect(await resolveSubject(house.context, { subject: 'person', who: { key: ['99'] } })).toEqual(['99'])
})

test.each([['a'], ['old']])('an address of any of the rows leads there, too: %s', async (value) => {
  const who = { identifier: 'email', value }
  expect(await resolveSubject(house.context, { subject: 'person', who })).toEqual(['1'])
})

test('an address of two persons is refused', async () => {
  const who = { identifier: 'email', value: 'shared' }
  await expect(resolveSubject(house.context, { subject: 'person', who })).rejects.toMatchObject({
    code: 'E_IDENTIFIER',
  })
})
