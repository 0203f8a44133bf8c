/**
 * Legal holds: recorded in control (the key sealed, nothing in clear), projected into the target where the deleting
 * statements check them. When `addHold` returns, no batch can remove what it holds; what was gone before is reported.
 */
import { z } from 'zod'
import { newId } from '../../lib/clock/index.ts'
import type { Database, Queryable } from '../../lib/db/index.ts'
import { parseTableName, tableKey } from '../../lib/datamap/index.ts'
import { takeHoldLock } from '../../lib/erasers/index.ts'
import { LetheError } from '../../lib/errors/index.ts'
import { authorise, verbs, type Attested } from '../../lib/identity/index.ts'
import { appendEvent } from '../../lib/ledger/index.ts'
import type { Context } from '../context.ts'
import { loadPlan } from './plan.ts'
import { rootKeySql, rootTableSql } from './rules.ts'

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
}

export interface HoldAdded {
  id: string
  /** Subject level: the subject was erased before (in whole or begun in pieces). Null: can't be known at this level. */
  alreadyGone: boolean | null
}

/** A batch holds the lock shared for its target duration; a piece or a slow one a little longer. */
const LOCK_WAIT_MS = 60_000

/** Throws E_HOLD_KEY where level and key don't fit, E_NOT_FOUND for an unknown subject or table, E_LOCK_TIMEOUT. */
export async function addHold(context: Context, hold: NewHold, by: Attested): Promise<HoldAdded> {
  authorise(by.identity, verbs['hold.add'])
  checkShape(context, hold)
  const target = await context.target(hold.store)
  const id = newId()
  const sealed = hold.key === undefined ? null : context.vault.seal(JSON.stringify(hold.key))
  await context.control.transaction(
    async (tx) => {
      await tx.execute(
        `INSERT INTO lethe_control.holds (id, level, store, subject_kind, table_name, key_hash, key_cipher, key_id, kind, owner,
           reason, review_at, created_by, method, statement, signature)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
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
          hold.reason,
          hold.reviewAt,
          by.identity.name,
          by.identity.method,
          by.statement,
          by.signature,
        ],
      )
      await appendEvent(tx, {
        type: 'hold.added',
        actor: by.identity.name,
        data: { hold: id, level: hold.level, kind: hold.kind, store: hold.store, method: by.identity.method },
      })
    },
    { retry: true },
  )
  await projectHolds(context, hold.store, target)
  return { id, alreadyGone: hold.level === 'subject' ? await isGone(context, target, hold) : null }
}

/** Idempotent; what was held is due again at the next proposal. Throws E_NOT_FOUND. */
export async function releaseHold(context: Context, id: string, reason: string, by: Attested): Promise<void> {
  authorise(by.identity, verbs['hold.release'])
  const [released] = await context.control.query(
    z.object({ store: z.string() }),
    `UPDATE lethe_control.holds SET released_by = coalesce(released_by, $2), released_reason = coalesce(released_reason, $3),
       released_at = coalesce(released_at, now()) WHERE id::text = $1 RETURNING store`,
    [id, by.identity.name, reason],
  )
  if (released === undefined)
    throw new LetheError('E_NOT_FOUND', {
      message: `There is no hold ${id}.`,
      next: 'See `lethe hold list`.',
    })
  await appendEvent(context.control, {
    type: 'hold.released',
    actor: by.identity.name,
    data: { hold: id, method: by.identity.method },
  })
  await projectHolds(context, released.store, await context.target(released.store))
}

const listed = z.object({
  id: z.string(),
  level: z.enum(holdLevels),
  store: z.string(),
  subject: z.string().nullable(),
  table: z.string().nullable(),
  kind: z.enum(holdKinds),
  owner: z.string(),
  reason: z.string(),
  reviewAt: z.string(),
  overdue: z.boolean(),
  createdBy: z.string(),
  createdAt: z.date(),
  releasedAt: z.date().nullable(),
  projected: z.boolean(),
})
export type Hold = z.infer<typeof listed>

export async function listHolds(
  context: Context,
  filter: { overdue?: boolean; released?: boolean } = {},
): Promise<Hold[]> {
  return context.control.query(
    listed,
    `SELECT id, level, store, subject_kind AS subject, table_name AS "table", kind, owner, reason, review_at::text AS "reviewAt",
       released_at IS NULL AND review_at < current_date AS overdue, created_by AS "createdBy", created_at AS "createdAt",
       released_at AS "releasedAt", projected_at IS NOT NULL AS projected
     FROM lethe_control.holds
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
  await target.transaction(
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
           ON CONFLICT (id) DO NOTHING`,
          [hold.id, hold.level, hold.subject_kind, hold.table_name, key, hold.kind],
        )
      }
    },
    { lockTimeoutMs: LOCK_WAIT_MS, retry: true },
  )
  await control.execute(
    `UPDATE lethe_control.holds SET projected_at = coalesce(projected_at, now()),
       unprojected_at = CASE WHEN released_at IS NOT NULL THEN coalesce(unprojected_at, now()) END WHERE store = $1`,
    [store],
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
    `SELECT EXISTS (SELECT FROM ${rootTableSql(plan)} AS root WHERE ${rootKeySql(plan)} = $1::text[])
       AND NOT EXISTS (SELECT FROM lethe.population p WHERE p.root_key = $1::text[] AND p.state = 'removing') AS whole`,
    [key],
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
    })
  if (hold.table !== undefined && tables[hold.store]?.[hold.table] === undefined)
    throw new LetheError('E_NOT_FOUND', {
      message: `The map has no table ${hold.table} in store ${hold.store}.`,
    })
}
