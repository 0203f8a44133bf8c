/** A run as the record holds it, and the statements that only read or create. */
import { z } from 'zod'
import { newId } from '../../base/clock/index.ts'
import { prepared, type Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { eventsJson, eventsSql } from '../evidence/index.ts'
import { runStates, type RunState } from './transitions.ts'

export interface Run {
  id: string
  kind: string
  queue: string
  scope: string
  /** What the job kind's own schema parses; ids and names only. */
  payload: Record<string, unknown>
  state: RunState
  /** Rises at each enqueue; part of the job's id. */
  generation: number
  /** Rises at each claim. A write with an older fence is refused. */
  fence: bigint
  /** Rises at each failure. */
  attempt: number
  maxAttempts: number
  leaseHolder: string | null
  leaseExpiresAt: Date | null
  /** Null: waits for a person, not for an instant. */
  nextAttemptAt: Date | null
  waitingFor: string | null
  request: 'pause' | 'cancel' | null
  cursor: Record<string, unknown>
  counters: Record<string, number>
  outcome: string | null
  errorCode: string | null
  errorMessage: string | null
  createdBy: string
  createdAt: Date
  startedAt: Date | null
  finishedAt: Date | null
}

/** What every write of a claimed run carries. */
export type Claim = Pick<Run, 'id' | 'fence'>

export interface NewRun {
  kind: string
  queue: string
  scope: string
  payload: Record<string, unknown>
  maxAttempts: number
  /** `schedule:<id>`, or a verified identity's name. */
  createdBy: string
  occurrence?: Date
}

/** What a running run is asked for and has not seen yet. */
export const requestsOfRuns = ['pause', 'cancel'] as const

/** Columns for `SELECT`/`RETURNING`; `infinity` (waits for a person) becomes null. */
export const runColumns = `id, kind, queue, scope, payload, state, generation, fence, attempt, max_attempts,
  lease_holder, lease_expires_at, nullif(next_attempt_at, 'infinity') AS next_attempt_at, waiting_for, request, cursor,
  counters, outcome, error_code, error_message, created_by, created_at, started_at, finished_at`

export const runRow = z
  .object({
    id: z.string(),
    kind: z.string(),
    queue: z.string(),
    scope: z.string(),
    payload: z.record(z.string(), z.unknown()),
    state: z.enum(runStates),
    generation: z.number(),
    fence: z.coerce.bigint(),
    attempt: z.number(),
    max_attempts: z.number(),
    lease_holder: z.string().nullable(),
    lease_expires_at: z.date().nullable(),
    next_attempt_at: z.date().nullable(),
    waiting_for: z.string().nullable(),
    request: z.enum(requestsOfRuns).nullable(),
    cursor: z.record(z.string(), z.unknown()),
    counters: z.record(z.string(), z.number()),
    outcome: z.string().nullable(),
    error_code: z.string().nullable(),
    error_message: z.string().nullable(),
    created_by: z.string(),
    created_at: z.date(),
    started_at: z.date().nullable(),
    finished_at: z.date().nullable(),
  })
  .transform((row): Run => ({
    id: row.id,
    kind: row.kind,
    queue: row.queue,
    scope: row.scope,
    payload: row.payload,
    state: row.state,
    generation: row.generation,
    fence: row.fence,
    attempt: row.attempt,
    maxAttempts: row.max_attempts,
    leaseHolder: row.lease_holder,
    leaseExpiresAt: row.lease_expires_at,
    nextAttemptAt: row.next_attempt_at,
    waitingFor: row.waiting_for,
    request: row.request,
    cursor: row.cursor,
    counters: row.counters,
    outcome: row.outcome,
    errorCode: row.error_code,
    errorMessage: row.error_message,
    createdBy: row.created_by,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  }))

/**
 * Creates a queued run, or returns the active one of the same kind and scope: the unique index decides, so two creators
 * at once get one run between them.
 */
export async function createRun(db: Queryable, run: NewRun): Promise<Run | { existing: Run }> {
  const event = eventsJson([
    {
      type: 'run.created',
      actor: run.createdBy,
      data: {
        kind: run.kind,
        scope: run.scope,
        ...(run.occurrence === undefined ? {} : { occurrence: run.occurrence.toISOString() }),
      },
    },
  ])
  for (;;) {
    const [created] = await db.query(
      runRow,
      prepared(`WITH made AS (
         INSERT INTO lethe_control.runs (id, kind, queue, scope, payload, state, max_attempts, created_by)
         VALUES ($1, $2, $3, $4, $5::jsonb, 'queued', $6, $7)
         ON CONFLICT (kind, scope) WHERE state IN ('queued', 'running', 'waiting', 'paused') DO NOTHING
         RETURNING ${runColumns}
       ), noted AS (
         ${eventsSql('made', '$8')}
       )
       SELECT * FROM made`),
      [
        newId(),
        run.kind,
        run.queue,
        run.scope,
        JSON.stringify(run.payload),
        run.maxAttempts,
        run.createdBy,
        event,
      ],
    )
    if (created !== undefined) return created
    const [existing] = await db.query(
      runRow,
      `SELECT ${runColumns} FROM lethe_control.runs
       WHERE kind = $1 AND scope = $2 AND state IN ('queued', 'running', 'waiting', 'paused')`,
      [run.kind, run.scope],
    )
    // Neither: the active one ended between the two statements, so the next turn creates ours.
    if (existing !== undefined) return { existing }
  }
}

/** Throws E_NOT_FOUND. */
export async function getRun(db: Queryable, id: string): Promise<Run> {
  const [run] = z.uuid().safeParse(id).success
    ? await db.query(runRow, `SELECT ${runColumns} FROM lethe_control.runs WHERE id = $1`, [id])
    : []
  if (run === undefined) throw new LetheError('E_NOT_FOUND', { message: `There is no run ${id}.` })
  return run
}

export interface RunFilter {
  kind?: string
  scope?: string
  states?: readonly RunState[]
  /** Default 50, newest first. */
  limit?: number
}

export async function listRuns(db: Queryable, filter: RunFilter = {}): Promise<Run[]> {
  return db.query(
    runRow,
    `SELECT ${runColumns} FROM lethe_control.runs
     WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR scope = $2)
       AND ($3::text[] IS NULL OR state = ANY ($3))
     ORDER BY created_at DESC, id LIMIT $4`,
    [filter.kind ?? null, filter.scope ?? null, filter.states ?? null, filter.limit ?? 50],
  )
}

/** Runs by state, for the metric; states without runs are there with 0. */
export async function countRuns(db: Queryable): Promise<Record<RunState, number>> {
  const rows = await db.query(
    z.object({ state: z.enum(runStates), n: z.coerce.number() }),
    `SELECT state, count(*) AS n FROM lethe_control.runs GROUP BY state`,
  )
  const result: Record<RunState, number> = {
    queued: 0,
    running: 0,
    waiting: 0,
    paused: 0,
    succeeded: 0,
    failed: 0,
    cancelled: 0,
    refused: 0,
  }
  for (const row of rows) result[row.state] = row.n
  return result
}

/** A scope whose newest run failed or was refused: nothing of it goes on until another run does. */
export interface StoppedScope {
  scope: string
  /** The first failure since a run of this scope last did something. */
  since: Date
  /** The last one. */
  failedAt: Date
  code: string
  message: string
}

/**
 * Of the last day: what fails is tried again all the time. A run that was only just begun decides nothing: it counts once it has done a step. `anew`: without those for which it is
 * time to try again, by `after` seconds or since a process with the role `role` started.
 */
export async function stoppedScopes(
  db: Queryable,
  kind: string,
  anew?: { after: number; role: string },
): Promise<StoppedScope[]> {
  return db.query(
    z.object({
      scope: z.string(),
      since: z.date(),
      failedAt: z.date(),
      code: z.string(),
      message: z.string(),
    }),
    `SELECT n.scope, n.finished_at AS "failedAt", coalesce(n.error_code, 'E_INTERNAL') AS code, coalesce(n.error_message, '') AS message,
       (SELECT min(f.finished_at) FROM lethe_control.runs f
        WHERE f.kind = $1 AND f.scope = n.scope AND f.state IN ('failed', 'refused')
          AND f.created_at > coalesce((SELECT max(g.created_at) FROM lethe_control.runs g
            WHERE g.kind = $1 AND g.scope = n.scope AND g.state NOT IN ('failed', 'refused') AND g.counters <> '{}'), '-infinity')) AS since
     FROM (
       SELECT DISTINCT ON (scope) scope, state, finished_at, error_code, error_message FROM lethe_control.runs
       WHERE kind = $1 AND created_at > clock_timestamp() - interval '1 day' AND (state NOT IN ('queued', 'running') OR counters <> '{}') ORDER BY scope, created_at DESC, id DESC
     ) AS n
     WHERE n.state IN ('failed', 'refused')
       AND ($2::float8 IS NULL OR n.finished_at > greatest(clock_timestamp() - $2 * interval '1 second',
         (SELECT max(started_at) FROM lethe_control.workers WHERE $3 = ANY (roles))))`,
    [kind, anew?.after ?? null, anew?.role ?? null],
  )
}
