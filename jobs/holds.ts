/**
 * Legal holds: recorded in control (the key sealed, nothing in clear), projected into the target where the deleting
 * statements check them. When `addHold` returns, no batch can remove what it holds; what was gone before is reported.
 */
import './errors.ts'
import { z } from 'zod'
import { newId } from '../lib/base/clock/index.ts'
import type { Database, Queryable } from '../lib/base/db/index.ts'
import { parseTableName, tableKey } from '../lib/data/datamap/index.ts'
import { rootKeyText, rootTable, takeHoldLock } from '../lib/data/rows/index.ts'
import { LetheError } from '../lib/base/errors/index.ts'
import { authorise, verbs, type Attested, type Decided } from '../lib/people/identity/index.ts'
import { appendEvent } from '../lib/record/evidence/index.ts'
import { reasonOf, storeStatement } from '../lib/record/ledger/index.ts'
import type { Context } from './context.ts'
import { loadPlan } from './deletion-plan.ts'
import { canonicalHold } from './hold-key.ts'

export const holdLevels = ['row', 'subject', 'table', 'tenant'] as const
export const holdKinds = [
  'legal-claim',
  'inquiry-moratorium',
  'access-request',
  'restriction',
  'complaint',
] as const
export type HoldLevel = (typeof holdLevels)[number]
export type HoldKind = (typeof holdKinds)[number]

export interface NewHold {
  level: HoldLevel
  store: string
  /** Subject and tenant levels; for tenant, absent means every kind of subject. */
  subject?: string
  /** Row and table levels: `schema.table`. */
  table?: string
  /** Row: the table's primary key; subject: the root's key; tenant: one value. */
  key?: readonly string[]
  kind: HoldKind
  owner: string
  reason: string
  /** A day, `YYYY-MM-DD`: when someone must look whether it is still needed. */
  reviewAt: string
  /** The erasure request on whose person it is set. */
  request?: string
}

export interface HoldAdded {
  id: string
  /** Subject level: the subject was erased before (in whole or begun in pieces). Null: can't be known at this level. */
  alreadyGone: boolean | null
  /** Subject and row level: whether such a row is there now; neither found nor gone, the key may be a slip. Null: other levels. */
  found: boolean | null
}

/** The key stands in it as a keyed hash: a statement is kept until somebody erases it. */
export function holdStatement(context: Pick<Context, 'vault'>, hold: NewHold): Decided {
  return {
    verb: 'hold.add',
    object: `${hold.level} ${hold.subject ?? hold.table ?? hold.store}`,
    facts: {
      store: hold.store,
      kind: hold.kind,
      owner: hold.owner,
      reviewAt: hold.reviewAt,
      key:
        hold.key === undefined
          ? null
          : context.vault.subjectHash(hold.store, `hold:${hold.level}`, hold.key).toString('hex'),
    },
    reason: hold.reason,
  }
}

export function releaseStatement(holdId: string, reason: string): Decided {
  return { verb: 'hold.release', object: holdId, facts: {}, reason }
}

/** A batch holds the lock shared for its target duration; a piece or a slow one a little longer. */
const LOCK_WAIT_MS = 60_000

/**
 * Throws E_HOLD_KEY where level and key don't fit, E_NOT_FOUND for an unknown subject or table. Where the projection fails
 * (E_LOCK_TIMEOUT, E_DATABASE_UNAVAILABLE) the hold is recorded all the same, and the error says what it does not stop yet.
 */
export async function addHold(context: Context, given: NewHold, by: Attested): Promise<HoldAdded> {
  authorise(by.identity, verbs['hold.add'])
  checkShape(context, given)
  const target = await context.target(given.store)
  const { hold, found } = await canonicalHold(context, target, given)
  const id = newId()
  const sealed = hold.key === undefined ? null : context.vault.seal(JSON.stringify(hold.key))
  await context.control.transaction(
    async (tx) => {
      const statement = await storeStatement(tx, by)
      await tx.execute(
        `INSERT INTO lethe_control.holds (id, level, store, subject_kind, table_name, key_hash, key_cipher, key_id, kind, owner,
           review_at, created_by, method, statement_hash, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, decode($14, 'hex'), $15)`,
        [
          id,
          hold.level,
          hold.store,
          hold.subject ?? null,
          ownTableName(hold),
          hold.level === 'subject' && hold.key
            ? context.vault.subjectHash(hold.store, hold.subject ?? '', hold.key)
            : null,
          sealed?.cipher ?? null,
          sealed?.keyId ?? null,
          hold.kind,
          hold.owner,
          hold.reviewAt,
          by.identity.name,
          by.identity.method,
          statement,
          hold.request ?? null,
        ],
      )
      await appendEvent(tx, {
        type: 'hold.added',
        actor: by.identity.name,
        data: {
          hold: id,
          level: hold.level,
          kind: hold.kind,
          store: hold.store,
          method: by.identity.method,
          statement,
        },
      })
    },
    { retry: true },
  )
  await projectAdded(context, id, hold, target)
  return { id, alreadyGone: hold.level === 'subject' ? await isGone(context, target, hold) : null, found }
}

async function projectAdded(context: Context, id: string, hold: NewHold, target: Database): Promise<void> {
  try {
    await projectHolds(context, hold.store, target)
  } catch (error) {
    if (!(error instanceof LetheError)) throw error
    throw new LetheError(error.code, {
      message: `Hold ${id} is recorded, but could not be written into store ${hold.store}: ${error.message}`,
      left: 'Sweeps that begin from now on obey it; one that is deleting at this moment does not see it yet.',
      next: 'Pause the runs of this store (lethe retention pause), then add the hold again.',
      facts: { ...error.facts, hold: id },
      cause: error,
    })
  }
}

/** Idempotent; what was held is due again at the next proposal. Throws E_NOT_FOUND. */
export async function releaseHold(context: Context, id: string, by: Attested): Promise<void> {
  authorise(by.identity, verbs['hold.release'])
  const store = await context.control.transaction(
    async (tx) => {
      const [found] = await tx.query(
        z.object({ store: z.string(), released: z.boolean() }),
        `SELECT store, released_at IS NOT NULL AS released FROM lethe_control.holds WHERE id::text = $1 FOR UPDATE`,
        [id],
      )
      if (found === undefined)
        throw new LetheError('E_NOT_FOUND', {
          message: `There is no hold ${id}.`,
          next: 'See `lethe hold list`.',
        })
      if (found.released) return found.store
      const statement = await storeStatement(tx, by)
      await tx.execute(
        `UPDATE lethe_control.holds SET released_by = $2, release_hash = decode($3, 'hex'), released_at = now()
         WHERE id::text = $1`,
        [id, by.identity.name, statement],
      )
      await appendEvent(tx, {
        type: 'hold.released',
        actor: by.identity.name,
        data: { hold: id, method: by.identity.method, statement },
      })
      return found.store
    },
    { retry: true },
  )
  await projectHolds(context, store, await context.target(store))
}

const listed = z
  .object({
    id: z.string(),
    level: z.enum(holdLevels),
    store: z.string(),
    subject: z.string().nullable(),
    table: z.string().nullable(),
    /** The erasure request by which it was set. */
    request: z.string().nullable(),
    kind: z.enum(holdKinds),
    owner: z.string(),
    reviewAt: z.string(),
    overdue: z.boolean(),
    createdBy: z.string(),
    createdAt: z.date(),
    releasedAt: z.date().nullable(),
    projected: z.boolean(),
    /** Hashes of what was signed, in hex. */
    statement: z.string(),
    releaseStatement: z.string().nullable(),
    text: z.string().nullable(),
    releaseText: z.string().nullable(),
  })
  .transform(({ text, releaseText, ...hold }) => ({
    ...hold,
    reason: reasonOf(text),
    releaseReason: hold.releaseStatement === null ? null : reasonOf(releaseText),
  }))
export type Hold = z.infer<typeof listed>

export async function listHolds(
  context: Context,
  filter: { overdue?: boolean; released?: boolean } = {},
): Promise<Hold[]> {
  return context.control.query(
    listed,
    `SELECT id, level, store, subject_kind AS subject, table_name AS "table", request_id AS request, kind, owner, review_at::text AS "reviewAt",
       released_at IS NULL AND review_at < current_date AS overdue, created_by AS "createdBy", created_at AS "createdAt",
       released_at AS "releasedAt", projected_at IS NOT NULL AS projected,
       encode(statement_hash, 'hex') AS statement, s.statement AS text,
       encode(release_hash, 'hex') AS "releaseStatement", r.statement AS "releaseText"
     FROM lethe_control.holds h JOIN lethe_control.statements s ON s.hash = h.statement_hash
     LEFT JOIN lethe_control.statements r ON r.hash = h.release_hash
     WHERE ($1 OR released_at IS NULL) AND (NOT $2 OR (released_at IS NULL AND review_at < current_date)) ORDER BY created_at`,
    [filter.released ?? false, filter.overdue ?? false],
  )
}

export async function countOverdueHolds(control: Queryable): Promise<number> {
  const [row] = await control.query(
    z.object({ n: z.coerce.number() }),
    `SELECT count(*) AS n FROM lethe_control.holds WHERE released_at IS NULL AND review_at < current_date`,
  )
  return row?.n ?? 0
}

const stored = z.object({
  id: z.string(),
  level: z.enum(holdLevels),
  subject_kind: z.string().nullable(),
  table_name: z.string().nullable(),
  key_cipher: z.instanceof(Buffer).nullable(),
  key_id: z.string().nullable(),
  kind: z.string(),
})

/**
 * Makes the target's projection equal to the record: every sweep does it first, because a restored target has the holds
 * of its backup. One transaction under the exclusive hold lock; idempotent.
 */
export async function projectHolds(context: Context, store: string, target: Database): Promise<void> {
  const { control, vault } = context
  const projected = await target.transaction(
    async (tx) => {
      await takeHoldLock(tx)
      // read after the lock is ours: whoever projects later reads a newer record
      const active = await control.query(
        stored,
        `SELECT id, level, subject_kind, table_name, key_cipher, key_id, kind FROM lethe_control.holds
         WHERE store = $1 AND released_at IS NULL`,
        [store],
      )
      await tx.execute(`DELETE FROM lethe.holds WHERE NOT id = ANY($1::uuid[])`, [
        active.map((hold) => hold.id),
      ])
      for (const hold of active) {
        const key =
          hold.key_cipher === null || hold.key_id === null
            ? null
            : z.array(z.string()).parse(JSON.parse(vault.open(hold.key_id, hold.key_cipher).toString()))
        await tx.execute(
          `INSERT INTO lethe.holds (id, level, subject_kind, table_name, key, kind) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (id) DO UPDATE SET level = EXCLUDED.level, subject_kind = EXCLUDED.subject_kind,
             table_name = EXCLUDED.table_name, key = EXCLUDED.key, kind = EXCLUDED.kind`,
          [hold.id, hold.level, hold.subject_kind, hold.table_name, key, hold.kind],
        )
      }
      return active.map((hold) => hold.id)
    },
    { lockTimeoutMs: LOCK_WAIT_MS, statementTimeoutMs: LOCK_WAIT_MS, retry: true },
  )
  await noteProjected(control, store, projected)
}

/** Only the holds that were read under the lock: one that was added since is projected by whoever added it. */
async function noteProjected(control: Database, store: string, projected: readonly string[]): Promise<void> {
  await control.transaction(
    async (tx) => {
      const fresh = await tx.query(
        z.object({ id: z.string() }),
        `UPDATE lethe_control.holds SET projected_at = now() WHERE id = ANY($1::uuid[]) AND projected_at IS NULL RETURNING id`,
        [projected],
      )
      for (const { id } of fresh) await appendEvent(tx, { type: 'hold.projected', data: { hold: id, store } })
      await tx.execute(
        `UPDATE lethe_control.holds SET unprojected_at = now()
         WHERE store = $1 AND released_at IS NOT NULL AND unprojected_at IS NULL AND NOT id = ANY($2::uuid[])`,
        [store, projected],
      )
    },
    { retry: true },
  )
}

/** In the ledger as erased, or begun in pieces: either way it can't be kept whole any more. */
async function isGone(context: Context, target: Database, hold: NewHold): Promise<boolean> {
  const kind = hold.subject ?? ''
  const key = hold.key ?? []
  const hashes = context.vault.keyIds.map((keyId) => context.vault.subjectHash(hold.store, kind, key, keyId))
  const [ledger] = await context.control.query(
    z.object({ gone: z.boolean() }),
    `SELECT coalesce((SELECT e.entry = 'erase' FROM lethe_control.erasures e WHERE e.subject_hash = ANY($1::bytea[])
       ORDER BY e.id DESC LIMIT 1), false) AS gone`,
    [hashes],
  )
  if (ledger?.gone !== true) return false
  // an entry stands ahead of destruction: what counts is whether the row is still there, whole
  const plan = await loadPlan(context, hold.store, { subject: kind })
  const [row] = await target.query(
    z.object({ whole: z.boolean() }),
    `SELECT EXISTS (SELECT FROM ${rootTable(plan)} AS root WHERE ${rootKeyText(plan)} = $1::text[])
       AND NOT EXISTS (SELECT FROM lethe.removing r WHERE r.subject_kind = $2 AND r.root_key = $1::text[])
       AND NOT EXISTS (SELECT FROM lethe.kept_roots k WHERE k.subject_kind = $2 AND k.root_key = $1::text[]) AS whole`,
    [key, kind],
  )
  return row?.whole !== true
}

/** As the deleting statements compare it. */
function ownTableName(hold: NewHold): string | null {
  const parsed = hold.table === undefined ? null : parseTableName(hold.table)
  return parsed === null ? null : tableKey(parsed)
}

function checkShape(context: Context, hold: NewHold): void {
  const wrong = (message: string) =>
    new LetheError('E_HOLD_KEY', { message: `A hold at ${hold.level} level ${message}.` })
  const { subjects, tables } = context.config.file
  const wants = {
    row: ['table', 'key'],
    subject: ['subject', 'key'],
    table: ['table'],
    tenant: ['key'],
  } as const
  for (const name of wants[hold.level]) if (hold[name] === undefined) throw wrong(`needs a ${name}`)
  if (hold.subject !== undefined && subjects[hold.subject]?.store !== hold.store)
    throw new LetheError('E_NOT_FOUND', {
      message: `The map has no subject ${hold.subject} in store ${hold.store}.`,
      next: 'Name one of the subjects in lethe.yaml, of that store.',
    })
  if (hold.table !== undefined && tables[hold.store]?.[hold.table] === undefined)
    throw new LetheError('E_NOT_FOUND', {
      message: `The map has no table ${hold.table} in store ${hold.store}.`,
      next: 'Name one of the tables in lethe.yaml, with its schema: public.patients.',
    })
}
