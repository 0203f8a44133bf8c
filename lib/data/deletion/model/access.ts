/** How rows of a table are found fast: by which index, and by what a row found once is named again. */
import { type CatalogueTable, type Index, sqlColumn, type Edge } from '../../datamap/index.ts'

/** The table has an index that begins with these columns, in any order. */
export function indexed(table: CatalogueTable, columns: readonly string[], when: Edge['when']): boolean {
  return table.indexes.some((index) => serves(index, columns, when))
}

/** The type column of a polymorphic pair may stand before or among the columns. */
function serves(index: Index, columns: readonly string[], when: Edge['when']): boolean {
  const begins = (wanted: readonly string[]) => {
    const head = index.columns.slice(0, wanted.length)
    return head.length === wanted.length && wanted.every((column) => head.includes(column))
  }
  const fits = begins(columns) || (when !== undefined && begins([...columns, when.column]))
  if (!fits || index.predicate === null) return fits
  const implied = columns.flatMap((column) => [`(${column} IS NOT NULL)`, `("${column}" IS NOT NULL)`])
  const equal = when === undefined ? null : `(${when.column} = '${when.equals}'`
  const { predicate } = index
  return (
    implied.includes(predicate) ||
    (equal !== null && predicate.startsWith(equal) && !/ (AND|OR) /.test(predicate.slice(equal.length)))
  )
}

/**
 * The catalogue proves that values of these columns name one row at most: a unique index on them or on some of them, without a
 * predicate. (Where one can be null, several rows may have it; null leads nowhere.)
 */
export function isUnique(table: CatalogueTable, columns: readonly string[]): boolean {
  return table.indexes.some(
    (index) =>
      index.unique &&
      index.predicate === null &&
      index.columns.length > 0 &&
      index.columns.every((column) => columns.includes(column)),
  )
}

/**
 * How a row is found again: by a primary key of one column, else by its place (ctid), which partitions don't share.
 * Null: neither.
 */
export function rowAddress(table: CatalogueTable): ((alias: string) => string[]) | null {
  const key = table.primaryKey
  if (key !== null && (key.length === 1 || table.kind !== 'table'))
    return (alias) => key.map((column) => sqlColumn(alias, column))
  return table.kind === 'table' ? (alias) => [`${alias}.ctid`] : null
}

/** The address is one of those the select returns. As an array it is looked up by index, whatever the estimate says. */
export function matches(address: readonly string[], select: string): string {
  return address.length === 1
    ? `${address[0]} = ANY (ARRAY(${select}))`
    : `(${address.join(', ')}) IN (${select})`
}
