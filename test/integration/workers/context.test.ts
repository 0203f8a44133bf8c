import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { previewErasure } from '../../../jobs/erasure/index.ts'
import { openContext } from '../../../workers/context.ts'
import { openErasureHouse, otherStores, type ErasureHouse } from '../../support/stages/erasure-house.ts'
import type { TestDatabase } from '../../support/servers/postgres.ts'
import { findClient } from '../../support/servers/postgres-programs.ts'
import { startRedis, type RedisServer } from '../../support/servers/servers.ts'
import { freshDatabase } from '../../support/servers/shared.ts'

let house: ErasureHouse
let copy: TestDatabase
let redis: RedisServer
beforeAll(async () => {
  ;[house, copy, redis] = await Promise.all([openErasureHouse(), freshDatabase(), startRedis({ own: true })])
}, 120_000)
afterAll(async () => {
  await house.close()
  await copy.drop()
  await redis.stop()
})

test('a context for addresses that are handed in opens the same places there, and production is not asked', async () => {
  await house.people(1)
  const sql = await dumpOf(String(house.env['APP_URL']))
  const client = new pg.Client({ connectionString: copy.url })
  await client.connect()
  await client.query(sql)
  await client.query(`TRUNCATE public.people CASCADE`)
  await client.query(`INSERT INTO public.people (id, email) VALUES (7, 'p7@example.org')`)
  await client.end()
  const sessions = new Redis(redis.url)
  await sessions.set('session:7:a', 'x')
  sessions.disconnect()

  const drill = await openContext(
    'drill',
    { ...house.env, COPY_REDIS: redis.url },
    {
      addresses: { app: copy.url },
      stores: { sessions: { ...otherStores.sessions, kind: 'redis', url: 'env:COPY_REDIS' } },
    },
  )
  try {
    const counts = async (id: string) => {
      const { present, places } = await previewErasure(drill.context, 'person', [id])
      const of = (store: string) => Object.values(places.find((one) => one.store === store)?.counts ?? {})
      return { present, app: of('app').length > 0, sessions: of('sessions') }
    }
    expect(await counts('7')).toEqual({ present: true, app: true, sessions: [1] })
    expect(await counts('1')).toMatchObject({ present: false, app: false })
    // the map's version stays production's: what is recorded is found again
    expect(drill.context.config.version).toBe(house.context.config.version)
  } finally {
    await drill.close()
  }
})

/** Statements that any server takes: without psql's own commands, and without a setting that older servers don't know. */
async function dumpOf(url: string): Promise<string> {
  const { stdout } = await promisify(execFile)(await findClient('pg_dump'), ['--inserts', '--dbname', url], {
    maxBuffer: 1e8,
  })
  return stdout.replaceAll(/^(?:\\.*|SET transaction_timeout .*)$/gm, '')
}
