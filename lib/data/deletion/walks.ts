/**
 * The rows through which a piece of a large subject found its own: they stay until a later transaction, so nothing of the
 * piece's would notice that one of them was moved to somebody else meanwhile. They are locked before the piece is committed.
 */
import { sqlColumn, type TableKey } from '../datamap/index.ts'
import { castColumn, castValue } from './model/compare.ts'
import { fromTable, whenSql } from './model/membership.ts'
import type { Link } from './model/model.ts'
import type { Walk } from './plan.ts'
import { leads, type Target } from './model/reach.ts'

/** Of every table whose rows hang from, or let go of, rows other than the root's, a step at a time. */
export function walks(target: Target): Walk[] {
  return [...new Set(target.model.links.map(({ from }) => from))].flatMap((table) =>
    upwards(target, table).map((link) => ({ from: table, to: link.to, sql: lockSql(target, link) })),
  )
}

/** SQL over row `alias`: JSON, for each walk from this table in their order the values that it leads by, or null. Null: there is none. */
export function upSql(target: Target, table: TableKey, alias: string): string | null {
  const links = upwards(target, table)
  if (links.length === 0) return null
  const values = links.map((link) => {
    const columns = link.columns.map((name) => sqlColumn(alias, name))
    const filled = [...columns.map((column) => `${column} IS NOT NULL`), whenSql(link, alias)].join(' AND ')
    return `CASE WHEN ${filled} THEN jsonb_build_array(${columns.map((column) => `${column}::text`).join(', ')}) END`
  })
  return `jsonb_build_array(${values.join(', ')})`
}

function upwards(target: Target, table: TableKey): Link[] {
  return target.model.links.filter(
    (link) =>
      link.from === table &&
      link.pointing === table &&
      link.to !== target.root.key &&
      target.reached.has(link.to) &&
      (leads(link) ? target.reached.has(table) : link.then !== null && link.then !== 'keep'),
  )
}

/** FOR SHARE: the row can't be changed before the piece is committed; one that was changed since its snapshot is refused. */
function lockSql(target: Target, link: Link): string {
  const type = (table: TableKey, column: string) =>
    target.model.catalogue.tables.get(table)?.columns.get(column)?.type ?? 'text'
  const pairs = link.columns.map((name, place) => {
    const far = link.references[place] ?? ''
    const [own, other] = [type(link.from, name), type(link.to, far)]
    return {
      column: castColumn(sqlColumn('t', far), own, other),
      value: castValue(`k.v${place + 1}::${own}`, own, other),
    }
  })
  const arrays = pairs.map((_, place) => `$${place + 1}::text[]`).join(', ')
  const names = pairs.map((_, place) => `v${place + 1}`).join(', ')
  const given = `SELECT ${pairs.map(({ value }) => value).join(', ')} FROM unnest(${arrays}) AS k(${names})`
  const columns = pairs.map(({ column }) => column)
  const match =
    columns.length === 1 ? `${columns[0]} = ANY (ARRAY(${given}))` : `(${columns.join(', ')}) IN (${given})`
  const up = upSql(target, link.to, 't')
  return `SELECT ${up ?? `'[]'::jsonb`} AS up FROM ${fromTable(target, link.to)} t WHERE ${match} FOR SHARE OF t`
}
