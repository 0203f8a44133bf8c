/** Sessions in another store that only a row of the own store leads to, which goes itself when access is cut. */
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  askedStatement,
  ensureCascade,
  requestErasure,
  resolveSubject,
  type Asked,
} from '../../../../jobs/erasure/index.ts'
import { getRequest, legsOf } from '../../../../lib/record/requests/index.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'
import { startRedis, type RedisServer } from '../../../support/servers/servers.ts'

let house: RetentionHouse
let server: RedisServer
let redis: Redis
beforeAll(async () => {
  server = await startRedis({ own: true })
  house = await openRetentionHouse({ CACHE_URL: server.url })
  redis = new Redis(server.url)
  redis.on('error', () => undefined)
})
afterAll(async () => {
  redis.disconnect()
  await house.close()
  await server.stop()
})
beforeEach(async () => {
  await house.empty()
  await house.configure({
    stores: {
      app: { kind: 'postgres', url: 'env:APP_URL' },
      cache: {
        kind: 'redis',
        url: 'env:CACHE_URL',
        places: [{ name: 'sessions', key: 'session:{session}' }],
      },
    },
    subjects: {
      person: {
        store: 'app',
        root: 'public.people',
        contact: 'root.email',
        identifiers: {
          email: { sql: 'root.email', unique: true },
          session: { sql: 'ARRAY(SELECT m.id::text FROM public.messages m WHERE m.person_id = root.id)' },
        },
        access: {
          delete: [{ table: 'public.messages', where: 't.person_id = root.id' }],
          stores: ['cache'],
        },
        other_stores: ['cache'],
      },
    },
  })
  await house.app.execute(
    `INSERT INTO people (id, email) SELECT id, 'p' || id || '@example.org' FROM generate_series(1, 2) id`,
  )
  await house.app.execute('INSERT INTO messages SELECT id * 10, id, now() FROM generate_series(1, 2) id')
  await redis.mset('session:10', 'x', 'session:20', 'x')
})

async function ask(kind: Asked['kind']) {
  const asked: Asked = {
    subject: 'person',
    who: { identifier: 'email', value: 'p2@example.org' },
    kind,
    requester: 'subject',
    immediate: false,
    identity: 'staff-check',
  }
  const key = await resolveSubject(house.context, asked)
  const by = await house.sign(askedStatement(house.context, asked, key, 'ticket 7'), 'desk')
  return requestErasure(house.context, asked, key, by)
}

test('are ended at the cut, although the rows that lead there go first', async () => {
  const { id } = await ask('account-closure')
  await house.work()
  expect(await getRequest(house.control, id)).toMatchObject({
    state: 'grace',
    accessEnded: {
      app: { counts: { 'public.messages': 1 }, shared: 1 },
      cache: { counts: { sessions: 1 }, shared: 1 },
    },
  })
  expect(await house.ids('messages')).toEqual([10])
  expect(await redis.keys('*')).toEqual(['session:10'])
})

test('are found although the worker dies once the rows are gone and before that is recorded', async () => {
  await house.control.execute(
    `CREATE FUNCTION lethe_control.die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'here'; END $$`,
  )
  await house.control.execute(
    `CREATE TRIGGER die BEFORE UPDATE OF access_ended ON lethe_control.erasure_requests FOR EACH ROW
     WHEN (NEW.access_ended ? 'app') EXECUTE FUNCTION lethe_control.die()`,
  )
  const { id } = await ask('article-17')
  await house.work()
  await house.control.execute('DROP FUNCTION lethe_control.die() CASCADE')
  expect(await house.ids('messages')).toEqual([10])
  expect(await redis.keys('*')).toContain('session:20')
  await house.control.execute('UPDATE lethe_control.erasure_requests SET next_at = clock_timestamp()')
  await ensureCascade(house.context, 'person')
  await house.work()
  expect(await getRequest(house.control, id)).toMatchObject({ state: 'completed' })
  expect(await redis.keys('*')).toEqual(['session:10'])
})

test('wait for no store that is away: they are found again when their leg has its turn', async () => {
  await server.kill()
  const { id } = await ask('article-17')
  await house.work()
  expect(await getRequest(house.control, id)).toMatchObject({ state: 'erasing' })
  await server.restart()
  await redis.mset('session:10', 'x', 'session:20', 'x')
  await house.control.execute(`UPDATE lethe_control.erasure_legs SET next_at = clock_timestamp()`)
  await house.control.execute(`UPDATE lethe_control.erasure_requests SET next_at = clock_timestamp()`)
  await house.control.execute(`UPDATE lethe_control.erasure_legs SET next_at = clock_timestamp()`)
  await ensureCascade(house.context, 'person')
  await house.work()
  expect(await getRequest(house.control, id)).toMatchObject({ state: 'completed' })
  expect(await legsOf(house.control, [id])).toMatchObject([
    { store: 'app', state: 'verified' },
    { store: 'cache', state: 'verified', counts: { sessions: 1 } },
    { store: 'app:free-text', state: 'verified' },
  ])
  expect(await redis.keys('*')).toEqual(['session:10'])
})
