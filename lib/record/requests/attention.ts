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

/** Days before the due date at which somebody is told. */
const WARNINGS = [10, 5, 1]

/** Open requests that have come into another warning's days; each is returned once. */
export async function warnDue(db: Queryable): Promise<{ id: string; days: number }[]> {
  return db.query(
    z.object({ id: z.string(), days: z.number() }),
    `UPDATE lethe_control.erasure_requests r SET warned = array_append(r.warned, w.days)
     FROM (SELECT DISTINCT ON (o.id) o.id, w.days FROM lethe_control.erasure_requests o, unnest($1::int[]) AS w(days)
       WHERE o.finished_at IS NULL AND o.due_at <= clock_timestamp() + interval '10 days'
         AND o.due_at <= clock_timestamp() + w.days * interval '1 day' AND NOT o.warned @> ARRAY[w.days]
       ORDER BY o.id, w.days) AS w
     WHERE r.id = w.id AND NOT r.warned @> ARRAY[w.days] RETURNING r.id, w.days`,
    [WARNINGS],
  )
}

/** What became of the requests that a proposal was handed over to, by state; those that were let go, by the reason. */
export async function handedOver(
  db: Queryable,
  proposalId: string,
): Promise<{ state: string; letGo: string | null; count: number }[]> {
  return db.query(
    z.object({ state: z.string(), letGo: z.string().nullable(), count: z.coerce.number() }),
    `SELECT state, let_go AS "letGo", count(*) AS count FROM lethe_control.erasure_requests
     WHERE proposal_id = $1 AND kind = 'retention' GROUP BY 1, 2 ORDER BY 1, 2`,
    [proposalId],
  )
}

/** Open requests that this policy began and nobody asked for besides. */
export async function openOfPolicy(db: Queryable, policy: string): Promise<string[]> {
  const rows = await db.query(
    z.object({ id: z.string() }),
    `SELECT id FROM lethe_control.erasure_requests
     WHERE actor = $1 AND kind = 'retention' AND finished_at IS NULL ORDER BY id`,
    [`policy:${policy}`],
  )
  return rows.map(({ id }) => id)
}

/** Looked at now instead of later: a brake was let go. */
export async function wakeRequests(db: Queryable, ids: readonly string[]): Promise<void> {
  await db.execute(
    `UPDATE lethe_control.erasure_requests SET next_at = clock_timestamp()
     WHERE id = ANY ($1::uuid[]) AND finished_at IS NULL AND next_at > clock_timestamp() AND next_at < 'infinity'`,
    [ids],
  )
}

/** Requests of one person that are open. `hashes`: the person under every key of the keystore. */
export async function openOfSubject(
  db: Queryable,
  { store, subjectKind, hashes }: { store: string; subjectKind: string; hashes: readonly Buffer[] },
): Promise<string[]> {
  const rows = await db.query(
    z.object({ id: z.string() }),
    `SELECT id FROM lethe_control.erasure_requests
     WHERE store = $1 AND subject_kind = $2 AND subject_hash = ANY ($3::bytea[]) AND finished_at IS NULL`,
    [store, subjectKind, hashes],
  )
  return rows.map(({ id }) => id)
}
