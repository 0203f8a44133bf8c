/** A fresh database with Lethe's own schema in it, opened. */
import { migrate, openDatabase, type Database } from '../../../lib/base/db/index.ts'
import type { PostgresServer } from '../servers/postgres.ts'

export interface OpenedDatabase {
  url: string
  db: Database
  close(): Promise<void>
}

export async function openControl(server: PostgresServer): Promise<OpenedDatabase> {
  return open(server, 'control')
}

export async function openTarget(server: PostgresServer): Promise<OpenedDatabase> {
  return open(server, 'target')
}

async function open(server: PostgresServer, which: 'control' | 'target'): Promise<OpenedDatabase> {
  const database = await server.createDatabase()
  await migrate(database.url, which)
  const db = openDatabase(database.url, { name: which, applicationName: 'lethe test', max: 8 })
  return {
    url: database.url,
    db,
    async close() {
      await db.close()
      await database.drop()
    },
  }
}
