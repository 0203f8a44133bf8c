/** Legs: one for each place that holds something of the subject. What happened to each stands here and nowhere else. */
import { z } from 'zod'
import { canonicalJson } from '../../base/canonical/index.ts'
import { prepared, type Queryable } from '../../base/db/index.ts'
import { rowEvent, rowEventsSql } from '../evidence/index.ts'
import { fenced, heldRun, type Claim } from '../ledger/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { endedLegs, legSentences, legStates, type LegState } from './states.ts'

const counts = z.record(z.string(), z.number())
const retained = z.array(
  z.object({ place: z.string(), count: z.number(), ground: z.string(), until: z.string().nullable() }),
)

export const legRow = z
  .object({
    request_id: z.string(),
    store: z.string(),
    kind: z.string(),
    after: z.array(z.string()),
    channel: z.boolean(),
    state: z.enum(legStates),
    next_at: z.date().nullable(),
    attempt: z.number(),
    reopened: z.number(),
    job: z.string().nullable(),
    error_code: z.string().nullable(),
    error_message: z.string().nullable(),
    messages: z.array(z.string()),
    counts,
    pseudonymised: counts,
    detached: counts,
    shared: z.number(),
    interrupted: z.boolean(),
    unfinished: z.number(),
    unfinished_left: z.coerce.number().nullable(),
    remains: counts,
    retained,
    requested_at: z.date().nullable(),
    accepted_at: z.date().nullable(),
    verified_at: z.date().nullable(),
  })
  .transform((row) => ({
    requestId: row.request_id,
    store: row.store,
    kind: row.kind,
    after: row.after,
    channel: row.channel,
    state: row.state,
    nextAt: row.next_at,
    attempt: row.attempt,
    reopened: row.reopened,
    job: row.job,
    errorCode: row.error_code,
    errorMessage: row.error_message,
    messages: row.messages,
    counts: row.counts,
    pseudonymised: row.pseudonymised,
    detached: row.detached,
    shared: row.shared,
    interrupted: row.interrupted,
    unfinished: row.unfinished,
    unfinishedLeft: row.unfinished_left,
    remains: row.remains,
    retained: row.retained,
    requestedAt: row.requested_at,
    acceptedAt: row.accepted_at,
    verifiedAt: row.verified_at,
  }))
export type Leg = z.infer<typeof legRow>

const columns = `l.request_id, l.store, l.kind, l.after, l.channel, l.state, nullif(l.next_at, 'infinity') AS next_at, l.attempt, l.reopened,
  l.job, l.error_code, l.error_message, l.messages, l.counts, l.pseudonymised, l.detached, l.shared, l.interrupted, l.unfinished, l.unfinished_left, l.remains, l.retained, l.requested_at, l.accepted_at,
  l.verified_at`

export interface NewLeg {
  store: string
  kind: string
  /** Stores that are emptied first: keys stay until the rows are gone, a cache is purged once its origin can't fill it again. */
  after: readonly string[]
  /** The answer to the person is sent through it, so it goes last, once that was delivered. */
  channel: boolean
}

/** Makes the legs of these requests, each with every leg given; one that is there stays as it is. */
export async function makeLegs(
  tx: Queryable,
  requestIds: readonly string[],
  legs: readonly NewLeg[],
): Promise<void> {
  await tx.execute(
    prepared(`INSERT INTO lethe_control.erasure_legs (request_id, store, kind, after, channel, state)
     SELECT r.id, l.store, l.kind, l.after, l.channel, 'pending'
     FROM unnest($1::uuid[]) AS r(id),
       json_to_recordset($2::json) AS l(store text, kind text, after text[], channel boolean)
     ON CONFLICT DO NOTHING`),
    [
      requestIds,
      JSON.stringify(legs.map(({ store, kind, after, channel }) => ({ store, kind, after, channel }))),
    ],
  )
}

export async function legsOf(db: Queryable, requestIds: readonly string[]): Promise<Leg[]> {
  return db.query(
    legRow,
    prepared(
      `SELECT ${columns} FROM lethe_control.erasure_legs l WHERE l.request_id = ANY ($1::uuid[]) ORDER BY l.channel, cardinality(l.after), l.store`,
    ),
    [requestIds],
  )
}

/**
 * SQL over leg `l` of request `r`: it is open, and nothing it waits for is. A scalar subquery, so that each leg asks by the
 * key for those before it, whatever the statistics say.
 */
const turn = `l.state IN ('pending', 'waiting', 'accepted', 'failed')
  AND (NOT l.channel OR r.answered_at IS NOT NULL)
  AND (SELECT bool_or(b.state IN ('pending', 'waiting', 'failed') OR l.channel AND b.state = 'accepted')
    FROM lethe_control.erasure_legs b
    WHERE b.request_id = l.request_id AND b.store <> l.store AND (l.channel OR b.store = ANY (l.after))) IS NOT TRUE`

/** Legs of these requests in these stores whose turn it is, oldest first: of requests that are being erased, and due. */
export async function dueLegs(
  db: Queryable,
  requestIds: readonly string[],
  stores: readonly string[],
): Promise<Leg[]> {
  return db.query(
    legRow,
    prepared(`SELECT ${columns} FROM unnest($1::uuid[]) AS g(id)
       JOIN lethe_control.erasure_legs l ON l.request_id = g.id AND l.store = ANY ($2::text[])
       JOIN lethe_control.erasure_requests r ON r.id = g.id
     WHERE r.state IN ('erasing', 'verifying') AND l.next_at <= clock_timestamp() AND ${turn}
     ORDER BY l.next_at, l.request_id`),
    [requestIds, stores],
  )
}

/**
 * The intent of a call to one store, recorded before it goes out. Returns those it goes out for: a request that was held,
 * cancelled or settled by a person since `dueLegs` is not among them. Its row is locked, so that a cancel that comes at the
 * same moment either is seen here or sees that the call has begun. Throws E_FENCED.
 */
export async function beginLegs(
  control: Queryable,
  claim: Claim,
  store: string,
  requestIds: readonly string[],
): Promise<Set<string>> {
  const [row] = await control.query(
    z.object({ held: z.boolean(), begun: z.array(z.string()) }),
    prepared(`WITH held AS (
       ${heldRun('$1', '$2')}
     ), going AS MATERIALIZED (
       SELECT r.id FROM lethe_control.erasure_requests r
       WHERE r.id = ANY ($4::uuid[]) AND r.state IN ('erasing', 'verifying') ORDER BY r.id FOR SHARE
     ), begun AS (
       UPDATE lethe_control.erasure_legs l SET attempt = l.attempt + 1, requested_at = coalesce(l.requested_at, clock_timestamp())
       FROM going
       WHERE l.request_id = going.id AND l.store = $3
         AND l.state IN ('pending', 'waiting', 'accepted', 'failed') AND EXISTS (SELECT FROM held)
       RETURNING l.request_id
     )
     SELECT EXISTS (SELECT FROM held) AS held, ARRAY(SELECT request_id::text FROM begun) AS begun`),
    [claim.id, claim.fence.toString(), store, requestIds],
  )
  if (row?.held !== true) throw fenced(claim)
  return new Set(row.begun)
}

/**
 * Takes back the intent of first calls that did not go out after all: nothing was destroyed by them. `requestIds`: legs that
 * had never been begun before. Throws E_FENCED.
 */
export async function unbeginLegs(
  control: Queryable,
  claim: Claim,
  store: string,
  requestIds: readonly string[],
): Promise<void> {
  if (requestIds.length === 0) return
  const [row] = await control.query(
    z.object({ held: z.boolean() }),
    `WITH held AS (
       ${heldRun('$1', '$2')}
     ), unbegun AS (
       UPDATE lethe_control.erasure_legs l SET attempt = 0, requested_at = NULL
       WHERE l.request_id = ANY ($4::uuid[]) AND l.store = $3 AND l.state = 'pending' AND EXISTS (SELECT FROM held)
     )
     SELECT EXISTS (SELECT FROM held) AS held`,
    [claim.id, claim.fence.toString(), store, requestIds],
  )
  if (row?.held !== true) throw fenced(claim)
}

/** How a leg stands after a call; what is left out keeps its value. */
export interface LegChange {
  requestId: string
  store: string
  state: LegState
  /** Seconds until it is looked at again; default 0. Null: it waits for a person. */
  after?: number | null
  job?: string | null
  errorCode?: string | null
  errorMessage?: string | null
  messages?: readonly string[]
  /** Items removed; these three are added to what earlier calls counted. */
  counts?: Readonly<Record<string, number>>
  pseudonymised?: Readonly<Record<string, number>>
  detached?: Readonly<Record<string, number>>
  shared?: number
  remains?: Readonly<Record<string, number>>
  retained?: z.infer<typeof retained>
  /** Reading back found what was reported gone. */
  lied?: boolean
  /** The attempts begin anew: it came further than the last time. */
  fresh?: boolean
  /** Steps in a row that ended in the middle of the call; whatever else becomes of the leg, but for a failure, ends the row. */
  unfinished?: number
  /** What reading back found in the middle of it. */
  unfinishedLeft?: number | null
}

/** The first that holds: reading back found it, a call failed, or it came to its end. */
const told = [
  rowEvent('leg.reopened', { request: 'request_id', store: 'store' }, 'lied'),
  rowEvent(
    'leg.failed',
    { code: 'code', request: 'request_id', store: 'store' },
    'failed AND code IS NOT NULL',
  ),
  rowEvent(
    'leg.ended',
    { request: 'request_id', state: 'state', store: 'store' },
    `state IN ('not-needed', 'verified', 'retained', 'told')`,
  ),
]

/**
 * Writes how legs stand, with an event for each that ended, failed or lied. A leg that a person has settled meanwhile stays
 * as they left it. Throws E_FENCED.
 */
export async function recordLegs(
  control: Queryable,
  claim: Claim,
  changes: readonly LegChange[],
): Promise<void> {
  if (changes.length === 0) return
  const [row] = await control.query(
    z.object({ held: z.boolean() }),
    prepared(`WITH held AS (
       ${heldRun('$1', '$2')}
     ), given AS (
       SELECT * FROM json_to_recordset($3::json) AS g("requestId" uuid, store text, state text, after double precision, job text,
         "hasJob" boolean, "errorCode" text, "errorMessage" text, "hasError" boolean, messages jsonb, counts jsonb,
         pseudonymised jsonb, detached jsonb, shared int,
         remains jsonb, retained jsonb, lied boolean, fresh boolean,
         unfinished int, "unfinishedLeft" bigint)
     ), written AS (
       UPDATE lethe_control.erasure_legs l SET state = g.state,
         next_at = coalesce(clock_timestamp() + g.after * interval '1 second', 'infinity'),
         job = CASE WHEN g."hasJob" THEN g.job ELSE l.job END,
         error_code = CASE WHEN g."hasError" THEN g."errorCode" ELSE l.error_code END,
         error_message = CASE WHEN g."hasError" THEN g."errorMessage" ELSE l.error_message END,
         messages = coalesce(g.messages, l.messages),
         counts = CASE WHEN g.counts IS NULL AND g.lied IS NOT TRUE THEN l.counts ELSE (
           SELECT coalesce(jsonb_object_agg(key, n), '{}') FROM (
             SELECT key, greatest(sum(n), 0) AS n FROM (
               SELECT key, value::numeric AS n FROM jsonb_each_text(l.counts)
               UNION ALL SELECT key, value::numeric FROM jsonb_each_text(g.counts)
               -- what is still there was not removed, whatever was said
               UNION ALL SELECT key, -value::numeric FROM jsonb_each_text(g.remains)
                 WHERE g.lied AND (l.counts ? key OR coalesce(g.counts ? key, false))
             ) AS e GROUP BY key) AS s) END,
         pseudonymised = ${added('pseudonymised')},
         detached = ${added('detached')},
         shared = greatest(l.shared, g.shared),
         interrupted = l.interrupted OR (g.counts IS NOT NULL AND l.attempt > 1),
         remains = coalesce(g.remains, l.remains),
         retained = coalesce(g.retained, l.retained),
         reopened = l.reopened + g.lied::int,
         unfinished = coalesce(g.unfinished, CASE WHEN g.state = 'failed' THEN l.unfinished ELSE 0 END),
         unfinished_left = CASE WHEN coalesce(g.unfinished, l.unfinished) = 0 THEN NULL ELSE coalesce(g."unfinishedLeft", l.unfinished_left) END,
         attempt = CASE WHEN g.fresh THEN 0 ELSE l.attempt END,
         -- nobody is asked about what is only declared, so nobody has answered
         accepted_at = CASE WHEN g.lied OR l.kind = 'declared' THEN NULL WHEN g.state IN ('accepted', 'verified', 'retained', 'told') THEN coalesce(l.accepted_at, clock_timestamp())
           ELSE l.accepted_at END,
         verified_at = CASE WHEN l.kind <> 'declared' AND g.state IN ('verified', 'retained') THEN clock_timestamp() ELSE NULL END
       FROM given g
       WHERE l.request_id = g."requestId" AND l.store = g.store AND EXISTS (SELECT FROM held)
         AND l.state NOT IN ('not-needed', 'verified', 'retained', 'told', 'accepted-as-failed')
       RETURNING l.request_id, l.store, l.state, g."errorCode" AS code, g."hasError" AS failed, g.lied
     ), noted AS (
       ${rowEventsSql('written', { run: '$1', actor: `'lethe'` }, told)}
     )
     SELECT EXISTS (SELECT FROM held) AS held`),
    [claim.id, claim.fence.toString(), canonicalJson(changes.map(asRow))],
  )
  if (row?.held !== true) throw fenced(claim)
}

/** SQL: what leg `l` had counted, and what change `g` adds. */
function added(column: 'pseudonymised' | 'detached'): string {
  return `CASE WHEN g.${column} IS NULL THEN l.${column} ELSE (
           SELECT coalesce(jsonb_object_agg(key, n), '{}') FROM (SELECT key, sum(value::numeric) AS n FROM (
             SELECT * FROM jsonb_each_text(l.${column}) UNION ALL SELECT * FROM jsonb_each_text(g.${column})
           ) AS e GROUP BY key) AS s) END`
}

function asRow(change: LegChange): Record<string, unknown> {
  return {
    ...change,
    after: change.after === undefined ? 0 : change.after,
    hasJob: change.job !== undefined,
    hasError: change.errorCode !== undefined,
    shared: change.shared ?? 1,
    lied: change.lied ?? false,
    fresh: change.fresh ?? false,
  }
}

/** By a person: begun anew, or accepted as it is. Throws E_NOT_FOUND, E_ILLEGAL_TRANSITION for a leg that has ended. */
export async function settleLeg(
  tx: Queryable,
  requestId: string,
  store: string,
  state: 'pending' | 'accepted-as-failed',
): Promise<void> {
  const [leg] = await tx.query(
    z.object({ state: z.enum(legStates) }),
    `SELECT state FROM lethe_control.erasure_legs WHERE request_id = $1 AND store = $2 FOR UPDATE`,
    [requestId, store],
  )
  if (leg === undefined)
    throw new LetheError('E_NOT_FOUND', {
      message: `Request ${requestId} has no leg ${store}.`,
      next: `See \`lethe erasure status ${requestId}\`.`,
    })
  if (endedLegs.includes(leg.state))
    throw new LetheError('E_ILLEGAL_TRANSITION', {
      message: `Leg ${store} of request ${requestId} has ended: ${legSentences[leg.state]}.`,
      next: `Look at it: lethe erasure status ${requestId}.`,
    })
  await tx.execute(
    state === 'pending'
      ? `UPDATE lethe_control.erasure_legs SET state = 'pending', next_at = clock_timestamp(), attempt = 0, reopened = 0, job = NULL, unfinished = 0, unfinished_left = NULL
         WHERE request_id = $1 AND store = $2`
      : `UPDATE lethe_control.erasure_legs SET state = 'accepted-as-failed' WHERE request_id = $1 AND store = $2`,
    [requestId, store],
  )
}

/** Whether a call that destroys has gone out for it, whatever became of it since. Nothing is destroyed by a search, or where nothing leads. */
export async function hasBegun(db: Queryable, requestId: string): Promise<boolean> {
  return (await begunIn(db, requestId)).length > 0
}

/** The stores to which such a call has gone out. */
export async function begunIn(db: Queryable, requestId: string): Promise<string[]> {
  return (await legsOf(db, [requestId])).flatMap(({ requestedAt, kind, state, store }) =>
    requestedAt !== null && kind !== 'search' && kind !== 'declared' && state !== 'not-needed' ? [store] : [],
  )
}

/**
 * How many legs of each request are open, not read back, and of the channel that the answer takes; and when the next of them
 * has its turn, in one of `stores`. Null: none has before a person acts, or before another leg is through.
 */
export async function openLegs(
  db: Queryable,
  requestIds: readonly string[],
  stores: readonly string[],
): Promise<{ requestId: string; open: number; unread: number; channel: number; next: Date | null }[]> {
  const rows = await db.query(
    z.object({
      id: z.string(),
      open: z.coerce.number(),
      unread: z.coerce.number(),
      channel: z.coerce.number(),
      next: z.date().nullable(),
    }),
    prepared(`SELECT l.request_id AS id,
       count(*) FILTER (WHERE l.state IN ('pending', 'waiting', 'failed')) AS open,
       count(*) FILTER (WHERE l.state = 'accepted') AS unread,
       count(*) FILTER (WHERE l.state IN ('pending', 'waiting', 'failed', 'accepted') AND l.channel) AS channel,
       min(l.next_at) FILTER (WHERE l.next_at < 'infinity' AND l.store = ANY ($2::text[]) AND ${turn}) AS next
     FROM lethe_control.erasure_legs l JOIN lethe_control.erasure_requests r ON r.id = l.request_id
     WHERE l.request_id = ANY ($1::uuid[]) GROUP BY l.request_id`),
    [requestIds, stores],
  )
  return rows.map(({ id, ...rest }) => ({ requestId: id, ...rest }))
}
