/** How two columns of an edge are compared so that the pointing side's index can be used. */

import { bareType, isCitext } from '../../datamap/index.ts'

const families: readonly (readonly string[])[] = [
  ['smallint', 'integer', 'bigint', 'numeric', 'real', 'double precision'],
  ['text', 'character varying', 'name'],
]
const texts = new Set(['text', 'character varying', 'name', 'character'])
const integers = new Set(['smallint', 'integer', 'bigint'])

export function isText(type: string): boolean {
  return texts.has(bareType(type)) || isCitext(type)
}

/** Whether PostgreSQL compares the two as they are. */
export function comparable(a: string, b: string): boolean {
  const [x, y] = [bareType(a), bareType(b)]
  return x === y || families.some((family) => family.includes(x) && family.includes(y))
}

/** `value` of type `from` as something that a column of type `column` is compared with; see `castColumn`. */
export function castValue(value: string, from: string, column: string): string {
  if (comparable(from, column) || folds(from, column)) return value
  const bare = bareType(column)
  if (isText(column)) return `${value}::text${isCitext(column) ? `::${column}` : ''}`
  // Text that isn't such a number or uuid matches nothing, where a plain cast would stop the statement.
  if (isText(from) && integers.has(bare))
    return `CASE WHEN ${value} ~ '^(0|-?[1-9][0-9]{0,17})$' THEN ${value}::text::bigint END`
  if (isText(from) && bare === 'uuid')
    return `CASE WHEN ${value} ~* '^(${UUID}|[{]${UUID}[}])$' THEN ${value}::text::uuid END`
  return `${value}::text`
}

/** What PostgreSQL reads as a uuid, in any case. */
const UUID = '([0-9a-f]{4}-?){7}[0-9a-f]{4}'

/**
 * `value` in each way in which it is commonly written, where a column of text may have any of them; null: there is one. Whoever
 * means a uuid by a text means the same one by all of these, and an index finds them.
 */
export function spellings(value: string, from: string, column: string): readonly string[] | null {
  if (bareType(from) !== 'uuid' || !isText(column) || isCitext(column)) return null
  const text = castValue(value, from, column)
  const forms = [text, `replace(${text}, '-', '')`, `'{' || ${text} || '}'`]
  return [...forms, ...forms.map((form) => `upper(${form})`)]
}

/** The column's side of the same comparison: a cast only where nothing else is safe (it can't use an index). */
export function castColumn(column: string, from: string, type: string): string {
  if (folds(from, type)) return `${column}::text::${from}`
  return indexable(from, type) ? column : `${column}::text`
}

/** Text names a citext value in any case: what is one value where it is unique is one wherever it is pointed at. */
function folds(from: string, column: string): boolean {
  return isCitext(from) && isText(column) && !isCitext(column)
}

/** Whether an index on a column of type `column` serves a comparison with a value of type `from`. */
export function indexable(from: string, column: string): boolean {
  const bare = bareType(column)
  if (folds(from, column)) return false
  return (
    comparable(from, column) || isText(column) || (isText(from) && (integers.has(bare) || bare === 'uuid'))
  )
}
