import { z } from 'zod'
import type { Queryable } from './database.ts'

/** The database's own clock: the only one that decides anything about leases, due instants and ages. */
export async function databaseNow(db: Queryable): Promise<Date> {
  const [row] = await db.query(z.object({ now: z.date() }), `SELECT clock_timestamp() AS now`)
  return z.date().parse(row?.now)
}
