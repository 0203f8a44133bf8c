import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  migrate,
  openDatabase,
  requireSchema,
  schemaState,
  type Database,
} from '../../../../../lib/base/db/index.ts'
import { startPostgres, type PostgresServer } from '../../../../support/servers/servers.ts'

let server: PostgresServer
const opened: Database[] = []

beforeAll(async () => {
  server = await startPostgres()
})
afterAll(async () => {
  for (const db of opened) await db.close()
  await server.stop()
})

async function fresh(): Promise<{ url: string; db: Database }> {
  const { url } = await server.createDatabase()
  const db = openDatabase(url, { name: 'test', applicationName: 'lethe test' })
  opened.push(db)
  return { url, db }
}

test('applies each migration once, and nothing the second time', async () => {
  const { url, db } = await fresh()
  expect(await schemaState(db, 'control')).toBe('absent')
  const first = await migrate(url, 'control')
  expect(first.applied).toContain('001_core')
  expect(await migrate(url, 'control')).toEqual({ applied: [] })
  expect(await schemaState(db, 'control')).toBe('current')
})

test('two at once apply each migration once between them', async () => {
  const { url, db } = await fresh()
  const [one, two] = await Promise.all([migrate(url, 'target'), migrate(url, 'target')])
  expect([...one.applied, ...two.applied].filter((name) => name === '001_core')).toHaveLength(1)
  expect(await schemaState(db, 'target')).toBe('current')
})

test('both schemas stand in one database', async () => {
  const { url, db } = await fresh()
  await migrate(url, 'control')
  await migrate(url, 'target')
  expect(await schemaState(db, 'control')).toBe('current')
  expect(await schemaState(db, 'target')).toBe('current')
})

test('a schema that lacks a migration is old and is refused with the command that mends it', async () => {
  const { url, db } = await fresh()
  await migrate(url, 'control')
  await db.execute(`DELETE FROM lethe_control.pgmigrations WHERE name <> '001_core'`)
  expect(await schemaState(db, 'control')).toBe('old')
  await expect(requireSchema(db, 'control', 'control')).rejects.toMatchObject({
    code: 'E_SCHEMA_OLD',
    exitCode: 57,
    next: 'Run `lethe migrate`.',
  })
})

test('a schema that a newer version touched is refused by this one, and migrate leaves it alone', async () => {
  const { url, db } = await fresh()
  await migrate(url, 'target')
  await db.execute(`INSERT INTO lethe.pgmigrations (name, run_on) VALUES ('999_future', now())`)
  expect(await schemaState(db, 'target')).toBe('new')
  await expect(requireSchema(db, 'target', 'clinic')).rejects.toMatchObject({ code: 'E_SCHEMA_NEW' })
  await expect(migrate(url, 'target')).rejects.toMatchObject({ code: 'E_SCHEMA_NEW' })
})

test('a database without the schema is refused', async () => {
  const { db } = await fresh()
  await expect(requireSchema(db, 'control', 'control')).rejects.toMatchObject({ code: 'E_SCHEMA_OLD' })
})
