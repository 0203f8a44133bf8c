/** How long objects in the locked bucket are locked: a person types the period back once, since nobody can shorten it later. */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'

/** The control database's now plus `period`; null until a person has confirmed exactly this period. */
export async function lockedUntil(control: Queryable, period: string): Promise<Date | null> {
  const [row] = await control.query(
    z.object({ confirmed: z.boolean(), until: z.date() }),
    `SELECT coalesce(locked_for = $1, false) AS confirmed, clock_timestamp() + $1::interval AS until
     FROM lethe_control.evidence_log`,
    [period],
  )
  return row?.confirmed === true ? row.until : null
}

/** A person has typed back the period for which objects are locked. */
export async function recordLock(control: Queryable, period: string): Promise<void> {
  await control.execute(`UPDATE lethe_control.evidence_log SET locked_for = $1`, [period])
}
