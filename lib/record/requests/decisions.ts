/** What people decided about a request; appended, never changed. */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import { appendEvent } from '../evidence/index.ts'

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

export interface RequestDecision {
  requestId: string
  verb: RequestDecisionVerb
  /** The class or the store it is about. */
  object?: string
  data?: Readonly<Record<string, string | null>>
  actor: string
  method: string
  /** Hash of the signed statement, in hex; null: none was asked for. */
  statement: string | null
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

export async function addDecision(tx: Queryable, decision: RequestDecision): Promise<void> {
  await tx.execute(
    `INSERT INTO lethe_control.erasure_decisions (request_id, verb, object, data, actor, method, statement_hash)
     VALUES ($1, $2, $3, $4, $5, $6, decode($7, 'hex'))`,
    [
      decision.requestId,
      decision.verb,
      decision.object ?? null,
      JSON.stringify(decision.data ?? {}),
      decision.actor,
      decision.method,
      decision.statement,
    ],
  )
  await appendEvent(tx, {
    type: 'request.decided',
    actor: decision.actor,
    data: {
      request: decision.requestId,
      verb: decision.verb,
      object: decision.object ?? null,
      method: decision.method,
      statement: decision.statement,
    },
  })
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
