/** An erasure request as the record holds it. */
import { z } from 'zod'
import { prepared, type Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { requestStates, type RequestState } from './states.ts'

export const requestKinds = ['account-closure', 'article-17', 'retention'] as const
export type RequestKind = (typeof requestKinds)[number]
/** On whose behalf; `policy` for the retention sweep. */
export const personalRequesters = ['subject', 'guardian', 'representative', 'staff'] as const
export const requesters = [...personalRequesters, 'policy'] as const
export type Requester = (typeof requesters)[number]
/** How a person was recognised. No copy of a document is ever taken. */
export const personalMethods = ['signed-in-session', 'emailed-link', 'staff-check', 'representative'] as const
export type PersonalMethod = (typeof personalMethods)[number]
/** `policy`: the retention sweep's own; nobody may claim it. */
export const identityMethods = [...personalMethods, 'policy'] as const
export type IdentityMethod = (typeof identityMethods)[number]
/** How it was asked for. */
export const origins = ['command-line', 'sql', 'sweep'] as const
export type Origin = (typeof origins)[number]

/** Items by place; `shared`: subjects of the calls that they are of. */
const accessEnded = z.record(
  z.string(),
  z.object({ counts: z.record(z.string(), z.number()), shared: z.number() }),
)
export type AccessEnded = z.infer<typeof accessEnded>

export interface ErasureRequest {
  id: string
  subjectKind: string
  store: string
  subjectHash: Buffer
  keyId: string
  kind: RequestKind
  ground: string
  requester: Requester
  actor: string
  origin: Origin
  state: RequestState
  resumeState: RequestState | null
  waitingFor: string | null
  receivedAt: Date
  /** The month of the answer runs from here. */
  clockFrom: Date
  dueAt: Date
  extendedAt: Date | null
  warned: number[]
  /** A PostgreSQL interval; `00:00:00` is none. */
  hasGrace: boolean
  graceUntil: Date | null
  /** When the cut of access began; null: nothing was cut. */
  accessCutAt: Date | null
  identityMethod: IdentityMethod | null
  identityAt: Date | null
  identityBy: string | null
  instruction: string | null
  /** The proposal that a policy's request came of; null: a person's own. */
  proposalId: string | null
  /** Why the policy let the person go, in a word. */
  letGo: string | null
  overCeiling: boolean
  nobody: boolean
  /** What went at the access cut, by store. */
  accessEnded: AccessEnded
  /** Null until that was decided. */
  retainedClasses: string[] | null
  mapVersion: string | null
  planHash: string | null
  refusalGround: string | null
  /** SHA-256 of a single-use link's token. */
  confirmHash: Buffer | null
  confirmUntil: Date | null
  cancelHash: Buffer | null
  /** The last answer was delivered, or nobody waits for one. */
  answeredAt: Date | null
  sealed: Buffer | null
  sealedKeyId: string | null
  sealedUntil: Date | null
  /** Null: waits for a person. */
  nextAt: Date | null
  finishedAt: Date | null
}

/** Columns for `SELECT` and `RETURNING`, of the table or alias `r`. */
export const requestColumns = `r.id, r.subject_kind, r.store, r.subject_hash, r.key_id, r.kind, r.ground, r.requester, r.actor,
  r.origin, r.state, r.resume_state, r.waiting_for, r.received_at, r.clock_from, r.due_at, r.extended_at, r.warned,
  r.grace > interval '0' AS has_grace, r.grace_until, r.access_cut_at, r.identity_method, r.identity_at, r.identity_by, r.instruction, r.proposal_id, r.let_go,
  r.over_ceiling, r.nobody, r.access_ended, r.retained_classes, r.map_version, r.plan_hash, r.refusal_ground, r.confirm_hash, r.confirm_until, r.cancel_hash, r.answered_at, r.sealed, r.sealed_key_id, r.sealed_until,
  nullif(r.next_at, 'infinity') AS next_at, r.finished_at`

export const requestRow = z
  .object({
    id: z.string(),
    subject_kind: z.string(),
    store: z.string(),
    subject_hash: z.instanceof(Buffer),
    key_id: z.string(),
    kind: z.enum(requestKinds),
    ground: z.string(),
    requester: z.enum(requesters),
    actor: z.string(),
    origin: z.enum(origins),
    state: z.enum(requestStates),
    resume_state: z.enum(requestStates).nullable(),
    waiting_for: z.string().nullable(),
    received_at: z.date(),
    clock_from: z.date(),
    due_at: z.date(),
    extended_at: z.date().nullable(),
    warned: z.array(z.number()),
    has_grace: z.boolean(),
    grace_until: z.date().nullable(),
    access_cut_at: z.date().nullable(),
    identity_method: z.enum(identityMethods).nullable(),
    identity_at: z.date().nullable(),
    identity_by: z.string().nullable(),
    instruction: z.string().nullable(),
    proposal_id: z.string().nullable(),
    let_go: z.string().nullable(),
    over_ceiling: z.boolean(),
    nobody: z.boolean(),
    access_ended: accessEnded,
    retained_classes: z.array(z.string()).nullable(),
    map_version: z.string().nullable(),
    plan_hash: z.string().nullable(),
    refusal_ground: z.string().nullable(),
    confirm_hash: z.instanceof(Buffer).nullable(),
    confirm_until: z.date().nullable(),
    cancel_hash: z.instanceof(Buffer).nullable(),
    answered_at: z.date().nullable(),
    sealed: z.instanceof(Buffer).nullable(),
    sealed_key_id: z.string().nullable(),
    sealed_until: z.date().nullable(),
    next_at: z.date().nullable(),
    finished_at: z.date().nullable(),
  })
  .transform((row): ErasureRequest => ({
    id: row.id,
    subjectKind: row.subject_kind,
    store: row.store,
    subjectHash: row.subject_hash,
    keyId: row.key_id,
    kind: row.kind,
    ground: row.ground,
    requester: row.requester,
    actor: row.actor,
    origin: row.origin,
    state: row.state,
    resumeState: row.resume_state,
    waitingFor: row.waiting_for,
    receivedAt: row.received_at,
    clockFrom: row.clock_from,
    dueAt: row.due_at,
    extendedAt: row.extended_at,
    warned: row.warned,
    hasGrace: row.has_grace,
    graceUntil: row.grace_until,
    accessCutAt: row.access_cut_at,
    identityMethod: row.identity_method,
    identityAt: row.identity_at,
    identityBy: row.identity_by,
    instruction: row.instruction,
    proposalId: row.proposal_id,
    letGo: row.let_go,
    overCeiling: row.over_ceiling,
    nobody: row.nobody,
    accessEnded: row.access_ended,
    retainedClasses: row.retained_classes,
    mapVersion: row.map_version,
    planHash: row.plan_hash,
    refusalGround: row.refusal_ground,
    confirmHash: row.confirm_hash,
    confirmUntil: row.confirm_until,
    cancelHash: row.cancel_hash,
    answeredAt: row.answered_at,
    sealed: row.sealed,
    sealedKeyId: row.sealed_key_id,
    sealedUntil: row.sealed_until,
    nextAt: row.next_at,
    finishedAt: row.finished_at,
  }))

/** Throws E_NOT_FOUND. `lock`: until the transaction ends. */
export async function getRequest(
  db: Queryable,
  id: string,
  { lock = false }: { lock?: boolean } = {},
): Promise<ErasureRequest> {
  const [request] = z.uuid().safeParse(id).success
    ? await db.query(
        requestRow,
        `SELECT ${requestColumns} FROM lethe_control.erasure_requests r WHERE r.id = $1${lock ? ' FOR UPDATE' : ''}`,
        [id],
      )
    : []
  if (request === undefined)
    throw new LetheError('E_NOT_FOUND', {
      message: `There is no erasure request ${id}.`,
      next: 'See `lethe erasure list`.',
    })
  return request
}

export async function requestExists(db: Queryable, id: string): Promise<boolean> {
  return (await getRequests(db, [id])).length > 0
}

/** Those that there are, in any order. */
export async function getRequests(db: Queryable, ids: readonly string[]): Promise<ErasureRequest[]> {
  return db.query(
    requestRow,
    `SELECT ${requestColumns} FROM lethe_control.erasure_requests r WHERE r.id = ANY ($1::uuid[])`,
    [ids],
  )
}

/** Which of these are in this state still; locked until the transaction ends, so that nobody moves them meanwhile. */
export async function lockRequests(
  tx: Queryable,
  ids: readonly string[],
  state: RequestState,
): Promise<Set<string>> {
  const rows = await tx.query(
    z.object({ id: z.string() }),
    prepared(`SELECT id FROM lethe_control.erasure_requests WHERE id = ANY ($1::uuid[]) AND state = $2
     ORDER BY id FOR UPDATE`),
    [ids, state],
  )
  return new Set(rows.map(({ id }) => id))
}

/** When the last request before this one ended for any of these persons; the beginning of time where none has. */
export async function lastFinished(
  db: Queryable,
  { id, subjectKind }: ErasureRequest,
  hashes: readonly Buffer[],
): Promise<Date> {
  const [row] = await db.query(
    z.object({ at: z.date().nullable() }),
    `SELECT max(finished_at) AS at FROM lethe_control.erasure_requests
     WHERE subject_kind = $1 AND subject_hash = ANY ($2::bytea[]) AND id <> $3`,
    [subjectKind, hashes, id],
  )
  return row?.at ?? new Date(0)
}

/** Due requests of one kind of subject in these states; of each state at most `limit`, the longest waiting. */
export async function dueRequests(
  db: Queryable,
  kind: string,
  states: readonly RequestState[],
  limit: number,
): Promise<ErasureRequest[]> {
  return db.query(
    requestRow,
    // each state by itself, so that the index gives its first ones whatever the statistics say
    prepared(`SELECT r.* FROM unnest($2::text[]) AS s(state) CROSS JOIN LATERAL (
       SELECT ${requestColumns} FROM lethe_control.erasure_requests r
       WHERE r.subject_kind = $1 AND r.state = s.state AND r.finished_at IS NULL AND r.next_at <= clock_timestamp()
       ORDER BY r.next_at, r.id LIMIT $3) AS r`),
    [kind, states, limit],
  )
}

/** When the next request of this kind is due; null: all that are open wait for a person, or none is open. */
export async function nextDue(db: Queryable, kind: string): Promise<Date | null> {
  const [row] = await db.query(
    z.object({ at: z.date().nullable() }),
    prepared(`SELECT least(
       (SELECT min(r.next_at) FROM lethe_control.erasure_requests r
        WHERE r.subject_kind = $1 AND r.finished_at IS NULL AND r.next_at < 'infinity'),
       (SELECT min(a.next_at) FROM lethe_control.erasure_answers a WHERE a.subject_kind = $1 AND a.state = 'waiting')) AS at`),
    [kind],
  )
  return row?.at ?? null
}

/** Kinds of subject that have a request due now. */
export async function kindsDue(db: Queryable): Promise<string[]> {
  const rows = await db.query(
    z.object({ kind: z.string() }),
    `SELECT subject_kind AS kind FROM lethe_control.erasure_requests
     WHERE finished_at IS NULL AND next_at <= clock_timestamp()
     UNION SELECT subject_kind FROM lethe_control.erasure_answers WHERE state = 'waiting' AND next_at <= clock_timestamp()`,
  )
  return rows.map(({ kind }) => kind)
}

/** Columns beside the state; `$n` of `set` start at $2. False: `where` didn't hold. */
export async function updateRequest(
  tx: Queryable,
  id: string,
  set: string,
  values: readonly unknown[],
  where = 'true',
): Promise<boolean> {
  const done = await tx.execute(
    `UPDATE lethe_control.erasure_requests SET ${set}, updated_at = clock_timestamp() WHERE id = $1 AND ${where}`,
    [id, ...values],
  )
  return done === 1
}

/** Before the first call that ends a session: from here on a cancel gives back access and no session. */
export async function markAccessCut(db: Queryable, ids: readonly string[]): Promise<void> {
  await db.execute(
    prepared(`UPDATE lethe_control.erasure_requests SET access_cut_at = coalesce(access_cut_at, clock_timestamp())
     WHERE id = ANY ($1::uuid[]) AND state = 'assessed'`),
    [ids],
  )
}

/** Replaces what is recorded of the access cut. */
export async function recordAccessEnded(
  tx: Queryable,
  requests: readonly Pick<ErasureRequest, 'id' | 'accessEnded'>[],
): Promise<void> {
  if (requests.length === 0) return
  await tx.execute(
    prepared(`UPDATE lethe_control.erasure_requests r SET access_ended = g.ended
     FROM unnest($1::uuid[], $2::jsonb[]) AS g(id, ended) WHERE r.id = g.id`),
    [requests.map(({ id }) => id), requests.map(({ accessEnded: ended }) => JSON.stringify(ended))],
  )
}

export interface RequestFilter {
  states?: readonly RequestState[]
  /** Only those that are open, nearest due date first. */
  due?: boolean
  /** Default 50. */
  limit?: number
  /** The last request of the page before. */
  after?: string
}

/** Without `due` the newest first. */
export async function listRequests(db: Queryable, filter: RequestFilter = {}): Promise<ErasureRequest[]> {
  // by the row itself: a date that went through JavaScript has lost its microseconds
  const after =
    filter.due === true
      ? `(r.due_at, r.id) > (SELECT a.due_at, a.id FROM lethe_control.erasure_requests a WHERE a.id = $3)`
      : `r.received_at <= (SELECT a.received_at FROM lethe_control.erasure_requests a WHERE a.id = $3)
         AND (r.received_at < (SELECT a.received_at FROM lethe_control.erasure_requests a WHERE a.id = $3) OR r.id > $3)`
  return db.query(
    requestRow,
    `SELECT ${requestColumns} FROM lethe_control.erasure_requests r
     WHERE ${conditions(filter)} AND ($3::uuid IS NULL OR ${after})
     ORDER BY ${filter.due === true ? 'r.due_at' : 'r.received_at DESC'}, r.id LIMIT $2`,
    [filter.states ?? null, filter.limit ?? 50, filter.after ?? null],
  )
}

/** All that the filter takes, whatever its limit. */
export async function countListed(db: Queryable, filter: RequestFilter): Promise<number> {
  const [row] = await db.query(
    z.object({ n: z.coerce.number() }),
    `SELECT count(*) AS n FROM lethe_control.erasure_requests r WHERE ${conditions(filter)}`,
    [filter.states ?? null],
  )
  return row?.n ?? 0
}

/** `$1` is the states, or null. */
function conditions({ due, states }: RequestFilter): string {
  const open = due === true ? 'r.finished_at IS NULL' : 'true'
  return `${open} AND ${states === undefined ? '$1::text[] IS NULL' : 'r.state = ANY ($1::text[])'}`
}

/** By state; only states that have any. */
export async function countRequests(db: Queryable): Promise<{ state: RequestState; count: number }[]> {
  return db.query(
    z.object({ state: z.enum(requestStates), count: z.coerce.number() }),
    `SELECT state, count(*) AS count FROM lethe_control.erasure_requests WHERE finished_at IS NULL GROUP BY state`,
  )
}

/** A hold was added or released in this store: its open requests are looked at now. */
export async function wakeHeld(db: Queryable, store: string): Promise<void> {
  await db.execute(
    `UPDATE lethe_control.erasure_requests SET next_at = clock_timestamp()
     WHERE store = $1 AND finished_at IS NULL AND state IN ('grace', 'on-hold', 'erasing', 'verifying')
       AND next_at > clock_timestamp()`,
    [store],
  )
}
