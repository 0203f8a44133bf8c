/**
 * Legal holds as the deleting statements see them. Holds are recorded in control and projected into `lethe.holds`:
 *   row      table_name + key: that table's primary key as text; the whole subject it belongs to stays
 *   subject  subject_kind + key of the root (rows merged into it count as itself)
 *   table    table_name: nothing goes that would take rows of this table
 *   tenant   key: the tenant column's value; subject_kind, where given, narrows it
 * Table names are written as `tableKey` (lib/data/datamap) writes them.
 *
 * The race between a new hold and a running batch: every batch locks lethe.holds shared before it looks, `hold add`
 * projects under the same lock taken exclusively. So a hold is either projected before a batch looks, and seen by it,
 * or it waits until that batch has committed, and reports what was already gone. LOCK TABLE is the one way to wait that
 * takes no snapshot: a batch sees one snapshot, and that must be younger than the lock.
 */
import { z } from 'zod'
import {
  baseType,
  comparesAsText,
  equalityOf,
  keyText,
  keyType,
  sqlColumn,
  sqlLiteral,
  sqlTable,
  tableKey,
} from '../../datamap/index.ts'
import type { KeyColumn, OwnerSearch } from '../../deletion/index.ts'
import { prepared, type Queryable, type Transaction } from '../../../base/db/index.ts'
import { namesRoot } from './root-sql.ts'

/** The first statement of a batch's transaction: its snapshot is taken by the next one. */
export async function shareHoldLock(tx: Transaction): Promise<void> {
  await tx.execute('LOCK TABLE lethe.holds IN ROW SHARE MODE')
}

/** For `hold add`: waits for the batches that run now, and keeps new ones out until the transaction ends. */
export async function takeHoldLock(tx: Transaction): Promise<void> {
  await tx.execute('LOCK TABLE lethe.holds IN EXCLUSIVE MODE')
}

/** A hold as a target has it; its key as the deleting statements compare it. */
export interface ProjectedHold {
  id: string
  level: string
  subjectKind: string | null
  tableName: string | null
  key: readonly string[] | null
  kind: string
}

/**
 * Under `takeHoldLock`: afterwards the target has these holds of the store and no other of it. Another store that is the same
 * database keeps its own; `active` are the holds of every store, so that one written before stores were told apart goes too.
 */
export async function replaceHolds(
  tx: Transaction,
  store: string,
  holds: readonly ProjectedHold[],
  active: readonly string[],
): Promise<void> {
  await tx.execute(`DELETE FROM lethe.holds WHERE store IN ($2, '') AND NOT id = ANY($1::uuid[])`, [
    active,
    store,
  ])
  for (const hold of holds)
    await tx.execute(
      `INSERT INTO lethe.holds (id, level, subject_kind, table_name, key, kind, store) VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (id) DO UPDATE SET level = EXCLUDED.level, subject_kind = EXCLUDED.subject_kind,
         table_name = EXCLUDED.table_name, key = EXCLUDED.key, kind = EXCLUDED.kind, store = EXCLUDED.store`,
      [hold.id, hold.level, hold.subjectKind, hold.tableName, hold.key, hold.kind, store],
    )
}

/**
 * SQL over the ids of a store's holds, in control and in a target: equal where both have the same holds. What a hold says never
 * changes, so that its id stands for it; a restored target has another version whatever it was restored to.
 */
export const HOLDS_VERSION = `coalesce(md5(string_agg(id::text, ',' ORDER BY id)), '')`

/** The version of the holds that this target has of the store. */
export async function projectedVersion(db: Queryable, store: string): Promise<string> {
  const [row] = await db.query(
    z.object({ version: z.string() }),
    prepared(`SELECT ${HOLDS_VERSION} AS version FROM lethe.holds WHERE store = $1`),
    [store],
  )
  return row?.version ?? ''
}

/** SQL: any hold stands in this target. Names no root, so a statement asks it once. */
export const ANY_HOLD = 'EXISTS (SELECT FROM lethe.holds)'

/** A kind of subject, as far as holds ask: a plan's own, or another owner's. */
export type HeldKind = Pick<OwnerSearch, 'subject' | 'root' | 'key' | 'tenant' | 'tables'>

/** SQL condition over root row `root`, without parameters: a hold of any level keeps this subject. */
export async function holdsCondition(db: Queryable, plan: HeldKind): Promise<string> {
  const tables = planTables(plan)
  const rowKeys = await primaryKeys(db, tables)
  const kind = sqlLiteral(plan.subject)
  const conditions = [
    `EXISTS (SELECT FROM lethe.holds h WHERE h.level = 'table' AND h.table_name IN (${[...tables.keys()].map(sqlLiteral).join(', ')}))`,
    ifAny(
      'subject',
      `h.subject_kind = ${kind}`,
      namesRoot(plan, 'h.key', `h.level = 'subject' AND h.subject_kind = ${kind}`),
    ),
    ...(plan.tenant === null
      ? []
      : [
          ifAny(
            'tenant',
            `(h.subject_kind IS NULL OR h.subject_kind = ${kind})`,
            // the text that the value has in each type by which a kind of subject names its tenants
            tenantIs(plan.tenant),
          ),
        ]),
    ...[...tables].map(([name, belongs]) => rowHold(name, belongs, rowKeys.get(name) ?? [])),
  ]
  return `(${conditions.join('\n OR ')})`
}

/** The outer question names no root, so it is asked once a statement; without holds that is all the check costs. */
function ifAny(level: string, narrowed: string, matches: string): string {
  const where = `h.level = '${level}' AND ${narrowed}`
  return `(EXISTS (SELECT FROM lethe.holds h WHERE ${where}) AND EXISTS (SELECT FROM lethe.holds h WHERE ${where} AND ${matches}))`
}

/** As its one text, and as it is written: a column that is text then compares by its own collation. */
function tenantIs(tenant: KeyColumn): string {
  const own = sqlColumn('root', tenant.name)
  const written = `${own}::text = ANY (h.key)`
  return comparesAsText(tenant) ? written : `(${keyText(tenant, own)} = ANY (h.key) OR ${written})`
}

function rowHold(name: string, belongs: PlanMember, key: readonly KeyPart[]): string {
  const where = `h.level = 'row' AND h.table_name = ${sqlLiteral(name)}`
  const any = `EXISTS (SELECT FROM lethe.holds h WHERE ${where})`
  // A table without a primary key can't have its rows named: `hold add` refuses them, so a hold here keeps everything.
  if (key.length === 0) return any
  // The cast stands inside the CASE: keys of other tables' holds must never be cast to this table's types.
  const same = key
    .map(
      (column, place) =>
        `${sqlColumn('t', column.name)} = (CASE WHEN ${where} THEN h.key[${place + 1}] END)::${column.type}`,
    )
    .join(' AND ')
  return `(${any} AND EXISTS (SELECT FROM lethe.holds h JOIN ${belongs.sqlName} t ON ${same} WHERE ${where} AND (${belongs.condition})))`
}

interface PlanMember {
  sqlName: string
  condition: string
}

/** Every table of the plan with the condition that ties its rows to the root; the root itself by its key. */
function planTables(plan: HeldKind): Map<string, PlanMember> {
  const members = new Map<string, PlanMember>()
  for (const entry of plan.tables)
    members.set(tableKey(entry.table), { sqlName: sqlTable(entry.table), condition: entry.belongs })
  members.set(tableKey(plan.root), {
    sqlName: sqlTable(plan.root),
    condition: plan.key
      .map((column) => `${sqlColumn('t', column.name)} = ${sqlColumn('root', column.name)}`)
      .join(' AND '),
  })
  return members
}

interface KeyPart {
  name: string
  type: string
}

/** Primary keys of tables, in the key's column order. */
async function primaryKeys(
  db: Queryable,
  tables: ReadonlyMap<string, PlanMember>,
): Promise<Map<string, KeyPart[]>> {
  const names = [...tables.keys()]
  const rows = await db.query(
    z.object({
      place: z.coerce.number(),
      name: z.string(),
      type: z.string(),
      exact: z.boolean(),
      folds: z.boolean(),
    }),
    `SELECT given.place, a.attname AS name, format_type(base.oid, base.typmod) AS type, ${equalityOf}
     FROM unnest($1::text[]) WITH ORDINALITY AS given(name, place)
     JOIN pg_index i ON i.indrelid = to_regclass(given.name) AND i.indisprimary
     CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, ord)
     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
     JOIN pg_type y ON y.oid = a.atttypid ${baseType}
     ORDER BY given.place, k.ord`,
    [[...tables.values()].map((member) => member.sqlName)],
  )
  const keys = new Map<string, KeyPart[]>()
  for (const row of rows) {
    const name = names[row.place - 1]
    if (name === undefined) continue
    keys.set(name, [...(keys.get(name) ?? []), { name: row.name, type: keyType(row.type, row).type }])
  }
  return keys
}
