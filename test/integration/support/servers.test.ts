import { Redis } from 'ioredis'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { askedVersion } from '../../support/postgres-programs.ts'
import { parseVersion } from '../../support/postgres-versions.ts'
import { startPgBouncer, startPostgres, startRedis, type PostgresServer } from '../../support/servers.ts'
import { freshDatabase, sharedRedisUrl } from '../../support/shared.ts'

let postgres: PostgresServer
beforeAll(async () => {
  postgres = await startPostgres({ own: true, settings: { work_mem: '7MB' } })
})
afterAll(() => postgres.stop())

async function ask(url: string, sql: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query({ text: sql, rowMode: 'array' })
    return rows[0]?.[0]
  } finally {
    await client.end()
  }
}

describe('a PostgreSQL of its own', () => {
  test('is of the major version that the run asks for, and of 15 or newer', async () => {
    const { major } = parseVersion(String(await ask(postgres.url, 'SHOW server_version')))
    expect(major).toBe(askedVersion() ?? major)
    expect(major).toBeGreaterThanOrEqual(15)
  })

  test('has the settings asked for and those every test needs', async () => {
    expect(await ask(postgres.url, 'SHOW work_mem')).toBe('7MB')
    expect(await ask(postgres.url, 'SHOW wal_level')).toBe('logical')
    expect(await ask(postgres.url, 'SHOW max_connections')).toBe('200')
    expect(await ask(postgres.url, 'SHOW fsync')).toBe('off')
    expect(await ask(postgres.url, 'SELECT rolsuper FROM pg_roles WHERE rolname = current_user')).toBe(true)
  })

  test('is durable where a bench asks for it', async () => {
    const durable = await startPostgres({ own: true, durable: true })
    try {
      expect(
        await ask(
          durable.url,
          "SELECT string_agg(setting, ' ') FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes')",
        ),
      ).toBe('on on on')
    } finally {
      await durable.stop()
    }
  })

  test('gives each caller a database of its own, and drops it while somebody is connected', async () => {
    const [one, two] = await Promise.all([postgres.createDatabase(), postgres.createDatabase()])
    await ask(one.url, 'CREATE TABLE mine ()')
    expect(await ask(two.url, "SELECT to_regclass('mine')")).toBeNull()
    const client = new pg.Client({ connectionString: one.url })
    client.on('error', () => undefined)
    await client.connect()
    await one.drop()
    await two.drop()
    expect(
      await ask(postgres.url, "SELECT count(*)::int FROM pg_database WHERE datname LIKE 'lethe_test_%'"),
    ).toBe(0)
  })

  test.each(['fast', 'immediate'] as const)(
    'comes back on the same address after a restart: %s',
    async (mode) => {
      const database = await postgres.createDatabase()
      await ask(database.url, 'CREATE TABLE kept AS SELECT 42 AS n')
      const before = await ask(postgres.url, 'SELECT pg_postmaster_start_time()::text')
      await postgres.restart(mode)
      expect(await ask(database.url, 'SELECT n FROM kept')).toBe(42)
      expect(await ask(postgres.url, 'SELECT pg_postmaster_start_time()::text')).not.toBe(before)
      await database.drop()
    },
  )

  test('is reached through PgBouncer, which gives sessions away between transactions', async () => {
    const bouncer = await startPgBouncer(postgres.url, 'transaction')
    const clients = [1, 2].map(() => new pg.Client({ connectionString: bouncer.url }))
    try {
      for (const client of clients) await client.connect()
      const backends = []
      for (const client of clients) {
        const { rows } = await client.query({ text: 'SELECT pg_backend_pid()', rowMode: 'array' })
        backends.push(rows[0]?.[0])
      }
      expect(new Set(backends).size).toBe(1)
    } finally {
      for (const client of clients) await client.end()
      await bouncer.stop()
    }
  })
})

describe('a Redis of its own', () => {
  test.each([
    [false, null],
    [true, 'value'],
  ])('killed and restarted, with append-only file %s: the key is then %s', async (appendonly, expected) => {
    const redis = await startRedis({ own: true, appendonly })
    const client = new Redis(redis.url)
    client.on('error', () => undefined)
    try {
      expect(await client.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction'])
      await client.set('key', 'value')
      await redis.kill()
      await redis.restart()
      expect(await client.get('key')).toBe(expected)
    } finally {
      client.disconnect()
      await redis.stop()
    }
  })
})

describe('the servers shared by the whole run', () => {
  test('give a test file its own database and an address of Redis', async () => {
    const [one, two] = await Promise.all([freshDatabase(), freshDatabase()])
    expect(one.name).not.toBe(two.name)
    expect(await ask(one.url, 'SELECT current_database()')).toBe(one.name)
    const redis = new Redis(sharedRedisUrl())
    expect(await redis.ping()).toBe('PONG')
    redis.disconnect()
    await one.drop()
    await two.drop()
  })
})
