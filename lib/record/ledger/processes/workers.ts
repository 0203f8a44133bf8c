/** Which processes are alive, by the control database's clock. */
import { z } from 'zod'
import type { Queryable } from '../../../base/db/index.ts'

export interface WorkerEntry {
  id: string
  roles: string[]
  version: string
  startedAt: Date
  seenAt: Date
}

const row = z
  .object({
    id: z.string(),
    roles: z.array(z.string()),
    version: z.string(),
    started_at: z.date(),
    seen_at: z.date(),
  })
  .transform((found): WorkerEntry => ({
    id: found.id,
    roles: found.roles,
    version: found.version,
    startedAt: found.started_at,
    seenAt: found.seen_at,
  }))

/** A process says that it lives every 15 s. */
export const ALIVE_SECONDS = 60

export async function beatWorker(
  control: Queryable,
  worker: { id: string; roles: readonly string[]; version: string; configVersion: string },
): Promise<void> {
  await control.execute(
    `INSERT INTO lethe_control.workers (id, roles, version, config_version) VALUES ($1, $2, $3, $4)
     ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()`,
    [worker.id, worker.roles, worker.version, worker.configVersion],
  )
}

export async function forgetWorker(control: Queryable, id: string): Promise<void> {
  await control.execute(`DELETE FROM lethe_control.workers WHERE id = $1`, [id])
}

/** Workers seen in the last `seconds`; older entries than a day are removed on the way. */
export async function liveWorkers(control: Queryable, seconds: number): Promise<WorkerEntry[]> {
  await control.execute(
    `DELETE FROM lethe_control.workers WHERE seen_at < clock_timestamp() - interval '1 day'`,
  )
  return control.query(
    row,
    `SELECT id, roles, version, started_at, seen_at FROM lethe_control.workers
     WHERE seen_at >= clock_timestamp() - $1 * interval '1 second' ORDER BY id`,
    [seconds],
  )
}

/** When a process with each of these roles was last seen; a process that ended in order is forgotten. Only reads. */
export async function lastSeen(
  control: Queryable,
  roles: readonly string[],
): Promise<{ role: string; at: Date | null; alive: boolean }[]> {
  return control.query(
    z.object({ role: z.string(), at: z.date().nullable(), alive: z.boolean() }),
    `SELECT r.role, max(w.seen_at) AS at, coalesce(max(w.seen_at) >= clock_timestamp() - $2 * interval '1 second', false) AS alive
     FROM unnest($1::text[]) AS r(role) LEFT JOIN lethe_control.workers w ON r.role = ANY (w.roles) GROUP BY r.role ORDER BY r.role`,
    [roles, ALIVE_SECONDS],
  )
}

/** Roles that a live process has, by name. */
export async function aliveRoles(control: Queryable): Promise<string[]> {
  const [row] = await control.query(
    z.object({ roles: z.array(z.string()) }),
    `SELECT coalesce(array_agg(DISTINCT role), '{}') AS roles FROM lethe_control.workers w, unnest(w.roles) AS role
     WHERE w.seen_at >= clock_timestamp() - $1 * interval '1 second'`,
    [ALIVE_SECONDS],
  )
  return row?.roles ?? []
}

/** Live processes that run under another configuration than this version of it. */
export async function workersNotUnder(control: Queryable, configVersion: string): Promise<string[]> {
  const rows = await control.query(
    z.object({ id: z.string() }),
    `SELECT id FROM lethe_control.workers WHERE config_version IS DISTINCT FROM $2
       AND seen_at >= clock_timestamp() - $1 * interval '1 second' ORDER BY id`,
    [ALIVE_SECONDS, configVersion],
  )
  return rows.map(({ id }) => id)
}
