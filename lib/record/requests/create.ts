/** New requests, one or a thousand in a statement. A person who has an open request joins it. */
import { z } from 'zod'
import { newId } from '../../base/clock/index.ts'
import type { Queryable } from '../../base/db/index.ts'
import { everySubjectHash, HASH_VERSION, type Keystore } from '../../base/keystore/index.ts'
import { rowEvent, rowEventsSql } from '../evidence/index.ts'
import { joinRequests, type Joined } from './join.ts'
import type { Limits, NewRequest } from './new-request.ts'

export interface Created {
  id: string
  /** It was open before, and this one joined it. */
  joined: boolean
  overCeiling: boolean
  /** Where it joined: what the open one was, and what it became by this. */
  was?: Joined['was']
  became?: Joined['became']
}

const standingRow = z.object({ ord: z.coerce.number(), id: z.string(), own: z.boolean(), over: z.boolean() })
const madeRow = z.object({ ord: z.coerce.number(), id: z.string(), over: z.boolean() })

/**
 * In the caller's transaction. The results stand in the order given. Someone who has an open request, under whichever key it
 * was hashed, joins it (join.ts). An application's id that was taken in before leads to what it made or joined then.
 */
export async function createRequests(
  tx: Queryable,
  keystore: Keystore,
  requests: readonly NewRequest[],
  limits: Limits,
): Promise<Created[]> {
  const rows = requests.map((request, ord) => {
    const { store, subjectKind, key, written, identity } = request
    const sealed = keystore.seal(JSON.stringify({ key, written }))
    return {
      ord,
      id: request.intakeId ?? newId(),
      kind: request.kind,
      subject: subjectKind,
      store,
      hash: keystore.subjectHash(store, subjectKind, key).toString('hex'),
      hashes: everySubjectHash(keystore, store, subjectKind, key, written).map((hash) =>
        hash.toString('hex'),
      ),
      keyId: keystore.currentKeyId,
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
      proposal: request.proposalId ?? null,
      sealed: sealed.cipher.toString('hex'),
      sealedKeyId: sealed.keyId,
    }
  })
  // One at a time may create: the ceiling counts what others have just written, and no two open the same person's twice.
  await tx.execute(`SELECT pg_advisory_xact_lock(7220145502219)`)
  const standing = new Map((await lockStanding(tx, rows)).map((row) => [row.ord, row]))
  const fresh = rows.filter(({ ord }) => !standing.has(ord))
  const made = new Map((await insert(tx, fresh, limits)).map((row) => [row.ord, row]))
  const first = new Set<string>()
  const joining: { ord: number; asked: NewRequest; id: string }[] = []
  const results = requests.map((asked, ord): Created => {
    const stood = standing.get(ord)
    const { id = '', over = false } = stood ?? made.get(ord) ?? {}
    const joined = stood !== undefined || first.has(id)
    first.add(id)
    if (joined && stood?.own !== true) joining.push({ ord, asked, id })
    return { id, joined, overCeiling: over }
  })
  const became = await joinRequests(tx, joining, limits.ceiling)
  const places = new Map(joining.map(({ ord }, place) => [ord, place]))
  return results.map((result, ord) => ({ ...result, ...became[places.get(ord) ?? -1] }))
}

/**
 * For each row the request that it stands for already, or joins: by the application's id, else by the person, two ways, each
 * by its unique index. Locked, so that none ends before what joins it is written down. Store and kind stand in the hash. The
 * LIMIT has each row looked up by itself, whatever the statistics say of a table that just grew.
 */
async function lockStanding(
  tx: Queryable,
  rows: readonly { ord: number; hashes: readonly string[]; intake: string | null }[],
): Promise<z.infer<typeof standingRow>[]> {
  return tx.query(
    standingRow,
    `WITH given AS (
       SELECT * FROM json_to_recordset($1::json) AS g(ord int, hashes text[], intake uuid)
     ), found AS (
       SELECT DISTINCT ON (ord) ord, id, own FROM (
         SELECT g.ord, r.*, false AS own FROM given g CROSS JOIN unnest(g.hashes) AS h CROSS JOIN LATERAL (
           SELECT r.id, r.received_at FROM lethe_control.erasure_requests r
           WHERE r.subject_hash = decode(h, 'hex') AND r.finished_at IS NULL LIMIT 1) AS r
         UNION ALL
         SELECT g.ord, r.id, r.received_at, true FROM given g CROSS JOIN LATERAL (
           SELECT r.id, r.received_at FROM lethe_control.erasure_requests r WHERE r.intake_id = g.intake LIMIT 1) AS r
         UNION ALL
         SELECT g.ord, j.request_id, j.received_at, true FROM given g CROSS JOIN LATERAL (
           SELECT j.request_id, j.received_at FROM lethe_control.erasure_joined j WHERE j.intake_id = g.intake LIMIT 1) AS j
       ) AS all_found ORDER BY ord, own DESC, received_at
     )
     SELECT f.ord, r.id, f.own, r.over_ceiling AS over FROM found f JOIN lethe_control.erasure_requests r ON r.id = f.id
     WHERE f.own OR r.finished_at IS NULL ORDER BY r.id FOR UPDATE OF r`,
    [JSON.stringify(rows)],
  )
}

const received = rowEvent('request.received', {
  due: `to_char(due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
  kind: 'kind',
  origin: 'origin',
  overCeiling: 'over_ceiling',
  request: 'id',
})

/** Of several rows of one person the first is made; all of them get its id. */
async function insert(
  tx: Queryable,
  rows: readonly { ord: number }[],
  limits: Limits,
): Promise<z.infer<typeof madeRow>[]> {
  if (rows.length === 0) return []
  return tx.query(
    madeRow,
    `WITH given AS (
       SELECT * FROM json_to_recordset($1::json) AS g(ord int, id uuid, kind text, subject text, store text, hash text,
         "keyId" text, ground text, requester text, actor text, origin text, intake uuid, received timestamptz, grace interval,
         method text, by text, instruction text, proposal uuid, sealed text, "sealedKeyId" text)
     ), spent AS (
       SELECT a.actor, (SELECT count(*) FROM lethe_control.erasure_requests r
           WHERE r.actor = a.actor AND r.received_at > clock_timestamp() - interval '24 hours')
         + (SELECT count(*) FROM lethe_control.erasure_joined j
           WHERE j.raised AND j.actor = a.actor AND j.at > clock_timestamp() - interval '24 hours') AS n
       FROM (SELECT DISTINCT actor FROM given) AS a
     ), counted AS (
       SELECT g.ord, g.origin <> 'sweep' AND row_number() OVER (PARTITION BY g.actor ORDER BY g.ord) + s.n > $2::int AS over
       FROM given g JOIN spent s USING (actor)
     ), made AS (
       INSERT INTO lethe_control.erasure_requests AS r (id, subject_kind, store, subject_hash, key_id, hash_version, kind, ground, requester, actor,
         origin, intake_id, state, received_at, clock_from, due_at, grace, identity_method, identity_at, identity_by, instruction,
         proposal_id, over_ceiling, waiting_for, next_at, sealed, sealed_key_id, sealed_until)
       SELECT DISTINCT ON (g.store, g.subject, g.hash) g.id, g.subject, g.store, decode(g.hash, 'hex'), g."keyId", ${HASH_VERSION}, g.kind, g.ground,
         g.requester, g.actor, g.origin, g.intake, 'received', at.t, at.t, at.t + interval '1 month',
         CASE WHEN g.kind = 'article-17'
           THEN greatest(least(g.grace, at.t + interval '1 month' - $3::interval - at.t), '0') ELSE g.grace END,
         g.method, CASE WHEN g.method IS NOT NULL THEN clock_timestamp() END, g.by, g.instruction,
         g.proposal, c.over, CASE WHEN c.over THEN 'ceiling' END,
         CASE WHEN c.over THEN 'infinity' ELSE clock_timestamp() END,
         decode(g.sealed, 'hex'), g."sealedKeyId", clock_timestamp() + $4::interval
       FROM given g JOIN counted c USING (ord), LATERAL (SELECT coalesce(g.received, clock_timestamp()) AS t) AS at
       ORDER BY g.store, g.subject, g.hash, g.ord
       ON CONFLICT (store, subject_kind, subject_hash) WHERE finished_at IS NULL DO NOTHING
       RETURNING r.id, r.store, r.subject_kind, r.subject_hash, r.kind, r.origin, r.due_at, r.actor, r.over_ceiling
     ), noted AS (
       ${rowEventsSql('made', { run: 'NULL::uuid', actor: 'actor' }, [received])}
     )
     SELECT g.ord, m.id, m.over_ceiling AS over FROM given g JOIN made m
       ON m.store = g.store AND m.subject_kind = g.subject AND m.subject_hash = decode(g.hash, 'hex')`,
    [JSON.stringify(rows), limits.ceiling, limits.slowest, limits.keep],
  )
}
