/** What a person is told: each answer once a request, the message sealed until it is delivered. */
import { z } from 'zod'
import { prepared, type Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import type { Keystore } from '../../base/keystore/index.ts'

export const answerKinds = [
  'acknowledgement',
  'confirm',
  'cancel',
  'extension',
  'refusal',
  'completion',
] as const
export type AnswerKind = (typeof answerKinds)[number]
export const answerStates = ['waiting', 'delivered', 'not-sent', 'failed'] as const

export interface NewAnswer {
  requestId: string
  subjectKind: string
  kind: AnswerKind
  to: string
  subject: string
  text: string
}

const message = z.object({ to: z.string(), subject: z.string(), text: z.string() })

/** Idempotent: one that is there stays as it is. Returns the ids of requests whose answer is new. */
export async function addAnswers(
  tx: Queryable,
  keystore: Keystore,
  answers: readonly NewAnswer[],
): Promise<string[]> {
  if (answers.length === 0) return []
  const sealed = answers.map(({ to, subject, text }) => keystore.seal(JSON.stringify({ to, subject, text })))
  const rows = await tx.query(
    z.object({ id: z.string() }),
    prepared(`INSERT INTO lethe_control.erasure_answers (request_id, kind, subject_kind, sealed, sealed_key_id)
     SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[]) ON CONFLICT DO NOTHING
     RETURNING request_id AS id`),
    [
      answers.map(({ requestId }) => requestId),
      answers.map(({ kind }) => kind),
      answers.map(({ subjectKind }) => subjectKind),
      sealed.map(({ cipher }) => cipher),
      sealed.map(({ keyId }) => keyId),
    ],
  )
  return rows.map(({ id }) => id)
}

/** Without a channel nobody is told, and nothing is written that nobody will read: the record says so. */
export async function skipAnswers(
  tx: Queryable,
  kind: AnswerKind,
  requests: readonly { id: string; subjectKind: string }[],
): Promise<void> {
  await tx.execute(
    prepared(`INSERT INTO lethe_control.erasure_answers (request_id, kind, subject_kind, state, error_code)
     SELECT g.id, $1, g.subject_kind, 'not-sent', 'E_NOTIFY_LOG' FROM unnest($2::uuid[], $3::text[]) AS g(id, subject_kind)
     ON CONFLICT DO NOTHING`),
    [kind, requests.map(({ id }) => id), requests.map(({ subjectKind }) => subjectKind)],
  )
}

export interface DueAnswer {
  requestId: string
  kind: AnswerKind
  attempt: number
  message: z.infer<typeof message>
}

export async function dueAnswers(
  db: Queryable,
  keystore: Keystore,
  subjectKind: string,
  limit: number,
): Promise<DueAnswer[]> {
  const rows = await db.query(
    z.object({
      request_id: z.string(),
      kind: z.enum(answerKinds),
      attempt: z.number(),
      sealed: z.instanceof(Buffer),
      sealed_key_id: z.string(),
    }),
    prepared(`SELECT request_id, kind, attempt, sealed, sealed_key_id FROM lethe_control.erasure_answers
     WHERE subject_kind = $1 AND state = 'waiting' AND next_at <= clock_timestamp() AND sealed IS NOT NULL
     ORDER BY next_at LIMIT $2`),
    [subjectKind, limit],
  )
  return rows.map((row) => ({
    requestId: row.request_id,
    kind: row.kind,
    attempt: row.attempt,
    message: message.parse(JSON.parse(keystore.open(row.sealed_key_id, row.sealed).toString())),
  }))
}

/** The attempt is recorded before the delivery, so that a crash can't send without end. */
export async function beginAnswer(db: Queryable, { requestId, kind }: DueAnswer): Promise<void> {
  await db.execute(
    `UPDATE lethe_control.erasure_answers SET attempt = attempt + 1 WHERE request_id = $1 AND kind = $2`,
    [requestId, kind],
  )
}

/** An answer that ended is sealed no longer: nobody needs the address any more. */
export async function settleAnswer(
  db: Queryable,
  { requestId, kind }: Pick<DueAnswer, 'requestId' | 'kind'>,
  outcome:
    | { state: 'delivered' | 'not-sent' | 'failed'; errorCode: string | null }
    | { state: 'waiting'; errorCode: string; after: number },
): Promise<void> {
  const after = outcome.state === 'waiting' ? outcome.after : 0
  const done = await db.execute(
    `UPDATE lethe_control.erasure_answers SET state = $3, error_code = $4, next_at = clock_timestamp() + $5 * interval '1 second',
       delivered_at = CASE WHEN $3 = 'delivered' THEN clock_timestamp() END,
       sealed = CASE WHEN $3 = 'waiting' THEN sealed END, sealed_key_id = CASE WHEN $3 = 'waiting' THEN sealed_key_id END
     WHERE request_id = $1 AND kind = $2`,
    [requestId, kind, outcome.state, outcome.errorCode, after],
  )
  if (done !== 1)
    throw new LetheError('E_NOT_FOUND', { message: `Request ${requestId} has no answer ${kind}.` })
}

export async function answersOf(
  db: Queryable,
  requestId: string,
): Promise<{ kind: AnswerKind; state: string; errorCode: string | null; deliveredAt: Date | null }[]> {
  return db.query(
    z.object({
      kind: z.enum(answerKinds),
      state: z.enum(answerStates),
      errorCode: z.string().nullable(),
      deliveredAt: z.date().nullable(),
    }),
    `SELECT kind, state, error_code AS "errorCode", delivered_at AS "deliveredAt" FROM lethe_control.erasure_answers
     WHERE request_id = $1 ORDER BY kind`,
    [requestId],
  )
}

/** Nobody waits for an answer any more. */
export async function markAnswered(db: Queryable, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  await db.execute(
    prepared(`UPDATE lethe_control.erasure_requests SET answered_at = coalesce(answered_at, clock_timestamp()),
       next_at = CASE WHEN finished_at IS NULL THEN clock_timestamp() ELSE next_at END
     WHERE id = ANY ($1::uuid[])`),
    [ids],
  )
}
