import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import type { TestDatabase } from '../../support/servers/postgres.ts'
import { testRoles } from '../../support/servers/roles.ts'
import { dropRoles, ofThisRun } from '../../support/servers/server-roles.ts'
import { freshDatabase } from '../../support/servers/shared.ts'

const names = testRoles('left', 'member')
let database: TestDatabase

beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.drop())

async function sql(text: string, values: unknown[] = []): Promise<number> {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  try {
    return (await client.query(text, values)).rowCount ?? 0
  } finally {
    await client.end()
  }
}
const there = (...roles: string[]) => sql('SELECT FROM pg_roles WHERE rolname = ANY ($1)', [roles])

describe('roles of a test', () => {
  test('are dropped with what another database gave them, and with their members', async () => {
    await sql(`CREATE ROLE ${names.left}; CREATE ROLE ${names.member} LOGIN IN ROLE ${names.left}`)
    await sql(`CREATE TABLE things (id int); GRANT SELECT ON things TO ${names.left}`)
    await sql(`CREATE SCHEMA theirs AUTHORIZATION ${names.member}`)
    await dropRoles(inject('postgresUrl'), Object.values(names))
    await dropRoles(inject('postgresUrl'), Object.values(names))
    expect(await there(...Object.values(names))).toBe(0)
  })

  test('that are left behind fail the run; those of another run and Lethe’s own names do not', () => {
    const own = [names.left, 'night_worker']
    expect(ofThisRun([...own, 'lethe_test_0f0f0f0f_left_1234', 'lethe_retention'])).toEqual(own)
  })
})
