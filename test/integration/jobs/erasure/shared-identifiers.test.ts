/** A value that leads to a person in other stores and to somebody else too (public cases 05 and 06). */
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { ensureCascade, takeIntake } from '../../../../jobs/erasure/index.ts'
import { loadPlan } from '../../../../jobs/deletion-plan.ts'
import { newId } from '../../../../lib/base/clock/index.ts'
import { legsOf } from '../../../../lib/record/requests/index.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'
import { sharedRedisUrl } from '../../../support/servers/shared.ts'

let house: RetentionHouse
let redis: Redis
/** Others use the same Redis. */
let mark: string
beforeAll(async () => {
  house = await openRetentionHouse({ AWAY_URL: 'redis://127.0.0.1:1', THERE_URL: sharedRedisUrl() })
  redis = new Redis(sharedRedisUrl())
  await house.app.execute(
    `CREATE TABLE documents (id bigint PRIMARY KEY, person_id bigint NOT NULL, file_key text NOT NULL)`,
  )
  await house.app.execute(`CREATE INDEX ON documents (person_id)`)
  await house.app.execute(`CREATE INDEX ON documents (file_key)`)
})
afterAll(async () => {
  redis.disconnect()
  await house.close()
})
beforeEach(async () => {
  mark = newId()
  await house.app.execute('TRUNCATE documents')
  await house.empty()
  await house.app.execute(`INSERT INTO people (id, email) SELECT id, 'p' || id FROM generate_series(1, 4) id`)
})

const document = 'ARRAY(SELECT d.file_key FROM public.documents d WHERE d.person_id = root.id)'
const owners = 'ARRAY(SELECT d.person_id FROM public.documents d WHERE d.file_key = wanted.value)'

interface Choice {
  url?: string
  large?: number
  withOwners?: boolean
  cuts?: boolean
}

async function configure({ url = 'env:THERE_URL', large, withOwners = false, cuts = false }: Choice = {}) {
  const own = { edges: [{ kind: 'owned', to: 'public.people', columns: ['person_id'] }], action: 'delete' }
  await house.configure({
    stores: {
      app: {
        kind: 'postgres',
        url: 'env:APP_URL',
        ...(large === undefined ? {} : { large_table_rows: large }),
      },
      files: {
        kind: 'redis',
        url,
        places: [
          { name: 'documents', key: `${mark}:doc:{document}` },
          { name: 'sessions', key: `${mark}:session:{email}` },
        ],
      },
    },
    subjects: {
      person: {
        store: 'app',
        root: 'public.people',
        contact: 'root.email',
        identifiers: {
          email: { sql: 'root.email' },
          document: { sql: document, ...(withOwners ? { owners } : {}) },
        },
        access: cuts ? { stores: ['files'] } : {},
        other_stores: ['files'],
      },
    },
    tables: {
      app: {
        'public.people': {
          columns: {
            none: ['id', 'tenant', 'keep', 'deleted_at', 'last_seen', 'naive_at'],
            contact: ['email'],
            identity: ['born'],
          },
          action: 'delete',
        },
        'public.visits': { columns: { none: ['id', 'person_id'] }, ...own },
        'public.records': { columns: { none: ['id', 'person_id', 'keep_until'] }, ...own },
        'public.messages': { columns: { none: ['id', 'person_id', 'sent_at'] }, ...own },
        'public.loose': { columns: { none: ['person_id'], 'free-text': ['note'] }, ...own },
        'public.documents': { columns: { none: ['id', 'person_id', 'file_key'] }, ...own },
      },
    },
  })
}

async function ask(...keys: number[]): Promise<string[]> {
  const ids: string[] = []
  for (const key of keys) {
    const [row] = await house.app.query(
      z.object({ id: z.string() }),
      `SELECT lethe.request_erasure('person', ARRAY[$1], kind => 'article-17', identity => 'signed-in-session') AS id`,
      [String(key)],
    )
    ids.push(row?.id ?? '')
  }
  await takeIntake(house.context, 'app')
  await work()
  return ids
}

async function work(): Promise<void> {
  await ensureCascade(house.context, 'person')
  await house.work()
}

async function put(...names: string[]): Promise<void> {
  for (const name of names) await redis.set(`${mark}:${name}`, 'x')
}

async function left(): Promise<string[]> {
  return (await redis.keys(`${mark}:*`)).map((key) => key.slice(mark.length + 1)).toSorted()
}

async function fileLeg(id: string | undefined) {
  const legs = await legsOf(house.control, [id ?? ''])
  return legs.find(({ store }) => store === 'files')
}

for (const withOwners of [false, true])
  test(`a file of two people stays for the other, is said, and goes with its last owner (${withOwners ? 'owners declared' : 'by the expression alone'})`, async () => {
    await configure({ withOwners })
    await house.app.execute(`INSERT INTO documents VALUES (1, 1, 'both'), (2, 2, 'both'), (3, 1, 'own')`)
    await put('doc:both', 'doc:own', 'session:p1')
    const [first] = await ask(1)
    expect(await left()).toEqual(['doc:both'])
    expect(await fileLeg(first)).toMatchObject({ state: 'verified', messages: ['shared with others: 1'] })
    const [second] = await ask(2)
    expect(await left()).toEqual([])
    expect((await fileLeg(second))?.messages).toEqual([])
  })

test('a file of two people who are erased together goes', async () => {
  await configure()
  await house.app.execute(`INSERT INTO documents VALUES (1, 1, 'both'), (2, 2, 'both')`)
  await put('doc:both')
  await ask(1, 2)
  expect(await left()).toEqual([])
})

test('a person of whom every value is shared needs nothing deleted there', async () => {
  await configure()
  await house.app.execute(`UPDATE people SET email = 'house' WHERE id IN (1, 2)`)
  await put('session:house')
  const [id] = await ask(1)
  expect(await left()).toEqual(['session:house'])
  expect(await fileLeg(id)).toMatchObject({ state: 'not-needed', messages: ['shared with others: 1'] })
})

test('an address that somebody took while the leg waited for its store stays theirs', async () => {
  await configure({ url: 'env:AWAY_URL' })
  await put('session:p1')
  const [id] = await ask(1)
  expect((await fileLeg(id))?.state).toBe('failed')
  expect(await house.ids('people')).toEqual([2, 3, 4])
  await house.app.execute(`INSERT INTO people (id, email) VALUES (9, 'p1')`)
  await configure()
  await house.control.execute('UPDATE lethe_control.erasure_legs SET next_at = now()')
  await house.control.execute('UPDATE lethe_control.erasure_requests SET next_at = now()')
  await work()
  expect(await left()).toEqual(['session:p1'])
  expect((await fileLeg(id))?.messages).toEqual(['shared with others: 1'])
})

test('cutting access ends no session of somebody else', async () => {
  await configure({ cuts: true })
  await house.app.execute(`UPDATE people SET email = 'house' WHERE id IN (1, 2)`)
  await house.app.execute(`INSERT INTO documents VALUES (1, 1, 'own')`)
  await put('session:house', 'doc:own')
  await ask(1)
  expect(await left()).toEqual(['session:house'])
})

test('on a large table an identifier that no index can look up is a finding, until the map says how', async () => {
  await house.app.execute('ANALYZE people')
  await house.app.execute('CREATE INDEX people_email ON people (email)')
  try {
    const plan = () => loadPlan(house.context, 'app', { subject: 'person' })
    await configure({ large: 1 })
    await expect(plan()).rejects.toThrow('unindexed-identifier:app/person.document')
    await expect(plan()).rejects.not.toThrow('person.email')
    await configure({ large: 1, withOwners: true })
    await expect(plan()).resolves.toMatchObject({ subject: 'person' })
  } finally {
    await house.app.execute('DROP INDEX people_email')
  }
})
