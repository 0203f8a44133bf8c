/**
 * Who asks for a person whose request is open joins it, and no asking is weakened by that: the open request becomes the
 * stronger of the two, and only an asking for what it is now takes it back.
 */
import { z } from 'zod'
import { newId } from '../../base/clock/index.ts'
import { databaseNow, type Queryable } from '../../base/db/index.ts'
import { appendEvent, appendEvents } from '../evidence/index.ts'
import { moveRequests } from './move.ts'
import type { NewRequest } from './new-request.ts'
import {
  getRequest,
  getRequests,
  requestKinds,
  requesters,
  updateRequest,
  type ErasureRequest,
  type IdentityMethod,
  type RequestKind,
} from './request.ts'
import type { RequestState } from './states.ts'

const strength: Readonly<Record<RequestKind, number>> = {
  retention: 0,
  'account-closure': 1,
  'article-17': 2,
}

/** What somebody asked for, whatever became of it. */
const askingRow = z.object({
  /** The application's id of it; an own request's is the request's. */
  id: z.string(),
  requestId: z.string(),
  kind: z.enum(requestKinds),
  ground: z.string(),
  requester: z.enum(requesters),
  actor: z.string(),
  hasGrace: z.boolean(),
  /** It made the request what it asked for. */
  raised: z.boolean(),
  receivedAt: z.date(),
})
export type Asking = z.infer<typeof askingRow>
const askingColumns = `intake_id AS id, request_id AS "requestId", kind, ground, requester, actor, has_grace AS "hasGrace", raised,
  received_at AS "receivedAt"`

type Strength = Pick<Asking, 'kind' | 'hasGrace'>

export function isStronger(asking: Strength, than: Strength): boolean {
  const by = strength[asking.kind] - strength[than.kind]
  return by > 0 || (by === 0 && than.hasGrace && !asking.hasGrace)
}

/** The request is what this asking alone would have made of it, so that taking it back takes nothing from anybody else. */
export function isWhole(asking: Strength, request: Strength): boolean {
  return asking.kind === request.kind && (!asking.hasGrace || request.hasGrace)
}

export interface Joined {
  /** As it was before. */
  was: { kind: RequestKind; hasGrace: boolean; graceUntil: Date | null }
  /** `raised`: it is what was asked for now. `waits`: it will be, once this asking has an identity. `as-is`: nothing was stronger. */
  became: 'raised' | 'waits' | 'as-is'
  overCeiling: boolean
}

/**
 * One result each, in their order; the requests' rows are locked by the caller. An identity or an instruction that one brings
 * counts for the request; beyond the ceiling of its actor, a raise that ends a grace period waits for an approval.
 */
export async function joinRequests(
  tx: Queryable,
  joining: readonly { asked: NewRequest; id: string }[],
  ceiling: number,
): Promise<Joined[]> {
  if (joining.length === 0) return []
  const graces = await graced(
    tx,
    joining.map(({ asked }) => asked.grace),
  )
  const now = await databaseNow(tx)
  const ids = [...new Set(joining.map(({ id }) => id))]
  const open = new Map((await getRequests(tx, ids)).map((request) => [request.id, request]))
  const results: Joined[] = []
  const others: Asking[] = []
  for (const [place, { asked, id }] of joining.entries()) {
    const request = open.get(id) ?? (await getRequest(tx, id))
    const { kind, ground, requester, actor, origin, identity } = asked
    const asking = {
      id: asked.intakeId ?? newId(),
      requestId: id,
      kind,
      ground,
      requester,
      actor,
      hasGrace: graces[place] === true,
      raised: false,
      receivedAt: asked.receivedAt ?? now,
    }
    const stronger = isStronger(asking, request)
    asking.raised = stronger && (identity !== null || !hurries(request))
    const known = await bring(tx, request, asked)
    const changed = asking.raised ? await raise(tx, known, asking, origin, ceiling, asked.grace) : known
    open.set(id, changed)
    // a raise counts for the next one's ceiling; what a sweep asks for again each night is kept nowhere
    if (asking.raised) await keep(tx, [asking])
    else if (origin !== 'sweep') others.push(asking)
    const { kind: before, hasGrace, graceUntil } = request
    results.push({
      was: { kind: before, hasGrace, graceUntil },
      became: asking.raised ? 'raised' : stronger ? 'waits' : 'as-is',
      overCeiling: changed.overCeiling,
    })
  }
  await keep(tx, others)
  await appendEvents(
    tx,
    joining.map(({ asked: { actor, kind, origin }, id }) => ({
      type: 'request.joined',
      actor,
      data: { kind, origin, request: id },
    })),
  )
  return results
}

/** Nobody who is unknown shortens what was promised to somebody who is known. */
function hurries({ hasGrace, identityMethod, state }: ErasureRequest): boolean {
  return hasGrace && identityMethod !== null && !going.includes(state)
}

const going: readonly RequestState[] = ['planned', 'erasing', 'verifying']
/** In these a worker has its turn once `next_at` has come; in the others something else is waited for. */
const moving: readonly RequestState[] = [
  'received',
  'confirmed',
  'assessed',
  'access-cut',
  'grace',
  'planned',
]

/** What the request lacked. */
async function bring(tx: Queryable, request: ErasureRequest, asked: NewRequest): Promise<ErasureRequest> {
  const { id, state, overCeiling } = request
  if (state !== 'received' && state !== 'referred') return request
  const identity = request.identityMethod === null ? asked.identity : null
  const instruction = request.instruction === null ? asked.instruction : null
  if (identity === null && instruction === null) return request
  const wake = state === 'received' && !overCeiling ? ', next_at = clock_timestamp(), waiting_for = NULL' : ''
  if (identity !== null)
    await updateRequest(
      tx,
      id,
      `identity_method = $2, identity_at = clock_timestamp(), identity_by = $3${wake}`,
      [identity.method, identity.by],
    )
  if (instruction !== null) await updateRequest(tx, id, `instruction = $2${wake}`, [instruction])
  if (instruction !== null && state === 'referred')
    await moveRequests(tx, 'instruct', [id], { actor: asked.actor })
  return getRequest(tx, id)
}

/**
 * Its row is locked. The month is the earlier one; an extension was of the other asking's. `grace`: a policy's request has none of
 * its own, so a person who closes their account keeps the grace that they were promised, whichever was read first.
 */
async function raise(
  tx: Queryable,
  request: ErasureRequest,
  asking: Asking,
  origin: string,
  ceiling: number,
  grace = '0',
): Promise<ErasureRequest> {
  const { id, state } = request
  const promised = request.kind === 'retention' && asking.hasGrace ? grace : '0'
  const turn = moving.includes(state) && !request.overCeiling
  const over = turn && hurries(request) && (await raises(tx, asking.actor)) >= ceiling
  await keep(tx, [{ ...request, requestId: id, raised: false }])
  await updateRequest(
    tx,
    id,
    `kind = $2, ground = $3, requester = $4, grace = $8::interval,
     grace_until = CASE WHEN $8::interval > interval '0' THEN NULL ELSE least(grace_until, clock_timestamp()) END, cancel_hash = NULL,
     resume_state = CASE WHEN $8::interval > interval '0' AND resume_state = 'planned' THEN 'access-cut' ELSE resume_state END,
     clock_from = CASE WHEN $5::timestamptz + interval '1 month' < due_at THEN $5::timestamptz ELSE clock_from END,
     extended_at = CASE WHEN $5::timestamptz + interval '1 month' < due_at THEN NULL ELSE extended_at END,
     warned = CASE WHEN $5::timestamptz + interval '1 month' < due_at THEN '{}' ELSE warned END,
     due_at = least(due_at, $5::timestamptz + interval '1 month'), over_ceiling = over_ceiling OR $6::boolean,
     waiting_for = CASE WHEN $6::boolean THEN 'ceiling' WHEN $7::boolean THEN NULL ELSE waiting_for END,
     next_at = CASE WHEN $6::boolean THEN 'infinity' WHEN $7::boolean THEN clock_timestamp() ELSE next_at END`,
    [asking.kind, asking.ground, asking.requester, asking.receivedAt, over, turn, promised],
  )
  if (promised !== '0' && state === 'planned')
    await moveRequests(tx, 'give-grace', [id], { actor: asking.actor })
  await appendEvent(tx, {
    type: 'request.raised',
    actor: asking.actor,
    data: { from: request.kind, graceBefore: request.hasGrace, origin, request: id, to: asking.kind },
  })
  return getRequest(tx, id)
}

/**
 * An asking that waited for its identity has it: the request is what it asked for now. `asking`: this one only; null: the
 * strongest that waits. False: none did. The request's row is locked.
 */
export async function raiseWaiting(
  tx: Queryable,
  request: ErasureRequest,
  asking: string | null,
  identity: { method: IdentityMethod; by: string },
  ceiling: number,
): Promise<boolean> {
  const waiting = (await askingsOf(tx, request.id)).filter(
    (one) => isStronger(one, request) && (asking === null || one.id === asking),
  )
  const [strongest] = waiting.sort((a, b) => (isStronger(a, b) ? -1 : 1))
  if (strongest === undefined) return false
  await raise(tx, request, strongest, 'identity', ceiling)
  await updateRequest(
    tx,
    request.id,
    'identity_method = $2, identity_at = clock_timestamp(), identity_by = $3',
    [identity.method, identity.by],
  )
  await tx.execute(
    `UPDATE lethe_control.erasure_joined SET raised = true, at = clock_timestamp() WHERE intake_id = $1`,
    [strongest.id],
  )
  return true
}

/** Everything that was asked for with this request, where more than one was; the oldest first. */
export async function askingsOf(db: Queryable, requestId: string): Promise<Asking[]> {
  return db.query(
    askingRow,
    `SELECT ${askingColumns} FROM lethe_control.erasure_joined WHERE request_id = $1 ORDER BY received_at, intake_id`,
    [requestId],
  )
}

/** What joined under this id, or was raised; undefined: a request of its own, or nothing. */
export async function askingOf(db: Queryable, id: string): Promise<Asking | undefined> {
  const rows = await db.query(
    askingRow,
    `SELECT ${askingColumns} FROM lethe_control.erasure_joined WHERE intake_id = $1`,
    [id],
  )
  return rows[0]
}

/** The request that an application's id leads to: the one it joined, or its own. */
export async function joinedBy(db: Queryable, intakeId: string): Promise<string> {
  return (await askingOf(db, intakeId))?.requestId ?? intakeId
}

async function keep(tx: Queryable, askings: readonly Asking[]): Promise<void> {
  await tx.execute(
    `INSERT INTO lethe_control.erasure_joined (intake_id, request_id, kind, ground, requester, actor, has_grace, raised, received_at)
     SELECT * FROM json_to_recordset($1::json) AS g(id uuid, "requestId" uuid, kind text, ground text, requester text, actor text,
       "hasGrace" boolean, raised boolean, "receivedAt" timestamptz) ON CONFLICT DO NOTHING`,
    [JSON.stringify(askings.map((asking) => askingRow.parse(asking)))],
  )
}

/** Of this actor in the last 24 hours: requests made, and requests raised. */
async function raises(tx: Queryable, actor: string): Promise<number> {
  const [row] = await tx.query(
    z.object({ n: z.coerce.number() }),
    `SELECT (SELECT count(*) FROM lethe_control.erasure_requests WHERE actor = $1 AND received_at > clock_timestamp() - interval '24 hours')
       + (SELECT count(*) FROM lethe_control.erasure_joined
          WHERE raised AND actor = $1 AND at > clock_timestamp() - interval '24 hours') AS n`,
    [actor],
  )
  return row?.n ?? 0
}

async function graced(tx: Queryable, graces: readonly string[]): Promise<boolean[]> {
  const rows = await tx.query(
    z.object({ graced: z.boolean() }),
    `SELECT g.grace > interval '0' AS graced FROM unnest($1::interval[]) WITH ORDINALITY AS g(grace, ord) ORDER BY g.ord`,
    [graces],
  )
  return rows.map((row) => row.graced)
}
