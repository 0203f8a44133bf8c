/**
 * Entries of the erasure ledger: durable before the first destructive call, never updated; what did not happen after all is
 * voided by a further entry. A subject is a keyed hash (lib/base/keystore), so nothing here names anyone.
 */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import { hashVersions, type HashVersion } from '../../base/keystore/index.ts'
import { fenced, heldRun, runKind, type Claim } from '../ledger/index.ts'
import { objectsSql, type LedgerObject } from './objects.ts'

/** `reinstated` is for the replay: a subject who returned under the same key. */
export const erasureEntries = ['erase', 'void', 'reinstated'] as const

/** Subjects of one scope. */
export interface ScopedHashes {
  scopeId: string
  /** `keyId`, `version`: what the hash was made with; not read where entries are voided, since a void has those of its entry. */
  hashes: readonly { hash: Buffer; keyId: string; version: HashVersion }[]
}

/** What one statement wrote. */
export interface Written {
  /** Entries that were new. */
  entries: number
  /** The object that holds them; null: nothing was new, or no object was asked for. */
  object: LedgerObject | null
  /** Whatever stands before the object is in the bucket; where there is none, all that was written before this. */
  complete: boolean
}

/** `given` are the hashes, each once a scope; `held` is the run while the claim is still its newest. */
const inserts = {
  erase: `INSERT INTO lethe_control.erasures (scope_id, entry, subject_hash, key_id, hash_version)
     SELECT g.scope_id, 'erase', g.hash, g.key_id, g.version FROM held, given g
     WHERE (SELECT e.entry FROM lethe_control.erasures e
            WHERE e.scope_id = g.scope_id AND e.subject_hash = g.hash ORDER BY e.id DESC LIMIT 1)
       IS DISTINCT FROM 'erase'`,
  void: `INSERT INTO lethe_control.erasures (scope_id, entry, subject_hash, key_id, hash_version)
     SELECT g.scope_id, 'void', g.hash, last.key_id, last.hash_version FROM held, given g, LATERAL (
       SELECT e.entry, e.key_id, e.hash_version FROM lethe_control.erasures e
       WHERE e.scope_id = g.scope_id AND e.subject_hash = g.hash ORDER BY e.id DESC LIMIT 1
     ) AS last
     WHERE last.entry = 'erase'`,
} as const

const outcome = z.object({
  held: z.boolean(),
  entries: z.coerce.number(),
  number: z.coerce.number().nullable().default(null),
  body: z.string().nullable().default(null),
  complete: z.boolean().default(true),
})

/**
 * Writes one entry for each hash whose newest entry in its scope is not of this kind already (`void`: whose newest is `erase`),
 * and with `object` the object that holds the new ones; idempotent. Durable on return, outside a transaction. One statement:
 * the run's row is locked FOR SHARE, so a takeover waits for the commit and its holder sees these entries. Throws E_FENCED.
 */
export async function writeEntries(
  control: Queryable,
  claim: Claim,
  entry: keyof typeof inserts,
  scoped: readonly ScopedHashes[],
  { object }: { object: boolean },
): Promise<Written> {
  const [scopeIds, hashes, keyIds, versions]: [string[], Buffer[], string[], number[]] = [[], [], [], []]
  for (const { scopeId, hashes: some } of scoped)
    for (const { hash, keyId, version } of some) {
      scopeIds.push(scopeId)
      hashes.push(hash)
      keyIds.push(keyId)
      versions.push(version)
    }
  if (hashes.length === 0) return { entries: 0, object: null, complete: true }
  const { parts, columns } = object ? objectsSql : { parts: '', columns: '' }
  const [row] = await control.query(
    outcome,
    `WITH held AS (
       ${heldRun('$1', '$2')}
     ), given AS (
       SELECT DISTINCT ON (scope_id, hash) scope_id, hash, key_id, version
       FROM unnest($3::bigint[], $4::bytea[], $5::text[], $6::smallint[]) AS u(scope_id, hash, key_id, version) ORDER BY scope_id, hash
     ), written AS (
       ${inserts[entry]} RETURNING scope_id, entry, subject_hash, key_id, hash_version
     )${parts}
     SELECT EXISTS (SELECT FROM held) AS held, (SELECT count(*) FROM written) AS entries${columns}`,
    [claim.id, claim.fence.toString(), scopeIds, hashes, keyIds, versions],
  )
  if (row?.held !== true) throw fenced(claim)
  const { entries, number, body, complete } = row
  return { entries, object: number === null || body === null ? null : { number, body }, complete }
}

/**
 * Voids what runs of this kind wrote since then about these hashes, whichever run it was: a request outlives its runs. The
 * objects that say so are written with it, one a run. Idempotent. Returns how many were voided. The caller holds the lock that
 * keeps new entries of theirs from being written (lockRequests).
 */
export async function voidEntriesSince(
  tx: Queryable,
  about: {
    runKind: string
    subjectKind: string
    hashes: readonly Buffer[]
    since: Date
    /** Absent: in every store. */
    stores?: readonly string[]
  },
): Promise<number> {
  const [row] = await tx.query(
    z.object({ entries: z.coerce.number() }),
    `WITH newest AS (
       SELECT DISTINCT ON (e.scope_id, e.subject_hash) e.scope_id, e.subject_hash, e.key_id, e.hash_version, e.entry, e.at
       FROM lethe_control.erasures e JOIN lethe_control.erasure_scopes s ON s.id = e.scope_id
       WHERE e.subject_hash = ANY ($1::bytea[]) AND s.subject_kind = $2 AND ${runKind('s.run_id')} = $3
         AND ($5::text[] IS NULL OR s.store = ANY ($5))
       ORDER BY e.scope_id, e.subject_hash, e.id DESC
     ), written AS (
       INSERT INTO lethe_control.erasures (scope_id, entry, subject_hash, key_id, hash_version)
       SELECT scope_id, 'void', subject_hash, key_id, hash_version FROM newest WHERE entry = 'erase' AND at > $4
       RETURNING scope_id, entry, subject_hash, key_id, hash_version
     )${objectsSql.parts}
     SELECT (SELECT count(*) FROM written) AS entries, (SELECT count(*) FROM object) AS objects`,
    [about.hashes, about.subjectKind, about.runKind, about.since, about.stores ?? null],
  )
  return row?.entries ?? 0
}

/** A replay hashes the subjects of a restored database with the same key and version. */
export interface LiveErasure {
  hash: Buffer
  keyId: string
  version: HashVersion
}

const live = z
  .object({ hash: z.instanceof(Buffer), key_id: z.string(), hash_version: z.literal([...hashVersions]) })
  .transform((row): LiveErasure => ({ hash: row.hash, keyId: row.key_id, version: row.hash_version }))

/** Entries of a scope that are neither voided nor followed by a return, in hash order; page on with `after`. */
export async function liveErasures(
  control: Queryable,
  scopeId: string,
  page: { after?: Buffer; limit?: number } = {},
): Promise<LiveErasure[]> {
  return control.query(
    live,
    `SELECT hash, key_id, hash_version FROM (
       SELECT DISTINCT ON (subject_hash) subject_hash AS hash, key_id, hash_version, entry FROM lethe_control.erasures
       WHERE scope_id = $1 AND ($2::bytea IS NULL OR subject_hash > $2)
       ORDER BY subject_hash, id DESC
     ) AS newest WHERE entry = 'erase' ORDER BY hash LIMIT $3`,
    [scopeId, page.after ?? null, page.limit ?? 10_000],
  )
}

export async function countLiveErasures(control: Queryable, scopeId: string): Promise<number> {
  const [row] = await control.query(
    z.object({ n: z.coerce.number() }),
    `SELECT count(*) AS n FROM (
       SELECT DISTINCT ON (subject_hash) entry FROM lethe_control.erasures WHERE scope_id = $1
       ORDER BY subject_hash, id DESC
     ) AS newest WHERE entry = 'erase'`,
    [scopeId],
  )
  return row?.n ?? 0
}
