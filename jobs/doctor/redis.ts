/** Redis only carries work, but settings made for a cache lose or stop it. */
import type { Config } from '../../lib/config/index.ts'
import { inspectRedis } from '../../lib/base/queue/index.ts'
import { examine, type Finding } from './finding.ts'

/** Throws E_REDIS_UNAVAILABLE, E_CONFIG, E_CONFIG_MISSING. */
export async function examineRedis(config: Config): Promise<Finding[]> {
  const facts = await inspectRedis({
    url: config.redisUrl,
    prefix: config.file.operations.redis_prefix,
  })
  const version = examine('redis-version', 'redis')
  const eviction = examine('redis-eviction', 'redis')
  const memory = examine('redis-memory', 'redis')
  const persistence = examine('redis-persistence', 'redis')
  const [major = 0, minor = 0] = facts.version.split('.').map(Number)
  const full = facts.maxMemoryBytes > 0 ? facts.usedMemoryBytes / facts.maxMemoryBytes : 0
  return [
    ...(major < 6 || (major === 6 && minor < 2)
      ? version.error(`Redis ${facts.version} is too old for the queue.`, 'Install Redis 6.2 or newer.')
      : version.ok(`Redis ${facts.version}${facts.clustered ? ', a cluster' : ''}`)),
    ...(facts.evictionPolicy === null
      ? eviction.note(
          'Redis does not say what it does when its memory is full.',
          'Make sure that it is noeviction.',
        )
      : facts.evictionPolicy === 'noeviction'
        ? eviction.ok('maxmemory-policy is noeviction')
        : eviction.error(
            `maxmemory-policy is ${facts.evictionPolicy}: a full Redis throws jobs away.`,
            'CONFIG SET maxmemory-policy noeviction, and in redis.conf.',
          )),
    ...(full > 0.8
      ? memory.warning(
          `${Math.round(full * 100)} % of maxmemory is used: at 100 % nothing can be enqueued.`,
          'Raise maxmemory, or look at what else uses this Redis.',
        )
      : memory.ok(
          facts.maxMemoryBytes === 0
            ? 'maxmemory is not limited'
            : `${Math.round(full * 100)} % of maxmemory used`,
        )),
    ...(facts.appendOnly === false
      ? persistence.warning(
          'The append-only file is off: a restart forgets the queue. Nothing is lost, but the work waits for the dispatcher.',
          'CONFIG SET appendonly yes, and in redis.conf.',
        )
      : persistence.ok(facts.appendOnly === null ? 'persistence is not told' : 'the append-only file is on')),
  ]
}
