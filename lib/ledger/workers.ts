/** Which processes of Lethe are alive, for `lethe doctor` and for the message of a lease that is held. */
import { z } from 'zod'
import type { Database } from '../db/index.ts'

export interface WorkerRow {
  id: string
  roles: string[]
  version: string
  startedAt: Date
  /** Seconds since it last said so, by the control database's clock. */
  silentSeconds: number
}

/** Called at the start and then every few seconds. */
export async function touchWorker(
  control: Database,
  worker: { id: string; roles: readonly string[]; version: string },
): Promise<void> {
  await control.execute(
    `INSERT INTO lethe_control.workers (id, roles, version) VALUES ($1, $2, $3)
     ON CONFLICT (id) DO UPDATE SET seen_at = now()`,
    [worker.id, worker.roles, worker.version],
  )
}

/** Called when a process ends in order; forgets the ones that ended otherwise a week ago too. */
export async function removeWorker(control: Database, id: string): Promise<void> {
  await control.execute(
    `DELETE FROM lethe_control.workers WHERE id = $1 OR seen_at < now() - interval '7 days'`,
    [id],
  )
}

export async function listWorkers(control: Database): Promise<WorkerRow[]> {
  const rows = await control.query(
    z.object({
      id: z.string(),
      roles: z.array(z.string()),
      version: z.string(),
      started_at: z.date(),
      silent: z.number(),
    }),
    `SELECT id, roles, version, started_at, extract(epoch FROM now() - seen_at)::float8 AS silent
     FROM lethe_control.workers ORDER BY started_at`,
  )
  return rows.map((row) => ({
    id: row.id,
    roles: row.roles,
    version: row.version,
    startedAt: row.started_at,
    silentSeconds: row.silent,
  }))
}
