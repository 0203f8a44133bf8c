import { Redis } from 'ioredis'
import type { SubjectRef } from '../../lib/data/erasers/index.ts'
import { redisEraser } from '../../lib/data/erasers/stores/redis/eraser.ts'
import type { RedisPlan } from '../../lib/data/erasers/stores/redis/plan.ts'
import { idOf, people, person, knowing, type Known } from '../support/stages/erasing.ts'
import { startProxy, startRedis } from '../support/servers/servers.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'

describeEraser('for Redis', async (): Promise<EraserFixture<Known<RedisPlan>>> => {
  const server = await startRedis({ own: true })
  const redis = new Redis(server.url)
  let liedAbout: string | null = null
  const counter = {
    count: 0,
    // The server is asked whether the key is there, and the eraser hears that one was removed.
    onMessage(_: number, message: Buffer) {
      const at = message.toString('latin1').toUpperCase().indexOf('UNLINK')
      if (liedAbout !== null && at >= 0 && message.includes(liedAbout)) message.write('EXISTS', at)
      return true
    },
  }
  const proxy = await startProxy(server.host, server.port, { protocol: 'redis', counter })
  const url = new URL(proxy.rewrite(server.url))
  url.username = 'eraser'
  url.password = 'of-the-tests'
  const letIn = (...keys: string[]) =>
    redis.acl('SETUSER', 'eraser', 'reset', 'on', '>of-the-tests', '+@all', '%R~*', ...keys)
  let seeded: SubjectRef[] = []

  return {
    eraser: knowing(redisEraser({ store: 'sessions', url: url.toString() })),
    plan: {
      identifiers: (subject) => ({ id: [idOf(subject)] }),
      places: [
        { name: 'profiles', key: 'profile:{id}' },
        { name: 'carts', scan: 'user:{id}:*' },
        { name: 'online', member: { key: 'online-users', value: '{id}' } },
      ],
    },
    stranger: person(999_999),
    async reset() {
      liedAbout = null
      await redis.flushall()
      await letIn('~*')
    },
    async seed(count) {
      seeded = people(count)
      for (const subject of seeded) {
        await redis.set(`profile:${idOf(subject)}`, 'x')
        await redis.mset(`user:${idOf(subject)}:cart`, 'x', `user:${idOf(subject)}:seen`, 'x')
        await redis.sadd('online-users', idOf(subject))
      }
      return seeded
    },
    request: (limit) => Promise.resolve({ runId: 'run', fence: 1n, limit }),
    lieAbout(subject) {
      liedAbout = `profile:${idOf(subject)}`
      return Promise.resolve()
    },
    async refuse(subject) {
      const others = seeded.filter((other) => other !== subject).map(idOf)
      await letIn('~online-users', ...others.flatMap((other) => [`~profile:${other}`, `~user:${other}:*`]))
      return async () => {
        await letIn('~*')
      }
    },
    async close() {
      redis.disconnect()
      await proxy.close()
      await server.stop()
    },
  }
})
