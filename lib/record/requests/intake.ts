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
  root_key: z.array(z.string()).nullable(),
  data: z.record(z.string(), z.unknown()),
  actor: z.string(),
  at: z.date(),
})
export type IntakeRow = z.infer<typeof intakeRow>

/** What isn't taken yet, oldest first. */
export async function openIntake(target: Queryable, limit: number): Promise<IntakeRow[]> {
  return target.query(
    intakeRow,
    `SELECT id, verb, subject_kind, root_key, data, actor, at FROM lethe.intake WHERE taken_at IS NULL ORDER BY at, id LIMIT $1`,
    [limit],
  )
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

/** Whether applications asked for something that isn't taken in yet. */
export async function hasIntake(target: Queryable): Promise<boolean> {
  const [row] = await target.query(
    z.object({ open: z.boolean() }),
    `SELECT EXISTS (SELECT FROM lethe.intake WHERE taken_at IS NULL) AS open`,
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
})
export type AskedByApplication = z.infer<typeof askedRow>

/** What an application asked for under this id. */
export async function intakeOf(target: Queryable, id: string): Promise<AskedByApplication | undefined> {
  const [found] = await target.query(
    askedRow,
    `SELECT verb, subject_kind AS subject, actor, at, at + interval '1 month' AS due, data ->> 'refused' AS refused
     FROM lethe.intake WHERE id = $1`,
    [id],
  )
  return found
}

/** How many calls wait, for how long the oldest does (s), and how many of the last 30 days could not be followed. */
export async function intakeState(
  target: Queryable,
): Promise<{ waiting: number; oldest: number; refused: number }> {
  const [row] = await target.query(
    z.object({ waiting: z.coerce.number(), oldest: z.coerce.number(), refused: z.coerce.number() }),
    `SELECT count(*) FILTER (WHERE taken_at IS NULL) AS waiting,
       coalesce(extract(epoch FROM clock_timestamp() - min(at) FILTER (WHERE taken_at IS NULL)), 0) AS oldest,
       count(*) FILTER (WHERE data ? 'refused' AND at > clock_timestamp() - interval '30 days') AS refused FROM lethe.intake`,
  )
  return row ?? { waiting: 0, oldest: 0, refused: 0 }
}

/** For people: lists what could not be followed. */
export const REFUSED_INTAKE = `SELECT id, verb, actor, at, data ->> 'refused' FROM lethe.intake WHERE data ? 'refused'`
