import { readFileSync } from 'node:fs'
import { LetheError } from '../base/errors/index.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** What `env:NAME` or `file:/path` stands for; never in a message. Throws E_CONFIG_MISSING. */
export function lookUp(reference: string, env: Environment, what: string): string {
  const value = reference.startsWith('env:') ? env[reference.slice(4)] : readFile(reference.slice(5), what)
  if (value !== undefined && value !== '') return value
  throw new LetheError('E_CONFIG_MISSING', {
    message: `${reference.startsWith('env:') ? `The variable ${reference.slice(4)}` : `The file ${reference.slice(5)}`} is not set or empty; it gives ${what}.`,
    facts: { reference },
  })
}

function readFile(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    throw new LetheError('E_CONFIG_MISSING', {
      message: `The file ${path} can't be read; it gives ${what}.`,
      facts: { reference: `file:${path}` },
    })
  }
}

/** What the environment says, else `given`. */
export function healthAddress(
  env: Environment,
  given: { host: string; port: number },
): { host: string; port: number } {
  const { LETHE_HEALTH_HOST: host = '', LETHE_HEALTH_PORT: port = '' } = env
  if (!/^\d{0,5}$/.test(port) || Number(port) > 65_535)
    throw new LetheError('E_CONFIG', {
      message: 'LETHE_HEALTH_PORT is not a port.',
      next: 'Set it to a number from 0 (any free one) to 65535.',
    })
  return { host: host === '' ? given.host : host, port: port === '' ? given.port : Number(port) }
}

/** BullMQ builds its own keys: with the client's key prefix on top, its scripts and its events name different ones. */
export function redisAddress(url: string): string {
  const parsed = URL.parse(url)
  if (parsed === null || !/^rediss?:$/.test(parsed.protocol))
    throw new LetheError('E_CONFIG', {
      message: 'LETHE_REDIS_URL is not a redis:// or rediss:// address.',
      next: 'Set it to an address such as redis://localhost:6379.',
    })
  if ([...parsed.searchParams.keys()].some((key) => key.toLowerCase() === 'keyprefix'))
    throw new LetheError('E_CONFIG', {
      message: 'LETHE_REDIS_URL sets a key prefix, which the queue does not work with.',
      next: 'Take keyPrefix out of the address and set operations.redis_prefix.',
    })
  return url
}

/** Never in a message: an address has a password. */
export function postgresAddress(url: string, name: string): string {
  const parsed = URL.parse(url)
  if (parsed !== null && /^postgres(ql)?:$/.test(parsed.protocol)) return url
  throw new LetheError('E_CONFIG', {
    message: `${name} is not a postgres:// address.`,
    next: 'Set it to an address such as postgres://user:password@localhost:5432/lethe.',
  })
}
