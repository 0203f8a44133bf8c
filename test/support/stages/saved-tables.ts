/** Puts a database back to what it held, within milliseconds. */
import { z } from 'zod'
import type { Database } from '../../../lib/base/db/index.ts'

/**
 * Copies of every table, and a function that brings them back. As a replica applies changes, neither foreign keys nor the
 * triggers of the evidence are asked.
 */
export async function saveTables(db: Database, schema: string): Promise<void> {
  await db.execute(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
  const places = await db.query(
    z.object({ place: z.string(), copy: z.string() }),
    `SELECT format('%I.%I', schemaname, tablename) AS place, format('${schema}.%I', schemaname || '.' || tablename) AS copy
     FROM pg_tables WHERE schemaname IN ('lethe', 'lethe_control', 'public') AND tablename <> 'pgmigrations'`,
  )
  await db.execute(`CREATE SCHEMA ${schema}`)
  for (const { place, copy } of places) await db.execute(`CREATE TABLE ${copy} AS TABLE ${place}`)
  const back = places.flatMap(({ place, copy }) => [
    `DELETE FROM ${place};`,
    `INSERT INTO ${place} OVERRIDING SYSTEM VALUE TABLE ${copy};`,
  ])
  await db.execute(
    `CREATE FUNCTION ${schema}.reset() RETURNS void LANGUAGE plpgsql SET session_replication_role = replica AS $$
     BEGIN ${back.join('\n')} END $$`,
  )
}
