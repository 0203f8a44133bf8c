/** Names of tables and columns: as people write them in the map, as keys of our own, and as SQL. */
import pg from 'pg'

/** A table as the catalogue spells it. */
export interface TableName {
  schema: string
  table: string
}

/** A table's name in one text, as the map writes it: a part stands in quotes only where it must. Unique per table. */
export type TableKey = string

const part = /(?:"((?:[^"]|"")+)"|([^".]+))/y

/** Parses `schema.table`; a part that holds a dot or a quote stands in double quotes. Null: not such a name. */
export function parseTableName(text: string): TableName | null {
  const parts: string[] = []
  let at = 0
  for (;;) {
    part.lastIndex = at
    const match = part.exec(text)
    if (match === null) return null
    parts.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '')
    at = part.lastIndex
    if (at === text.length) break
    if (text[at] !== '.') return null
    at += 1
  }
  const [schema, table] = parts
  return parts.length === 2 && schema !== undefined && table !== undefined ? { schema, table } : null
}

export function tableKey(name: TableName): TableKey {
  return `${mapPart(name.schema)}.${mapPart(name.table)}`
}

/** The table in SQL, quoted. */
export function sqlTable(name: TableName): string {
  return `${pg.escapeIdentifier(name.schema)}.${pg.escapeIdentifier(name.table)}`
}

export function sqlColumn(alias: string, column: string): string {
  return `${alias}.${pg.escapeIdentifier(column)}`
}

export const sqlIdentifier = pg.escapeIdentifier
export const sqlLiteral = pg.escapeLiteral

function mapPart(text: string): string {
  return /[".]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
