/** What somebody has to look at: the doctor and the metrics ask here. */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'

/** Open requests by their due date; each is counted in one of the four. */
export interface DueCounts {
  overdue: number
  withinDay: number
  withinFiveDays: number
  withinTenDays: number
}

export async function countDue(db: Queryable): Promise<DueCounts> {
  const [row] = await db.query(
    z.object({
      overdue: z.coerce.number(),
      withinDay: z.coerce.number(),
      withinFiveDays: z.coerce.number(),
      withinTenDays: z.coerce.number(),
    }),
    `SELECT count(*) FILTER (WHERE r.left <= interval '0') AS overdue,
       count(*) FILTER (WHERE r.left > interval '0' AND r.left <= interval '1 day') AS "withinDay",
       count(*) FILTER (WHERE r.left > interval '1 day' AND r.left <= interval '5 days') AS "withinFiveDays",
       count(*) FILTER (WHERE r.left > interval '5 days') AS "withinTenDays"
     FROM (SELECT due_at - clock_timestamp() AS left FROM lethe_control.erasure_requests
       WHERE finished_at IS NULL AND due_at <= clock_timestamp() + interval '10 days') AS r`,
  )
  return row ?? { overdue: 0, withinDay: 0, withinFiveDays: 0, withinTenDays: 0 }
}

/** Legs of open requests that are not tried again by themselves, by store; only stores that have any. */
export async function countStuckLegs(db: Queryable): Promise<{ store: string; count: number }[]> {
  return db.query(
    z.object({ store: z.string(), count: z.coerce.number() }),
    `SELECT l.store, count(*) AS count FROM lethe_control.erasure_legs l
       JOIN lethe_control.erasure_requests r ON r.id = l.request_id
     WHERE r.finished_at IS NULL AND l.state IN ('failed', 'accepted') AND l.next_at = 'infinity'
     GROUP BY l.store ORDER BY l.store`,
  )
}

/** Open requests that nothing but a person moves, by what they wait for, in a word (`identity`, `plan-changed`, `unusable:mail`). */
export async function countWaitingForPerson(db: Queryable): Promise<{ why: string; count: number }[]> {
  return db.query(
    z.object({ why: z.string(), count: z.coerce.number() }),
    `SELECT coalesce(CASE WHEN waiting_for LIKE 'unusable:%' THEN waiting_for ELSE split_part(waiting_for, ':', 1) END, state) AS why, count(*) AS count
     FROM lethe_control.erasure_requests WHERE finished_at IS NULL AND next_at = 'infinity' GROUP BY 1 ORDER BY 1`,
  )
}

/** Open requests of one kind of subject that wait for no person. */
export async function countOpen(db: Queryable, kind: string): Promise<number> {
  const [row] = await db.query(
    z.object({ n: z.coerce.number() }),
    `SELECT count(*) AS n FROM lethe_control.erasure_requests
     WHERE subject_kind = $1 AND finished_at IS NULL AND next_at < 'infinity'`,
    [kind],
  )
  return row?.n ?? 0
}
