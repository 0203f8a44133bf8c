/**
 * Our own two schemas: `lethe_control` in the control database, `lethe` in every target. Migrations are SQL files in
 * migrations/<which>, applied in order, each in its own transaction, and never edited once released.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { runner } from 'node-pg-migrate'
import pg from 'pg'
import { z } from 'zod'
import { LetheError } from '../errors/index.ts'
import type { Queryable, Statement } from './database.ts'
import { databaseError } from './failure.ts'
import { refuseTransactionPooler } from './pooler.ts'

export type SchemaKind = 'control' | 'target'
export type SchemaState = 'current' | 'old' | 'new' | 'absent'

const schemas: Readonly<Record<SchemaKind, string>> = { control: 'lethe_control', target: 'lethe' }
const TABLE = 'pgmigrations'

/**
 * Applies what is missing and returns the names. Idempotent; two at once wait for each other on a session lock, which is
 * why the connection must be direct. Refuses (E_SCHEMA_NEW) a schema that a newer version has touched.
 */
export async function migrate(url: string, which: SchemaKind): Promise<{ applied: string[] }> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'lethe migrate',
    connectionTimeoutMillis: 10_000,
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await refuseTransactionPooler(client, url, { name: which, applicationName: 'lethe migrate' })
    await refuseNewer(client, which)
    const applied = await runner({
      dbClient: client,
      dir: folder(which),
      direction: 'up',
      migrationsTable: TABLE,
      migrationsSchema: schemas[which],
      createMigrationsSchema: true,
      advisoryLockMode: 'wait',
      logger: silent,
    })
    return { applied: applied.map((entry) => entry.name) }
  } catch (error) {
    throw databaseError(error, which)
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** How the schema in `db` stands to the migrations this version knows. */
export async function schemaState(db: Queryable, which: SchemaKind): Promise<SchemaState> {
  const [found] = await db.query(
    z.object({ there: z.boolean() }),
    `SELECT to_regclass($1) IS NOT NULL AS there`,
    [`${schemas[which]}.${TABLE}`],
  )
  if (found?.there !== true) return 'absent'
  const rows = await db.query(z.object({ name: z.string() }), `SELECT name FROM ${schemas[which]}.${TABLE}`)
  return compare(
    rows.map((row) => row.name),
    await known(which),
  )
}

/** Throws E_SCHEMA_OLD or E_SCHEMA_NEW unless the schema is current. */
export async function requireSchema(db: Queryable, which: SchemaKind, name: string): Promise<void> {
  const state = await schemaState(db, which)
  if (state === 'current') return
  if (state === 'new')
    throw new LetheError('E_SCHEMA_NEW', {
      message: `Database ${name}: schema ${schemas[which]} was made by a newer version of Lethe.`,
      facts: { database: name, state },
    })
  throw new LetheError('E_SCHEMA_OLD', {
    message: `Database ${name}: schema ${schemas[which]} is ${state === 'old' ? 'older than this version of Lethe' : 'not there yet'}.`,
    facts: { database: name, state },
  })
}

function compare(applied: readonly string[], names: readonly string[]): SchemaState {
  if (applied.some((name) => !names.includes(name))) return 'new'
  return names.every((name) => applied.includes(name)) ? 'current' : applied.length === 0 ? 'absent' : 'old'
}

async function refuseNewer(client: pg.Client, which: SchemaKind): Promise<void> {
  const run = (statement: Statement, values: readonly unknown[] = []) =>
    client.query({
      ...(typeof statement === 'string' ? { text: statement } : statement),
      values: [...values],
    })
  const db: Queryable = {
    query: async (schema, statement, values) =>
      (await run(statement, values)).rows.map((row: unknown) => schema.parse(row)),
    execute: async (statement, values) => (await run(statement, values)).rowCount ?? 0,
  }
  if ((await schemaState(db, which)) === 'new') await requireSchema(db, which, which)
}

function folder(which: SchemaKind): string {
  return join(import.meta.dirname, 'migrations', which)
}

async function known(which: SchemaKind): Promise<string[]> {
  const files = await readdir(folder(which))
  return files.filter((file) => file.endsWith('.sql')).map((file) => file.slice(0, -4))
}

const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }
function nothing(): void {}
