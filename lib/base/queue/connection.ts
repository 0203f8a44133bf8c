/**
 * The two ways Lethe connects to Redis. A worker waits for ever and must notice a dead path; a producer fails at once,
 * because PostgreSQL remembers what it wanted to add and the next round adds it again.
 */
import { Redis } from 'ioredis'
import { LetheError } from '../errors/index.ts'

export interface RedisTimeouts {
  /** ms without a byte on a socket that owes an answer before it is thrown away. */
  socketMs: number
  /** ms for one producer's command. */
  commandMs: number
}

/** Without socketTimeout and blockingTimeout together a half-open path is never noticed (ioredis sets neither). */
export const defaultTimeouts: RedisTimeouts = { socketMs: 15_000, commandMs: 5_000 }

export function workerOptions(url: string, timeouts: RedisTimeouts) {
  return {
    url: checkedUrl(url),
    maxRetriesPerRequest: null,
    connectTimeout: timeouts.socketMs,
    socketTimeout: timeouts.socketMs,
    blockingTimeout: timeouts.socketMs,
    retryStrategy,
  }
}

export function producerConnection(url: string, timeouts: RedisTimeouts): Redis {
  return new Redis(checkedUrl(url), {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: timeouts.commandMs,
    commandTimeout: timeouts.commandMs,
    socketTimeout: timeouts.commandMs,
    retryStrategy,
  })
}

/** What may be said about a Redis error. The error itself carries the command with its arguments, AUTH's too. */
export function redisErrorText(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error'
  if ('code' in error && typeof error.code === 'string') return error.code
  if (error.name === 'ReplyError') return error.message.split(' ', 1)[0] ?? 'ReplyError'
  if (error instanceof AggregateError) return redisErrorText(error.errors[0])
  return /timed? ?out|timeout/i.test(error.message)
    ? 'timed out'
    : /clos|writeable|writable|ended/i.test(error.message)
      ? 'connection lost'
      : error.name
}

function retryStrategy(times: number): number {
  return Math.min(100 * 2 ** Math.min(times, 6), 5_000)
}

function checkedUrl(url: string): string {
  const protocol = URL.canParse(url) ? new URL(url).protocol : ''
  if (protocol !== 'redis:' && protocol !== 'rediss:')
    throw new LetheError('E_CONFIG', { message: 'LETHE_REDIS_URL is not a redis:// or rediss:// address.' })
  if (new URL(url).searchParams.has('keyPrefix'))
    throw new LetheError('E_CONFIG', {
      message: 'LETHE_REDIS_URL sets keyPrefix, which BullMQ cannot work with.',
      next: 'Take it out; operations.redis_prefix separates installations on one server.',
    })
  return url
}
