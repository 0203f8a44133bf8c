/**
 * Access is cut before anything is destroyed, and can be given back: what the changed columns held is read first and kept by
 * the caller, sealed. Sessions that are ended here don't come back; the person signs in again.
 */
import { z } from 'zod'
import {
  parseTableName,
  sqlColumn,
  sqlIdentifier,
  sqlTable,
  tableKey,
  type SubjectEntry,
} from '../../datamap/index.ts'
import type { DeletionPlan, RootKey } from '../../deletion/index.ts'
import type { Queryable, Transaction } from '../../../base/db/index.ts'
import { LetheError } from '../../../base/errors/index.ts'
import { givenIsRoot, givenKeys, keyArrays, rootTable } from '../batch/root-sql.ts'

type Cell = string | number | boolean | null
type Rules = SubjectEntry['access']

/** A row whose columns are about to change. */
export interface SavedRow {
  /** Place of the rule in the map. */
  rule: number
  /** Its primary key, by column. */
  key: Record<string, Cell>
  /** What stood in the changed columns. */
  was: Record<string, Cell>
}

const cells = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))

/** What each subject's rows hold now where the rules will change them; one list a key, in their order. */
export async function readAccess(
  db: Queryable,
  plan: DeletionPlan,
  rules: Rules,
  keys: readonly RootKey[],
): Promise<SavedRow[][]> {
  const saved = keys.map((): SavedRow[] => [])
  for (const [rule, { table, where, columns }] of rules.set.entries()) {
    const name = tableOf(table)
    const primary = await primaryKey(db, table)
    const rows = await db.query(
      z.object({ place: z.coerce.number(), key: cells, was: cells }),
      `SELECT given.ord AS place, to_jsonb(k) AS key, to_jsonb(w) AS was
       FROM ${givenKeys(plan)} JOIN ${rootTable(plan)} root ON ${givenIsRoot(plan)} JOIN ${sqlTable(name)} t ON (${where}),
         LATERAL (SELECT ${primary.map((column) => sqlColumn('t', column)).join(', ')}) AS k,
         LATERAL (SELECT ${Object.keys(columns)
           .map((column) => sqlColumn('t', column))
           .join(', ')}) AS w`,
      keyArrays(plan, keys),
    )
    for (const { place, key, was } of rows) saved[place - 1]?.push({ rule, key, was })
  }
  return saved
}

/** Idempotent. One transaction of the caller's. Returns the rows that went, by table; one finding a key, in their order. */
export async function cutAccess(
  tx: Transaction,
  plan: DeletionPlan,
  rules: Rules,
  keys: readonly RootKey[],
): Promise<Record<string, number>[]> {
  const gone = keys.map((): Record<string, number> => ({}))
  const from = `FROM ${givenKeys(plan)} JOIN ${rootTable(plan)} root ON ${givenIsRoot(plan)}`
  const values = keyArrays(plan, keys)
  for (const { table, where, columns } of rules.set) {
    const name = tableOf(table)
    const primary = await primaryKey(tx, table)
    const names = Object.keys(columns)
    const same = primary
      .map((column) => `${sqlColumn('u', column)} = ${sqlColumn('t', column)}`)
      .join(' AND ')
    // The row is found under the alias t and changed under u, so that the rule may speak of root and t.
    await tx.execute(
      `UPDATE ${sqlTable(name)} u SET ${names.map((column, i) => `${sqlIdentifier(column)} = $${values.length + 1 + i}`).join(', ')}
       FROM (SELECT t.* ${from} JOIN ${sqlTable(name)} t ON (${where})) AS t WHERE ${same}`,
      [...values, ...names.map((column) => columns[column])],
    )
  }
  for (const { table, where } of rules.delete) {
    const name = tableOf(table)
    const rows = await tx.query(
      z.object({ ord: z.number(), n: z.coerce.number() }),
      `WITH gone AS (
         DELETE FROM ${sqlTable(name)} u USING (SELECT t.ctid AS place, t.tableoid AS part, given.ord ${from}
           JOIN ${sqlTable(name)} t ON (${where})) AS t WHERE u.ctid = t.place AND u.tableoid = t.part RETURNING t.ord)
       SELECT ord::int AS ord, count(*) AS n FROM gone GROUP BY ord`,
      values,
    )
    for (const { ord, n } of rows) {
      const own = gone[ord - 1]
      if (own !== undefined) own[tableKey(name)] = (own[tableKey(name)] ?? 0) + n
    }
  }
  return gone
}

/** Gives back what stood there, where the cut's own value still stands: what the application changed since stays. */
export async function restoreAccess(
  tx: Transaction,
  rules: Rules,
  saved: readonly SavedRow[],
): Promise<number> {
  let restored = 0
  for (const { rule, key, was } of saved) {
    const entry = rules.set[rule]
    if (entry === undefined) continue
    const name = tableOf(entry.table)
    const names = Object.keys(entry.columns).filter((column) => Object.hasOwn(was, column))
    const row = `jsonb_populate_record(NULL::${sqlTable(name)}, $1::jsonb)`
    const cut = `jsonb_populate_record(NULL::${sqlTable(name)}, $2::jsonb)`
    restored += await tx.execute(
      `UPDATE ${sqlTable(name)} u SET ${names.map((column) => `${sqlIdentifier(column)} = ${sqlColumn('old', column)}`).join(', ')}
       FROM ${row} AS old, ${cut} AS cut
       WHERE ${Object.keys(key)
         .map((column) => `${sqlColumn('u', column)} = ${sqlColumn('old', column)}`)
         .join(' AND ')}
         AND ${names.map((column) => `${sqlColumn('u', column)} IS NOT DISTINCT FROM ${sqlColumn('cut', column)}`).join(' AND ')}`,
      [JSON.stringify({ ...was, ...key }), JSON.stringify(entry.columns)],
    )
  }
  return restored
}

async function primaryKey(db: Queryable, table: string): Promise<string[]> {
  const rows = await db.query(
    z.object({ name: z.string() }),
    `SELECT a.attname AS name FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, ord)
     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
     WHERE i.indrelid = $1::regclass AND i.indisprimary ORDER BY k.ord`,
    [sqlTable(tableOf(table))],
  )
  if (rows.length > 0) return rows.map(({ name }) => name)
  throw new LetheError('E_CONFIG', {
    message: `access: ${table} has no primary key, so what was changed there could not be given back.`,
    next: 'Give the table a primary key, or end access in another table.',
  })
}

function tableOf(table: string): { schema: string; table: string } {
  const name = parseTableName(table)
  if (name !== null) return name
  throw new LetheError('E_CONFIG', { message: `access: "${table}" is not a table name.` })
}
