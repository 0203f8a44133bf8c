/** What people decided about a request; appended, never changed. */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import { recordDecision, type Attested } from '../decisions/index.ts'
import { appendEvent, type NewEvent } from '../evidence/index.ts'

export const decisionVerbs = [
  'request',
  'confirm',
  'approve',
  'assess',
  'instruct',
  'extend',
  'refuse',
  'accept',
  'retry',
  'cancel',
] as const
export type RequestDecisionVerb = (typeof decisionVerbs)[number]

/** Who decides: a person with a signed statement, or an application by its login. */
type By = { attested: Attested } | { actor: string; method: string }

export interface RequestDecision {
  requestId: string
  verb: RequestDecisionVerb
  /** The class or the store it is about. */
  object?: string
  data?: Readonly<Record<string, string | null>>
}

const row = z
  .object({
    request_id: z.string(),
    verb: z.enum(decisionVerbs),
    object: z.string().nullable(),
    data: z.record(z.string(), z.string().nullable()),
    actor: z.string(),
    method: z.string(),
    statement: z.string().nullable(),
    at: z.date(),
  })
  .transform((found) => ({
    requestId: found.request_id,
    verb: found.verb,
    object: found.object,
    data: found.data,
    actor: found.actor,
    method: found.method,
    statement: found.statement,
    at: found.at,
  }))
export type StoredDecision = z.infer<typeof row>

/**
 * In the caller's transaction. `write` is the effect, and says what was decided; null: it was so before, and nothing is
 * recorded. Returns what `write` returned. `standing` as for `recordDecision`. Throws E_STATEMENT_USED, and what `write` throws.
 */
export async function decideRequest<T extends RequestDecision | null>(
  tx: Queryable,
  by: By,
  write: (actor: string) => Promise<T>,
  standing?: (statement: string) => Promise<{ made: T } | null>,
): Promise<T> {
  if ('attested' in by) {
    const { identity } = by.attested
    return recordDecision(
      tx,
      by.attested,
      async (statement) => {
        const decision = await write(identity.name)
        const { name: actor, method } = identity
        if (decision !== null) await insert(tx, decision, { actor, method, statement })
        return decision
      },
      (signed, decision) => (decision === null ? null : eventOf(decision, signed)),
      standing,
    )
  }
  const { actor, method } = by
  const decision = await write(actor)
  if (decision === null) return decision
  await insert(tx, decision, { actor, method, statement: null })
  await appendEvent(tx, { ...eventOf(decision, { method, statement: null }), actor })
  return decision
}

/** Whether the last decision of this verb about the request stands on this statement. */
export async function isLastDecision(
  tx: Queryable,
  { requestId, verb, object }: RequestDecision,
  statement: string,
): Promise<boolean> {
  const [last] = await tx.query(
    z.object({ same: z.boolean() }),
    `SELECT coalesce(statement_hash = decode($4, 'hex'), false) AS same FROM lethe_control.erasure_decisions
     WHERE request_id = $1 AND verb = $2 AND object IS NOT DISTINCT FROM $3 ORDER BY id DESC LIMIT 1`,
    [requestId, verb, object ?? null, statement],
  )
  return last?.same === true
}

async function insert(
  tx: Queryable,
  decision: RequestDecision,
  by: { actor: string; method: string; statement: string | null },
): Promise<void> {
  await tx.execute(
    `INSERT INTO lethe_control.erasure_decisions (request_id, verb, object, data, actor, method, statement_hash)
     VALUES ($1, $2, $3, $4, $5, $6, decode($7, 'hex'))`,
    [
      decision.requestId,
      decision.verb,
      decision.object ?? null,
      JSON.stringify(decision.data ?? {}),
      by.actor,
      by.method,
      by.statement,
    ],
  )
}

function eventOf(
  { requestId: request, verb, object }: RequestDecision,
  by: { method: string; statement: string | null },
): NewEvent {
  return { type: 'request.decided', data: { request, verb, object: object ?? null, ...by } }
}

/** In the order in which they were made. */
export async function decisionsOf(db: Queryable, requestIds: readonly string[]): Promise<StoredDecision[]> {
  return db.query(
    row,
    `SELECT request_id, verb, object, data, actor, method, encode(statement_hash, 'hex') AS statement, at
     FROM lethe_control.erasure_decisions WHERE request_id = ANY ($1::uuid[]) ORDER BY id`,
    [requestIds],
  )
}
