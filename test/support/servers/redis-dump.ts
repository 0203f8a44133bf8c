/** Every key and value of a Redis server as one text, to search for what must not be there. */
import type { Redis } from 'ioredis'

export async function dumpRedis(redis: Redis): Promise<string> {
  const parts: string[] = []
  for (const key of await redis.keys('*')) parts.push(`${key} = ${JSON.stringify(await valueOf(redis, key))}`)
  return parts.join('\n')
}

async function valueOf(redis: Redis, key: string): Promise<unknown> {
  const type = await redis.type(key)
  if (type === 'string') return redis.get(key)
  if (type === 'hash') return redis.hgetall(key)
  if (type === 'list') return redis.lrange(key, 0, -1)
  if (type === 'set') return redis.smembers(key)
  if (type === 'zset') return redis.zrange(key, '0', '-1')
  if (type === 'stream') return redis.xrange(key, '-', '+')
  // it expired, or a worker took it, since the keys were listed
  if (type === 'none') return null
  throw new Error(`a key of type ${type}`)
}
