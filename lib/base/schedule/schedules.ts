/**
 * Schedules and their occurrences. A heartbeat only says "look now"; which occurrences exist and which of them were
 * decided stands in PostgreSQL, by the control database's clock, so a dispatcher that slept, died or runs twice decides
 * each one exactly once.
 */
import { z } from 'zod'
import type { Database, Queryable, Transaction } from '../db/index.ts'
import { parseCron } from './cron.ts'
import { occurrencesBetween } from './occurrences.ts'

export const catchUps = ['all', 'latest', 'none'] as const

export interface NewSchedule {
  id: string
  kind: string
  payload: Record<string, unknown>
  cron: string
  timeZone: string
  catchUp: (typeof catchUps)[number]
}

export interface Schedule extends NewSchedule {
  enabled: boolean
  /** Every occurrence up to and including this instant has been decided. */
  evaluatedUntil: Date
}

/** More missed occurrences than are kept one by one, of the span (from, until]. */
export interface Missed {
  schedule: string
  count: number
  from: Date
  until: Date
}

/** What the caller made of an occurrence. `busy`: the scope's last run is still active. */
export type Decision = { run: string } | { busy: string } | { skip: string }

const row = z
  .object({
    id: z.string(),
    kind: z.string(),
    payload: z.record(z.string(), z.unknown()),
    cron: z.string(),
    time_zone: z.string(),
    catch_up: z.enum(catchUps),
    enabled: z.boolean(),
    evaluated_until: z.date(),
  })
  .transform((found): Schedule => ({
    id: found.id,
    kind: found.kind,
    payload: found.payload,
    cron: found.cron,
    timeZone: found.time_zone,
    catchUp: found.catch_up,
    enabled: found.enabled,
    evaluatedUntil: found.evaluated_until,
  }))
const columns = 'id, kind, payload, cron, time_zone, catch_up, enabled, evaluated_until'

/** An occurrence this late is one that was missed; the policy `none` skips it. Longer than any dispatcher round. */
const ON_TIME_MS = 5 * 60_000

export async function listSchedules(control: Queryable): Promise<Schedule[]> {
  return control.query(row, `SELECT ${columns} FROM lethe_control.schedules ORDER BY id`)
}

/** The occurrence that a run was made for; null: a person started it. */
export async function occurrenceOf(
  control: Queryable,
  runId: string,
): Promise<{ scheduleId: string; at: Date } | null> {
  const [found] = await control.query(
    z.object({ scheduleId: z.string(), at: z.date() }),
    `SELECT schedule_id AS "scheduleId", at FROM lethe_control.occurrences WHERE run_id = $1 ORDER BY at LIMIT 1`,
    [runId],
  )
  return found ?? null
}

/** SQL: each schedule `s` beside its occurrences `o` after `instant` (SQL over `s`), and alone where it has none. */
export function occurrencesAfter(instant: string): string {
  return `lethe_control.schedules s LEFT JOIN lethe_control.occurrences o ON o.schedule_id = s.id AND o.at > ${instant}`
}

/**
 * Makes the stored schedules those of the configuration; idempotent. A new, changed or re-enabled one starts now and owes
 * nothing from before; one that left the configuration is disabled and keeps its history.
 */
export async function syncSchedules(control: Database, entries: readonly NewSchedule[]): Promise<void> {
  for (const entry of entries) parseCron(entry.cron, entry.timeZone, { validate: true })
  await control.transaction(
    async (tx) => {
      for (const entry of [...entries].sort((a, b) => (a.id < b.id ? -1 : 1))) await upsert(tx, entry)
      await tx.execute(
        `UPDATE lethe_control.schedules SET enabled = false, updated_at = clock_timestamp()
         WHERE enabled AND NOT id = ANY ($1::text[])`,
        [entries.map((entry) => entry.id)],
      )
    },
    { retry: true },
  )
}

async function upsert(tx: Queryable, entry: NewSchedule): Promise<void> {
  await tx.execute(
    `INSERT INTO lethe_control.schedules AS s (id, kind, payload, cron, time_zone, catch_up)
     VALUES ($1, $2, $3::jsonb, $4, $5, $6)
     ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, payload = excluded.payload, cron = excluded.cron,
       time_zone = excluded.time_zone, catch_up = excluded.catch_up, enabled = true, updated_at = clock_timestamp(),
       evaluated_until = CASE WHEN s.enabled AND (s.cron, s.time_zone) = (excluded.cron, excluded.time_zone)
         THEN s.evaluated_until ELSE clock_timestamp() END
     WHERE (s.kind, s.payload, s.cron, s.time_zone, s.catch_up, s.enabled) IS DISTINCT FROM
       (excluded.kind, excluded.payload, excluded.cron, excluded.time_zone, excluded.catch_up, true)`,
    [entry.id, entry.kind, JSON.stringify(entry.payload), entry.cron, entry.timeZone, entry.catchUp],
  )
}

type CreateRunFor = (tx: Transaction, schedule: Schedule, at: Date) => Promise<Decision>
type NoteMissed = (tx: Transaction, missed: Missed) => Promise<void>

/**
 * Decides every occurrence in (evaluated_until, now]: one transaction a schedule, and `createRunFor` makes its run in the
 * same one, as `noteMissed` records there what is too much to be kept one by one. Returns the number decided, by outcome.
 *
 * Catch-up: `latest` runs the newest and records the others as skipped; `none` also skips the newest where it is more than
 * five minutes late; `all` gives each its run, one after another: an occurrence whose scope is still busy stays undecided
 * until the run before it has ended.
 *
 * Safe with two dispatchers because the schedule's row is locked: the other one skips it, or finds it evaluated.
 */
export async function decideOccurrences(
  control: Database,
  createRunFor: CreateRunFor,
  noteMissed: NoteMissed,
): Promise<{ run: number; skipped: number }> {
  const total = { run: 0, skipped: 0 }
  for (const { id } of (await listSchedules(control)).filter((schedule) => schedule.enabled)) {
    const decided = await control.transaction((tx) => decideOne(tx, id, createRunFor, noteMissed), {
      retry: true,
    })
    total.run += decided.run
    total.skipped += decided.skipped
  }
  return total
}

async function decideOne(
  tx: Transaction,
  id: string,
  createRunFor: CreateRunFor,
  noteMissed: NoteMissed,
): Promise<{ run: number; skipped: number }> {
  const none = { run: 0, skipped: 0 }
  const [schedule] = await tx.query(
    row,
    `SELECT ${columns} FROM lethe_control.schedules WHERE id = $1 AND enabled FOR UPDATE SKIP LOCKED`,
    [id],
  )
  // The clock is read behind the lock: what another dispatcher decided before us lies before evaluated_until.
  const [clock] = await tx.query(z.object({ now: z.date() }), `SELECT clock_timestamp() AS now`)
  if (schedule === undefined || clock === undefined) return none
  const cron = parseCron(schedule.cron, schedule.timeZone)
  const { instants, dropped } = occurrencesBetween(cron, schedule.evaluatedUntil, clock.now)
  if (instants.length === 0) return none
  if (dropped > 0) {
    const span = { from: schedule.evaluatedUntil, until: instants[0] ?? clock.now }
    await noteMissed(tx, { schedule: schedule.id, count: dropped, ...span })
  }

  const plan = toRun(schedule, instants, clock.now)
  const skipped = instants.filter((at) => !plan.includes(at)).map((at) => ({ at, reason: 'missed' }))
  let run = 0
  let until = clock.now
  for (const at of plan) {
    const decision = await createRunFor(tx, schedule, at)
    if ('busy' in decision && schedule.catchUp === 'all') {
      until = new Date(at.getTime() - 1)
      break
    }
    if ('run' in decision) {
      await recordRun(tx, id, at, decision.run)
      run += 1
    } else
      skipped.push({ at, reason: 'busy' in decision ? `still active: run ${decision.busy}` : decision.skip })
  }
  const decidedSkips = skipped.filter((entry) => entry.at <= until)
  await recordSkips(tx, id, decidedSkips)
  await tx.execute(
    `UPDATE lethe_control.schedules SET evaluated_until = greatest(evaluated_until, $2) WHERE id = $1`,
    [id, until],
  )
  return { run, skipped: decidedSkips.length }
}

/** Which of the occurrences get a run, oldest first. */
function toRun(schedule: Schedule, instants: readonly Date[], now: Date): readonly Date[] {
  if (schedule.catchUp === 'all') return instants
  const newest = instants.slice(-1)
  if (schedule.catchUp === 'latest') return newest
  return newest.filter((at) => now.getTime() - at.getTime() <= ON_TIME_MS)
}

async function recordRun(tx: Queryable, id: string, at: Date, runId: string): Promise<void> {
  await tx.execute(
    `INSERT INTO lethe_control.occurrences (schedule_id, at, outcome, run_id) VALUES ($1, $2, 'run', $3)`,
    [id, at, runId],
  )
}

async function recordSkips(
  tx: Queryable,
  id: string,
  skips: readonly { at: Date; reason: string }[],
): Promise<void> {
  if (skips.length === 0) return
  await tx.execute(
    `INSERT INTO lethe_control.occurrences (schedule_id, at, outcome, reason)
     SELECT $1, u.at, 'skipped', u.reason FROM unnest($2::timestamptz[], $3::text[]) AS u(at, reason)`,
    [id, skips.map((entry) => entry.at), skips.map((entry) => entry.reason)],
  )
}
