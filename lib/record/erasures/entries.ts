/**
 * The erasure ledger: durable before the first destructive call, never updated; what did not happen after all is voided
 * by a further entry. A subject is a keyed hash (lib/base/keystore), so nothing here names anyone.
 */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { journalSql, type JournalObject } from './objects.ts'
import { fenced, type Claim } from '../ledger/index.ts'

export interface ErasureScope {
  runId: string
  store: string
  subjectKind: string
  mapVersion: string
  planHash: string
  /** Where a run works under several plans at once: what tells them apart. */
  variant?: string
}

export interface OpenedScope extends ErasureScope {
  id: string
}

/**
 * The run's scope in this store, made at the first call. Throws E_SCOPE_CHANGED where the run goes on under another map
 * or plan than it recorded: what executes must be what the ledger says.
 */
export async function openScope(control: Queryable, scope: ErasureScope): Promise<string> {
  const values = [
    scope.runId,
    scope.store,
    scope.subjectKind,
    scope.mapVersion,
    scope.planHash,
    scope.variant ?? '',
  ]
  await control.execute(
    `INSERT INTO lethe_control.erasure_scopes (run_id, store, subject_kind, map_version, plan_hash, variant)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (run_id, store, variant) DO NOTHING`,
    values,
  )
  const [row] = await control.query(
    z.object({ id: z.string(), same: z.boolean() }),
    `SELECT id, (subject_kind, map_version, plan_hash) = ($3, $4, $5) AS same
     FROM lethe_control.erasure_scopes WHERE run_id = $1 AND store = $2 AND variant = $6`,
    values,
  )
  if (row?.same === true) return row.id
  throw new LetheError('E_SCOPE_CHANGED', {
    message: `Run ${scope.runId} recorded another map or plan for store ${scope.store} than it has now.`,
    left: 'What was removed so far stands in the ledger; nothing more was removed.',
    facts: { run: scope.runId, store: scope.store },
  })
}

/** `$3` is the scope; `given` are the hashes, each once; `held` is the run while the claim is still its newest. */
const inserts = {
  erase: `INSERT INTO lethe_control.erasures (scope_id, entry, subject_hash, key_id)
     SELECT $3::bigint, 'erase', g.hash, g.key_id FROM held, given g
     WHERE (SELECT e.entry FROM lethe_control.erasures e
            WHERE e.scope_id = $3::bigint AND e.subject_hash = g.hash ORDER BY e.id DESC LIMIT 1)
       IS DISTINCT FROM 'erase'`,
  void: `INSERT INTO lethe_control.erasures (scope_id, entry, subject_hash, key_id)
     SELECT $3::bigint, 'void', g.hash, last.key_id FROM held, given g, LATERAL (
       SELECT e.entry, e.key_id FROM lethe_control.erasures e
       WHERE e.scope_id = $3::bigint AND e.subject_hash = g.hash ORDER BY e.id DESC LIMIT 1
     ) AS last
     WHERE last.entry = 'erase'`,
} as const

/**
 * Writes one `erase` entry for each hash that has no live one in this scope; durable on return; idempotent. Returns how
 * many were new. Throws E_FENCED. One statement: the run's row is locked FOR SHARE, so a takeover waits for the commit
 * and its holder sees these entries.
 */
export async function writeErasures(
  control: Queryable,
  run: Claim,
  scopeId: string,
  entries: readonly { hash: Buffer; keyId: string }[],
): Promise<number> {
  return (await write(control, run, 'erase', scopeId, entries)).written
}

/** Voids the live entries of these hashes: they did not go. Idempotent. Returns how many. Throws E_FENCED. */
export async function voidErasures(
  control: Queryable,
  run: Claim,
  scopeId: string,
  hashes: readonly Buffer[],
): Promise<number> {
  return (await write(control, run, 'void', scopeId, withoutKey(hashes))).written
}

/** What became of entries whose object for the bucket was written by the same statement. */
export interface Journalled {
  /** Entries that were new. */
  written: number
  /** The object that holds them; null: nothing was new. */
  object: JournalObject | null
  /** Whatever stands before the object is in the bucket; where there is none, all that was written before this. */
  complete: boolean
}

/** As `writeErasures` in a scope that is open, and their object of the journal with them: still one statement. */
export async function journalErasures(
  control: Queryable,
  run: Claim,
  scope: OpenedScope,
  entries: readonly { hash: Buffer; keyId: string }[],
): Promise<Journalled> {
  return write(control, run, 'erase', scope.id, entries, scope)
}

/** As `voidErasures`, with their object of the journal. */
export async function journalVoids(
  control: Queryable,
  run: Claim,
  scope: OpenedScope,
  hashes: readonly Buffer[],
): Promise<Journalled> {
  return write(control, run, 'void', scope.id, withoutKey(hashes), scope)
}

/** The key of a void is that of the entry it voids. */
function withoutKey(hashes: readonly Buffer[]): { hash: Buffer; keyId: string }[] {
  return hashes.map((hash) => ({ hash, keyId: '' }))
}

const outcome = z.object({
  held: z.boolean(),
  written: z.coerce.number(),
  number: z.coerce.number().nullable().default(null),
  body: z.string().nullable().default(null),
  complete: z.boolean().default(true),
})

/** `journal`: what the entries' object says of their scope; absent: they get none. */
async function write(
  control: Queryable,
  run: Claim,
  entry: keyof typeof inserts,
  scopeId: string,
  entries: readonly { hash: Buffer; keyId: string }[],
  journal?: ErasureScope,
): Promise<Journalled> {
  if (entries.length === 0) return { written: 0, object: null, complete: true }
  const { parts, columns } = journal === undefined ? { parts: '', columns: '' } : journalSql('$6', '$7')
  const [row] = await control.query(
    outcome,
    `WITH held AS (
       SELECT id FROM lethe_control.runs WHERE id = $1 AND fence = $2 AND state = 'running' FOR SHARE
     ), given AS (
       SELECT DISTINCT ON (hash) hash, key_id FROM unnest($4::bytea[], $5::text[]) AS u(hash, key_id) ORDER BY hash
     ), written AS (
       ${inserts[entry]} RETURNING subject_hash, key_id
     )${parts}
     SELECT EXISTS (SELECT FROM held) AS held, (SELECT count(*) FROM written) AS written${columns}`,
    [
      run.id,
      run.fence.toString(),
      scopeId,
      entries.map(({ hash }) => hash),
      entries.map(({ keyId }) => keyId),
      ...(journal === undefined ? [] : [journal.runId, JSON.stringify(aboutOf(entry, journal))]),
    ],
  )
  if (row?.held !== true) throw fenced(run)
  const { written, number, body, complete } = row
  return { written, object: number === null || body === null ? null : { number, body }, complete }
}

function aboutOf(entry: keyof typeof inserts, { store, subjectKind, mapVersion, planHash }: ErasureScope) {
  return { entry, store, subjectKind, mapVersion, planHash }
}

const voided = z
  .object({
    run_id: z.string(),
    store: z.string(),
    map_version: z.string(),
    plan_hash: z.string(),
    key_id: z.string(),
    hash: z.instanceof(Buffer),
  })
  .transform((row) => ({
    runId: row.run_id,
    store: row.store,
    mapVersion: row.map_version,
    planHash: row.plan_hash,
    keyId: row.key_id,
    hash: row.hash,
  }))
export type VoidedErasure = z.infer<typeof voided>

/**
 * Voids what runs of this kind wrote since then about these hashes, whichever run it was: a request outlives its runs.
 * Idempotent. The caller holds the lock that keeps new entries of theirs from being written (lockRequests).
 */
export async function voidErasuresSince(
  tx: Queryable,
  about: {
    runKind: string
    subjectKind: string
    hashes: readonly Buffer[]
    since: Date
    /** Absent: in every store. */
    stores?: readonly string[]
  },
): Promise<VoidedErasure[]> {
  return tx.query(
    voided,
    `WITH newest AS (
       SELECT DISTINCT ON (e.scope_id, e.subject_hash) e.scope_id, e.subject_hash, e.key_id, e.entry, e.at
       FROM lethe_control.erasures e JOIN lethe_control.erasure_scopes s ON s.id = e.scope_id
         JOIN lethe_control.runs r ON r.id = s.run_id
       WHERE e.subject_hash = ANY ($1::bytea[]) AND s.subject_kind = $2 AND r.kind = $3
         AND ($5::text[] IS NULL OR s.store = ANY ($5))
       ORDER BY e.scope_id, e.subject_hash, e.id DESC
     ), written AS (
       INSERT INTO lethe_control.erasures (scope_id, entry, subject_hash, key_id)
       SELECT scope_id, 'void', subject_hash, key_id FROM newest WHERE entry = 'erase' AND at > $4
       RETURNING scope_id, subject_hash, key_id
     )
     SELECT s.run_id, s.store, s.map_version, s.plan_hash, w.key_id, w.subject_hash AS hash
     FROM written w JOIN lethe_control.erasure_scopes s ON s.id = w.scope_id ORDER BY s.id, w.subject_hash`,
    [about.hashes, about.subjectKind, about.runKind, about.since, about.stores ?? null],
  )
}

export interface LiveErasure {
  hash: Buffer
  keyId: string
}

const live = z
  .object({ hash: z.instanceof(Buffer), key_id: z.string() })
  .transform((row): LiveErasure => ({ hash: row.hash, keyId: row.key_id }))

/** Entries of a scope that are neither voided nor followed by a return, in hash order; page on with `after`. */
export async function liveErasures(
  control: Queryable,
  scopeId: string,
  page: { after?: Buffer; limit?: number } = {},
): Promise<LiveErasure[]> {
  return control.query(
    live,
    `SELECT hash, key_id FROM (
       SELECT DISTINCT ON (subject_hash) subject_hash AS hash, key_id, entry FROM lethe_control.erasures
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

/** The scope's subjects were read back and found absent. The first such instant stays. */
export async function markVerified(control: Queryable, scopeId: string): Promise<void> {
  await control.execute(
    `UPDATE lethe_control.erasure_scopes SET verified_at = clock_timestamp() WHERE id = $1 AND verified_at IS NULL`,
    [scopeId],
  )
}
