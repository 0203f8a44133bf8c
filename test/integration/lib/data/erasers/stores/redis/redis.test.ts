import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { SubjectRef } from '../../../../../../../lib/data/erasers/index.ts'
import { redisEraser } from '../../../../../../../lib/data/erasers/stores/redis/eraser.ts'
import type { RedisPlace, RedisPlan } from '../../../../../../../lib/data/erasers/stores/redis/plan.ts'
import { never, person, knowing, type Known } from '../../../../../../support/stages/erasing.ts'
import { startProxy, startRedis, type RedisServer } from '../../../../../../support/servers/servers.ts'

const request = { runId: 'run', fence: 1n, limit: 1000 }
const planOf = (...places: RedisPlace[]) => ({
  identifiers: (subject: SubjectRef) => ({ id: subject.key }),
  places,
})
const carts = planOf({ name: 'carts', scan: 'user:{id}:*' })
let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis({ own: true })
  redis = new Redis(server.url)
})
afterAll(async () => {
  redis.disconnect()
  await server.stop()
})
beforeEach(() => redis.flushall())

const eraser = () => knowing(redisEraser({ store: 'sessions', url: server.url }))
const erase = (ids: string[], places: RedisPlace[]) =>
  eraser().erase(ids.map(person), planOf(...places), request, never)
const left = async () => (await redis.keys('*')).toSorted()

describe('a form of keys', () => {
  test('is of its subject alone, whatever glob or byte stands in value or key', async () => {
    const others = ['user:10:a', 'user:1', 'xuser:1:a', 'user:axb:a', '{lethe}:user:1:a', 'user:2:a']
    await redis.mset(...[...others, 'user:1:', 'user:1:a', 'user:a*b:a'].flatMap((key) => [key, 'x']))
    await redis.set(Buffer.from('user:1:\xff\xfe', 'latin1'), 'x')
    expect((await erase(['1', 'a*b'], [{ name: 'carts', scan: 'user:{id}:*' }])).removed).toEqual({
      carts: 4,
    })
    expect((await erase(['a*b'], [{ name: 'carts', scan: 'user:{id}:*' }])).removed).toEqual({})
    expect(await left()).toEqual(others.toSorted())
  })

  test('finds a value with a glob in it where the server looks for that one alone', async () => {
    await redis.mset('user:a[b]*:a', 'x', 'user:ab:a', 'x')
    expect((await erase(['a[b]*'], [{ name: 'carts', scan: 'user:{id}:*' }])).removed).toEqual({ carts: 1 })
    expect(await left()).toEqual(['user:ab:a'])
  })

  test('ends where it ends', async () => {
    await redis.mset('x:user:1:cart', 'x', 'x:user:1:cartoon', 'x')
    // of two forms the server is told neither: what isn't a subject's is told apart here
    const places = [
      { name: 'carts', scan: '*:user:{id}:cart' },
      { name: 'none', scan: 'none:{id}:*' },
    ]
    expect((await erase(['1', '2'], places)).removed).toEqual({ carts: 1 })
    expect(await left()).toEqual(['x:user:1:cartoon'])
  })

  test('may have a * before the value, which a boundary then parts from it; never in Lethe’s own keys', async () => {
    const others = ['t:a:user:10:x', '{lethe}:user:1:x']
    await redis.mset(...[...others, 't:a:user:1:x', 't:1:user:1:y'].flatMap((key) => [key, 'x']))
    expect((await erase(['1'], [{ name: 'carts', scan: '*:user:{id}:*' }])).removed).toEqual({ carts: 2 })
    expect(await left()).toEqual(others.toSorted())
  })

  test('of many subjects takes one pass over the keyspace', async () => {
    const ids = Array.from({ length: 300 }, (_, id) => String(id))
    await redis.mset(...ids.flatMap((id) => [`user:${id}:a`, 'x']), ...ids.flatMap((id) => [`o:${id}`, 'x']))
    await redis.config('RESETSTAT')
    await eraser().verify(ids.map(person), carts, never)
    expect(await redis.info('commandstats')).toMatch(/cmdstat_scan:calls=1,/)
  })

  test('goes on where the last call stopped instead of from the beginning', async () => {
    const ids = Array.from({ length: 400 }, (_, id) => String(id))
    const others = Array.from({ length: 2000 }, (_, id) => `other:${id}`)
    await redis.mset(...ids.flatMap((id) => [`user:${id}:a`, 'x']), ...others.flatMap((key) => [key, 'x']))
    await redis.config('RESETSTAT')
    const one = knowing(redisEraser({ store: 'sessions', url: server.url, scanCount: 20 }))
    let calls = 0
    while ((await one.erase(ids.map(person), carts, { ...request, limit: 20 }, never)).more) calls += 1
    const [, scans = ''] = /cmdstat_scan:calls=(\d+),/.exec(await redis.info('commandstats')) ?? []
    expect(calls).toBeGreaterThan(15)
    // each call reads one piece again; from the beginning it would be over a thousand
    expect(Number(scans)).toBeLessThan(300)
    expect(await redis.dbsize()).toBe(others.length)
  })
})

describe('a plan is refused', () => {
  test.each<RedisPlace>([
    { name: 'p', key: 'session' },
    { name: 'p', scan: 'user:*' },
    { name: 'p', scan: 'user:{id}' },
    { name: 'p', scan: 'user:{id}*' },
    { name: 'p', scan: 'user:{id}0:*' },
    { name: 'p', scan: '*{id}:*' },
    { name: 'p', scan: '*a{id}:*' },
    { name: 'p', scan: 'user:[0-9]:{id}:*' },
    { name: 'p', key: '{lethe}:{id}' },
    { name: 'p', scan: '{lethe}:{id}:*' },
    { name: 'p', member: { key: '{lethe}:x', value: '{id}' } },
    { name: 'p', member: { key: 'online', value: 'x' } },
  ])('%j', async (place) => {
    await expect(erase(['1'], [place])).rejects.toMatchObject({ code: 'E_CONFIG' })
  })
})

test('a value that leads elsewhere holds up nobody else, and is never called absent', async () => {
  await redis.mset('user:1:2:a', 'x', 'user:2:a', 'x', '{lethe}:x', 'x')
  const places: RedisPlace[] = [
    { name: 'carts', scan: 'user:{id}:*' },
    { name: 'own', key: '{id}:x' },
  ]
  const page = await erase(['1:2', '2', '{lethe}'], places)
  expect(page.messages).toHaveLength(2)
  expect(page.messages.join()).not.toContain('1:2')
  expect(await left()).toEqual(['user:1:2:a', '{lethe}:x'])
  const found = await eraser().verify(['1:2', '2', '{lethe}'].map(person), planOf(...places), never)
  expect(found.map(({ absent }) => absent)).toEqual([false, true, false])
  for (const read of ['locate', 'verify'] as const)
    await expect(eraser()[read]([person('1:2')], planOf(...places), never)).rejects.toMatchObject({
      code: 'E_IDENTIFIER',
    })
})

test('members go from whatever holds them, and what has none is said and never absent', async () => {
  await redis.sadd('set', '1', '2')
  await redis.zadd('zset', 1, '1', 2, '2')
  await redis.hset('hash', '1', 'x', '2', 'x')
  await redis.rpush('list', '1', '2', '1')
  await redis.set('text', '1')
  const member = (key: string): RedisPlace => ({ name: key, member: { key, value: '{id}' } })
  const places = ['set', 'zset', 'hash', 'list', 'gone'].map(member)
  const there = { set: 1, zset: 1, hash: 1, list: 2 }
  expect((await eraser().locate([person('1')], planOf(...places), never)).counts).toEqual(there)
  const page = await erase(['1'], [...places, member('text')])
  expect(page).toMatchObject({ removed: there, more: false })
  expect(page.messages).toEqual(['1 of text left alone: the key has no members.'])
  expect(await redis.lrange('list', 0, -1)).toEqual(['2'])
  expect(await eraser().verify([person('1')], planOf(...places), never)).toMatchObject([{ absent: true }])
  await expect(eraser().verify([person('1')], planOf(member('text')), never)).rejects.toMatchObject({
    code: 'E_STORE_REFUSED',
  })
})

test('reading back tells of each subject what leads to it, also what several share, in one pass', async () => {
  await redis.mset('user:1:a', 'x', 'user:2:b', 'x', 'user:1:user:2:c', 'x', 'shared:7', 'x')
  await redis.rpush('list', '7', '7')
  const plan: Known<RedisPlan> = {
    identifiers: ({ key: [id = ''] }) => ({ id: [id], family: id === '3' ? [] : ['7'] }),
    places: [
      { name: 'first', key: 'user:{id}:a' },
      { name: 'carts', scan: 'user:{id}:*' },
      { name: 'inner', scan: '*:user:{id}:*' },
      { name: 'family', key: 'shared:{family}' },
      { name: 'list', member: { key: 'list', value: '{family}' } },
    ],
  }
  const shared = { family: 1, list: 2 }
  await redis.config('RESETSTAT')
  expect(await eraser().verify(['3', '2', '1'].map(person), plan, never)).toEqual([
    { absent: true, left: {}, retained: [] },
    { absent: false, left: { carts: 2, ...shared }, retained: [] },
    { absent: false, left: { first: 1, carts: 1, ...shared }, retained: [] },
  ])
  const stats = await redis.info('commandstats')
  for (const command of ['scan', 'type', 'lpos'])
    expect(stats).toMatch(new RegExp(`cmdstat_${command}:calls=1,`))
  const { counts } = await eraser().locate(['3', '2', '1'].map(person), plan, never)
  expect(counts).toEqual({ first: 1, carts: 2, ...shared })
})

test('what may not be looked at holds up nobody else, and is not absent', async () => {
  await redis.mset('profile:1', 'x', 'profile:2', 'x')
  await redis.acl('SETUSER', 'partial', 'reset', 'on', '>x', '+@all', '~profile:2', '~profile:3')
  const url = `redis://partial:x@${server.host}:${server.port}`
  const plan = planOf({ name: 'profiles', key: 'profile:{id}' })
  const verify = (...ids: string[]) =>
    knowing(redisEraser({ store: 's', url })).verify(ids.map(person), plan, never)
  expect(await verify('1', '2', '3')).toEqual([
    { absent: false, left: {}, retained: [] },
    { absent: false, left: { profiles: 1 }, retained: [] },
    { absent: true, left: {}, retained: [] },
  ])
  await expect(verify('1')).rejects.toMatchObject({ code: 'E_STORE_REFUSED' })
})

describe('a probe', () => {
  const plan = planOf(
    { name: 'profiles', key: 'profile:{id}' },
    { name: 'carts', scan: 'user:{id}:*' },
    { name: 'online', member: { key: 'online', value: '{id}' } },
    { name: 'gone', member: { key: 'gone', value: '{id}' } },
  )
  const rights = '+scan +exists +unlink +type +zscore +zrem +multi +discard'.split(' ')
  const keys = ['~profile:*', '~user:*:*', '~online', '~gone']
  const probe = async (...given: string[]) => {
    await redis.acl('SETUSER', 'probing', 'reset', 'on', '>x', ...given)
    await knowing(redisEraser({ store: 's', url: `redis://probing:x@${server.host}:${server.port}` })).probe(
      plan,
      never,
    )
  }

  test('needs the rights that are named, and no more', async () => {
    await redis.zadd('online', 1, '1')
    await probe(...rights, ...keys)
  })

  test.each([...rights, ...keys.slice(0, 3)])('without %s says that it is refused', async (missing) => {
    await redis.zadd('online', 1, '1')
    const others = [...rights, ...keys].filter((right) => right !== missing)
    await expect(probe(...others)).rejects.toMatchObject({ code: 'E_STORE_REFUSED' })
  })

  test('changes nothing', async () => {
    await redis.zadd('online', 1, '1')
    await redis.set('user:1:a', 'x')
    await redis.config('RESETSTAT')
    await eraser().probe(plan, never)
    const stats = await redis.info('commandstats')
    expect(stats).not.toMatch(/cmdstat_(unlink|zrem|exec)/)
    expect(await left()).toEqual(['online', 'user:1:a'])
  })
})

test('what a live application writes again is seen by reading back', async () => {
  await redis.set('user:1:a', 'x')
  expect((await erase(['1'], [{ name: 'carts', scan: 'user:{id}:*' }])).removed).toEqual({ carts: 1 })
  await redis.set('user:1:a', 'x')
  expect(await eraser().verify([person('1')], carts, never)).toMatchObject([
    { absent: false, left: { carts: 1 } },
  ])
})

test('a database that is not there, a replica and a wrong password are no empty store', async () => {
  const verify = (url: string) =>
    knowing(redisEraser({ store: 's', url })).verify([person('1')], carts, never)
  await expect(verify(`${server.url}/99`)).rejects.toMatchObject({ code: 'E_STORE_REFUSED' })
  await expect(verify(`redis://nobody:x@${server.host}:${server.port}`)).rejects.toMatchObject({
    code: 'E_STORE_REFUSED',
  })
  await redis.replicaof('127.0.0.1', '1')
  await expect(verify(server.url)).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' })
  await redis.replicaof('NO', 'ONE')
})

describe('behind a broken path', () => {
  test.each(['cut', 'blackhole'] as const)(
    '%s in the middle leaves what a later call ends',
    async (fault) => {
      const counter = { count: 0, onMessage: (_: number, message: Buffer) => pass(message) }
      const proxy = await startProxy(server.host, server.port, { protocol: 'redis', counter })
      let unlinks = 0
      function pass(message: Buffer): boolean {
        if (/unlink/i.test(message.toString('latin1'))) unlinks += 1
        if (unlinks === 40 && fault === 'blackhole') proxy.blackhole()
        return !(unlinks === 40 && fault === 'cut')
      }
      const ids = Array.from({ length: 100 }, (_, id) => String(id))
      await redis.mset(...ids.flatMap((id) => [`user:${id}:a`, 'secret']))
      const broken = knowing(
        redisEraser({ store: 'sessions', url: proxy.rewrite(server.url), commandMs: 500 }),
      )
      const error: unknown = await broken
        .erase(ids.map(person), carts, request, never)
        .catch((error: unknown) => error)
      expect(error).toMatchObject({ code: 'E_STORE_UNAVAILABLE', retryable: true })
      expect(JSON.stringify(error)).not.toContain('user:')
      unlinks = 1000
      proxy.heal()
      // of the 39 passed on, the server does what it had read before the path broke
      const { removed } = await broken.erase(ids.map(person), carts, request, never)
      expect(removed.carts).toBeGreaterThanOrEqual(61)
      expect(await redis.dbsize()).toBe(0)
      const found = await broken.verify(ids.map(person), carts, never)
      expect(found.every(({ absent }) => absent)).toBe(true)
      await proxy.close()
    },
  )

  test('a server that is slow is waited for, until the deadline', async () => {
    await redis.set('user:1:a', 'x')
    await redis.call('CLIENT', 'PAUSE', 700, 'ALL')
    const impatient = knowing(redisEraser({ store: 'sessions', url: server.url, commandMs: 200 }))
    await expect(impatient.verify([person('1')], carts, never)).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
    })
    expect(await eraser().verify([person('1')], carts, never)).toMatchObject([{ absent: false }])
  })
})
