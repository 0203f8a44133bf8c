import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { redisEraser } from '../../../../../../../lib/data/erasers/stores/redis/eraser.ts'
import type { RedisPlan } from '../../../../../../../lib/data/erasers/stores/redis/plan.ts'
import { never, knowing, type Known } from '../../../../../../support/stages/erasing.ts'
import { startRedisCluster, type RedisCluster } from '../../../../../../support/servers/redis-cluster.ts'

const people = Array.from({ length: 30 }, (_, id) => ({ kind: 'person', key: [String(id)], identifiers: {} }))
const plan: Known<RedisPlan> = {
  identifiers: (subject) => ({ id: subject.key }),
  places: [
    { name: 'profiles', key: 'profile:{id}' },
    { name: 'tagged', key: '{user:{id}}:x' },
    { name: 'carts', scan: 'user:{id}:*' },
    { name: 'online', member: { key: 'online-users', value: '{id}' } },
  ],
}
const request = { runId: 'run', fence: 1n, limit: 25 }
let cluster: RedisCluster

beforeAll(async () => {
  cluster = await startRedisCluster()
})
afterAll(() => cluster.stop())
beforeEach(async () => {
  for (const node of cluster.nodes) await node.flushall()
  for (const { key } of people)
    for (const name of [`profile:${key[0]}`, `{user:${key[0]}}:x`, `user:${key[0]}:a`, `user:${key[0]}:b`])
      await write(name, ['SET', name, 'x'])
  await write('online-users', ['SADD', 'online-users', ...people.map(({ key }) => key[0] ?? '')])
})

/** To the node that has the key's slot, as the server itself counts slots. */
async function write(key: string, [name = '', ...args]: string[]): Promise<void> {
  const slot = Number(await cluster.nodes[0]?.cluster('KEYSLOT', key))
  const node = cluster.nodes[slot <= 5460 ? 0 : slot <= 10_922 ? 1 : 2]
  await node?.call(name, ...args)
}

const sizes = () => Promise.all(cluster.nodes.map((node) => node.dbsize()))

test('goes on every master, in any slot, and in pieces', async () => {
  const eraser = knowing(redisEraser({ store: 'sessions', url: cluster.url }))
  expect(Math.min(...(await sizes()))).toBeGreaterThan(0)
  expect((await eraser.locate(people, plan, never)).counts).toEqual({
    profiles: 30,
    tagged: 30,
    carts: 60,
    online: 30,
  })
  let calls = 0
  let more = true
  while (more && calls < 20) {
    const page = await eraser.erase(people, plan, request, never)
    expect(Object.values(page.removed).reduce((all, count) => all + count, 0)).toBeLessThanOrEqual(25)
    more = page.more
    calls += 1
  }
  expect(calls).toBeGreaterThanOrEqual(6)
  const gone = { absent: true, left: {}, retained: [] }
  expect(await eraser.verify(people, plan, never)).toEqual(people.map(() => gone))
  expect(await sizes()).toEqual([0, 0, 0])
})

test('calls nothing absent while a slot is on its way', async () => {
  const eraser = knowing(redisEraser({ store: 'sessions', url: cluster.url }))
  const target = String(await cluster.nodes[1]?.call('CLUSTER', 'MYID'))
  await cluster.nodes[0]?.call('CLUSTER', 'SETSLOT', 0, 'MIGRATING', target)
  await expect(eraser.verify(people, plan, never)).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' })
  await expect(eraser.probe(plan, never)).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' })
  await cluster.nodes[0]?.call('CLUSTER', 'SETSLOT', 0, 'STABLE')
  await eraser.probe(plan, never)
  const there = { absent: false, left: { profiles: 1, tagged: 1, carts: 2, online: 1 }, retained: [] }
  expect(await eraser.verify(people, plan, never)).toEqual(people.map(() => there))
})

test('does what the other nodes hold where one is gone, says so, and calls nothing absent', async () => {
  const eraser = knowing(redisEraser({ store: 'sessions', url: cluster.url, commandMs: 2000 }))
  for (const node of cluster.nodes) await node.config('SET', 'cluster-require-full-coverage', 'no')
  await cluster.killNode(2)
  await expect(eraser.erase(people, plan, { ...request, limit: 1000 }, never)).rejects.toMatchObject({
    code: 'E_STORE_UNAVAILABLE',
    retryable: true,
  })
  expect(await Promise.all(cluster.nodes.slice(0, 2).map((node) => node.dbsize()))).toEqual([0, 0])
  await expect(eraser.verify(people, plan, never)).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' })
  await expect(eraser.probe(plan, never)).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' })
})
