/** lethe.intake, in every target: what applications asked for in their own transactions, until the record has it. */
import { z } from 'zod'
import { prepared, type Queryable } from '../../base/db/index.ts'

export const intakeVerbs = ['request', 'confirm', 'cancel'] as const
/** What an application may ask for: retention is the sweep's own. */
export const intakeKinds = ['account-closure', 'article-17'] as const

const intakeRow = z.object({
  id: z.string(),
  verb: z.enum(intakeVerbs),
  subject_kind: z.string().nullable(),
  // what an application wrote past our functions is refused by itself
  root_key: z.array(z.string()).nullable().catch(null),
  data: z.record(z.string(), z.unknown()).catch({}),
  actor: z.string(),
  at: z.date(),
  /** How often it could not be followed for a reason that may pass. */
  attempts: z.number(),
})
export type IntakeRow = z.infer<typeof intakeRow>

/**
 * What isn't taken yet and due, oldest first, but for `tried`. `early`: also what is to be tried again later.
 */
export async function openIntake(
  target: Queryable,
  limit: number,
  tried: readonly string[] = [],
  early = false,
): Promise<IntakeRow[]> {
  return target.query(
    intakeRow,
    `SELECT id, verb, subject_kind, root_key, data, actor, at, attempts FROM lethe.intake
     WHERE taken_at IS NULL AND ($3::boolean OR next_at IS NULL OR next_at <= clock_timestamp()) AND NOT id = ANY ($2::uuid[])
     ORDER BY at, id LIMIT $1`,
    [limit, tried, early],
  )
}

/** First wait before a call is tried again, doubled with each try, and the longest. */
const RETRY_SECONDS = { first: 5, longest: 300 }

/** These could not be followed now, each for its code; they stay, and are tried again. */
export async function deferIntake(target: Queryable, codes: ReadonlyMap<string, string>): Promise<void> {
  if (codes.size === 0) return
  await target.execute(
    `UPDATE lethe.intake i SET attempts = i.attempts + 1, error_code = g.code,
       next_at = clock_timestamp() + least($3 * 2.0 ^ least(i.attempts, 20), $4) * interval '1 second'
     FROM unnest($1::uuid[], $2::text[]) AS g(id, code) WHERE i.id = g.id AND i.taken_at IS NULL`,
    [[...codes.keys()], [...codes.values()], RETRY_SECONDS.first, RETRY_SECONDS.longest],
  )
}

/** Whether an application asked under this id, and the record doesn't have it yet. */
export async function isOpenIntake(target: Queryable, id: string): Promise<boolean> {
  const [row] = await target.query(
    z.object({ open: z.boolean() }),
    `SELECT EXISTS (SELECT FROM lethe.intake WHERE id = $1 AND taken_at IS NULL) AS open`,
    [id],
  )
  return row?.open === true
}

/** The record has them, or can't follow them: `refused` has the code of each of those. The key goes: the record has it sealed. */
export async function markTaken(
  target: Queryable,
  ids: readonly string[],
  refused: ReadonlyMap<string, string>,
): Promise<void> {
  if (refused.size > 0)
    await target.execute(
      `UPDATE lethe.intake i SET data = i.data || jsonb_build_object('refused', g.code)
       FROM unnest($1::uuid[], $2::text[]) AS g(id, code) WHERE i.id = g.id`,
      [[...refused.keys()], [...refused.values()]],
    )
  await target.execute(
    `UPDATE lethe.intake SET taken_at = clock_timestamp(), root_key = NULL, data = data - 'token' WHERE id = ANY ($1::uuid[]) AND taken_at IS NULL`,
    [ids],
  )
}

/** Whether applications asked for something that isn't taken in yet, and is to be tried now. */
export async function hasIntake(target: Queryable): Promise<boolean> {
  const [row] = await target.query(
    z.object({ open: z.boolean() }),
    `SELECT EXISTS (SELECT FROM lethe.intake
       WHERE taken_at IS NULL AND (next_at IS NULL OR next_at <= clock_timestamp())) AS open`,
  )
  return row?.open === true
}

/**
 * Whether somebody took a request back that the record doesn't know of yet. `passed`: calls that were looked at before and
 * could not be followed. In a transaction that waits for locks it sees what was committed meanwhile.
 */
export async function hasCancel(target: Queryable, passed: readonly string[] = []): Promise<boolean> {
  const [row] = await target.query(
    z.object({ open: z.boolean() }),
    prepared(`SELECT EXISTS (SELECT FROM lethe.intake
       WHERE taken_at IS NULL AND verb = 'cancel' AND NOT id = ANY ($1::uuid[])) AS open`),
    [passed],
  )
  return row?.open === true
}

/** Ids of the cancels that are not taken. */
export async function openCancels(target: Queryable): Promise<string[]> {
  const rows = await target.query(
    z.object({ id: z.string() }),
    `SELECT id FROM lethe.intake WHERE taken_at IS NULL AND verb = 'cancel'`,
  )
  return rows.map(({ id }) => id)
}

const askedRow = z.object({
  verb: z.string(),
  subject: z.string().nullable(),
  actor: z.string(),
  at: z.date(),
  /** When the answer is due. */
  due: z.date(),
  refused: z.string().nullable(),
  /** Why it could not be followed at the last try. */
  failing: z.string().nullable(),
})
export type AskedByApplication = z.infer<typeof askedRow>

/** What an application asked for under this id. */
export async function intakeOf(target: Queryable, id: string): Promise<AskedByApplication | undefined> {
  const [found] = await target.query(
    askedRow,
    `SELECT verb, subject_kind AS subject, actor, at, at + interval '1 month' AS due, data ->> 'refused' AS refused,
       CASE WHEN taken_at IS NULL THEN error_code END AS failing
     FROM lethe.intake WHERE id = $1`,
    [id],
  )
  return found
}

export interface IntakeState {
  /** Calls that wait for a worker, and for how long the oldest does (s). */
  waiting: number
  oldest: number
  /** Of the last 30 days, those that could not be followed. */
  refused: number
  /** Those that are tried again and again, by code. */
  failing: Record<string, number>
}

export async function intakeState(target: Queryable): Promise<IntakeState> {
  const [row] = await target.query(
    z.object({
      waiting: z.coerce.number(),
      oldest: z.coerce.number(),
      refused: z.coerce.number(),
      failing: z.record(z.string(), z.number()),
    }),
    `SELECT count(*) FILTER (WHERE taken_at IS NULL AND error_code IS NULL) AS waiting,
       coalesce(extract(epoch FROM clock_timestamp() - min(at) FILTER (WHERE taken_at IS NULL AND error_code IS NULL)), 0) AS oldest,
       count(*) FILTER (WHERE data ? 'refused' AND at > clock_timestamp() - interval '30 days') AS refused,
       (SELECT coalesce(jsonb_object_agg(f.error_code, f.n), '{}') FROM (SELECT error_code, count(*) AS n FROM lethe.intake
         WHERE taken_at IS NULL AND error_code IS NOT NULL GROUP BY error_code) AS f) AS failing FROM lethe.intake`,
  )
  return row ?? { waiting: 0, oldest: 0, refused: 0, failing: {} }
}

/** For people: lists what can't be followed now. */
export const FAILING_INTAKE = `SELECT id, verb, actor, at, error_code, attempts, next_at FROM lethe.intake WHERE taken_at IS NULL AND error_code IS NOT NULL`

/** For people: lists what could not be followed. */
export const REFUSED_INTAKE = `SELECT id, verb, actor, at, data ->> 'refused' FROM lethe.intake WHERE data ? 'refused'`
