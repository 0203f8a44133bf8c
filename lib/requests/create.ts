/** New requests, one or a thousand in a statement. A person who has an open request joins it. */
import { z } from 'zod'
import { newId } from '../clock/index.ts'
import type { Queryable } from '../db/index.ts'
import type { Vault } from '../vault/index.ts'
import type { IdentityMethod, RequestKind, Requester } from './request.ts'

export interface NewRequest {
  subjectKind: string
  /** The subject's own store. */
  store: string
  key: readonly string[]
  kind: RequestKind
  ground: string
  requester: Requester
  /** A verified name, `app:LOGIN`, `policy:NAME`. */
  actor: string
  origin: 'command-line' | 'sql' | 'sweep'
  /** The target's own id of it; copying it twice makes one request. */
  intakeId?: string
  receivedAt?: Date
  /** An interval; '0' is none. Cut where it would leave the slowest leg too little of the month. */
  grace: string
  /** Null: it has to be confirmed first. */
  identity: { method: IdentityMethod; by: string } | null
  instruction: string | null
}

export interface Created {
  id: string
  /** It was open before, and this one joined it. */
  joined: boolean
  overCeiling: boolean
}

export interface Limits {
  /** Requests of one actor in 24 hours that need no approval. */
  ceiling: number
  /** What the slowest leg needs of the month, as an interval. */
  slowest: string
  /** How long what leads to the person is kept at most without being looked at, as an interval. */
  keep: string
}

const made = z.object({ id: z.string(), ord: z.coerce.number(), over: z.boolean() })

/**
 * For each row of `given` the request that it joins, where there is one: two ways, each by its unique index. Store and kind
 * stand in the hash. The LIMIT has each row looked up by itself, whatever the statistics say of a table that just grew.
 */
const joins = `SELECT DISTINCT ON (ord) ord, id, over FROM (
    SELECT g.ord, r.* FROM given g CROSS JOIN unnest(g.hashes) AS h CROSS JOIN LATERAL (
      SELECT r.id, r.received_at, r.over_ceiling AS over FROM lethe_control.erasure_requests r
      WHERE r.subject_hash = decode(h, 'hex') AND r.finished_at IS NULL LIMIT 1) AS r
    UNION ALL
    SELECT g.ord, r.* FROM given g CROSS JOIN LATERAL (
      SELECT r.id, r.received_at, r.over_ceiling FROM lethe_control.erasure_requests r WHERE r.intake_id = g.intake LIMIT 1) AS r
  ) AS found ORDER BY ord, received_at`

/**
 * In the caller's transaction. The results stand in the order given. Someone who has an open request, under whichever key it
 * was hashed, joins it; where that one's identity is still unknown and this one's is known, it is confirmed by this one.
 */
export async function createRequests(
  tx: Queryable,
  vault: Vault,
  requests: readonly NewRequest[],
  limits: Limits,
): Promise<Created[]> {
  const rows = requests.map((request, ord) => {
    const { store, subjectKind, key, identity } = request
    const sealed = vault.seal(JSON.stringify({ key }))
    return {
      ord,
      id: request.intakeId ?? newId(),
      kind: request.kind,
      subject: subjectKind,
      store,
      hash: vault.subjectHash(store, subjectKind, key).toString('hex'),
      hashes: vault.keyIds.map((keyId) => vault.subjectHash(store, subjectKind, key, keyId).toString('hex')),
      keyId: vault.currentKeyId,
      ground: request.ground,
      requester: request.requester,
      actor: request.actor,
      origin: request.origin,
      intake: request.intakeId ?? null,
      received: request.receivedAt?.toISOString() ?? null,
      grace: request.grace,
      method: identity?.method ?? null,
      by: identity?.by ?? null,
      instruction: request.instruction,
      sealed: sealed.cipher.toString('hex'),
      sealedKeyId: sealed.keyId,
    }
  })
  // One at a time may create: the ceiling counts what others have just written, and no two open the same person's twice.
  await tx.execute(`SELECT pg_advisory_xact_lock(7220145502219)`)
  const found = await tx.query(
    made,
    `WITH given AS (
       SELECT * FROM json_to_recordset($1::json) AS g(ord int, id uuid, kind text, subject text, store text, hash text, hashes text[],
         "keyId" text, ground text, requester text, actor text, origin text, intake uuid, received timestamptz, grace interval,
         method text, by text, instruction text, sealed text, "sealedKeyId" text)
     ), open AS (
       ${joins}
     ), spent AS (
       SELECT a.actor, (SELECT count(*) FROM lethe_control.erasure_requests r
         WHERE r.actor = a.actor AND r.received_at > clock_timestamp() - interval '24 hours') AS n
       FROM (SELECT DISTINCT actor FROM given) AS a
     ), counted AS (
       SELECT g.ord, g.origin <> 'sweep' AND row_number() OVER (PARTITION BY g.actor ORDER BY g.ord) + s.n > $2::int AS over
       FROM given g JOIN spent s USING (actor) WHERE g.ord NOT IN (SELECT ord FROM open)
     ), made AS (
       INSERT INTO lethe_control.erasure_requests AS r (id, subject_kind, store, subject_hash, key_id, kind, ground, requester, actor,
         origin, intake_id, state, received_at, clock_from, due_at, grace, identity_method, identity_at, identity_by, instruction,
         over_ceiling, waiting_for, next_at, sealed, sealed_key_id, sealed_until)
       SELECT DISTINCT ON (g.store, g.subject, g.hash) g.id, g.subject, g.store, decode(g.hash, 'hex'), g."keyId", g.kind, g.ground,
         g.requester, g.actor, g.origin, g.intake, 'received', at.t, at.t, at.t + interval '1 month',
         CASE WHEN g.kind = 'article-17'
           THEN greatest(least(g.grace, at.t + interval '1 month' - $3::interval - at.t), '0') ELSE g.grace END,
         g.method, CASE WHEN g.method IS NOT NULL THEN clock_timestamp() END, g.by, g.instruction,
         c.over, CASE WHEN c.over THEN 'ceiling' END,
         CASE WHEN c.over THEN 'infinity' ELSE clock_timestamp() END,
         decode(g.sealed, 'hex'), g."sealedKeyId", clock_timestamp() + $4::interval
       FROM given g JOIN counted c USING (ord), LATERAL (SELECT coalesce(g.received, clock_timestamp()) AS t) AS at
       ORDER BY g.store, g.subject, g.hash, g.ord
       ON CONFLICT (store, subject_kind, subject_hash) WHERE finished_at IS NULL DO NOTHING
       RETURNING r.id, r.store, r.subject_kind, r.subject_hash, r.kind, r.origin, r.due_at, r.actor, r.over_ceiling
     ), noted AS (
       INSERT INTO lethe_control.events (type, actor, data)
       SELECT 'request.received', actor, format('{"due":"%s","kind":"%s","origin":"%s","overCeiling":%s,"request":"%s"}',
         to_char(due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), kind, origin, over_ceiling::text, id)::json FROM made
     ), confirmed AS (
       UPDATE lethe_control.erasure_requests r SET identity_method = g.method, identity_at = clock_timestamp(), identity_by = g.by,
         next_at = CASE WHEN r.over_ceiling THEN r.next_at ELSE clock_timestamp() END
       FROM open JOIN given g USING (ord)
       WHERE r.id = open.id AND r.identity_method IS NULL AND g.method IS NOT NULL AND r.state = 'received'
     ), joined AS (
       INSERT INTO lethe_control.events (type, actor, data)
       SELECT 'request.joined', g.actor, format('{"kind":"%s","origin":"%s","request":"%s"}', g.kind, g.origin, open.id)::json
       FROM open JOIN given g USING (ord) JOIN lethe_control.erasure_requests r ON r.id = open.id
       WHERE r.intake_id IS DISTINCT FROM g.intake OR g.intake IS NULL
     )
     SELECT g.ord, m.id, m.over_ceiling AS over FROM given g JOIN made m
       ON m.store = g.store AND m.subject_kind = g.subject AND m.subject_hash = decode(g.hash, 'hex')
     WHERE g.ord NOT IN (SELECT ord FROM open)`,
    [JSON.stringify(rows), limits.ceiling, limits.slowest, limits.keep],
  )
  const open = await tx.query(
    z.object({ ord: z.coerce.number(), id: z.string(), over: z.boolean() }),
    `WITH given AS (
       SELECT * FROM json_to_recordset($1::json) AS g(ord int, store text, subject text, hashes text[], intake uuid)
     ) ${joins}`,
    [JSON.stringify(rows)],
  )
  const own = new Map(found.map((row) => [row.ord, row]))
  const all = new Map(open.map((row) => [row.ord, row]))
  const first = new Set<string>()
  const results = requests.map((_, ord) => {
    const row = own.get(ord) ?? all.get(ord)
    const id = row?.id ?? ''
    const joined = !own.has(ord) || first.has(id)
    first.add(id)
    return { id, joined, overCeiling: row?.over ?? false }
  })
  const others = results.flatMap(({ id }, ord) => {
    const intake = requests[ord]?.intakeId
    return intake === undefined || intake === id ? [] : [{ intake, id }]
  })
  await tx.execute(
    `INSERT INTO lethe_control.erasure_joined (intake_id, request_id) SELECT * FROM unnest($1::uuid[], $2::uuid[])
     ON CONFLICT DO NOTHING`,
    [others.map(({ intake }) => intake), others.map(({ id }) => id)],
  )
  return results
}

/** The request that an application's id leads to: the one it joined, or its own. */
export async function joinedBy(db: Queryable, intakeId: string): Promise<string> {
  const [row] = await db.query(
    z.object({ id: z.string() }),
    `SELECT request_id AS id FROM lethe_control.erasure_joined WHERE intake_id = $1`,
    [intakeId],
  )
  return row?.id ?? intakeId
}
