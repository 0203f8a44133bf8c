/**
 * The texts of keys. Two values that PostgreSQL calls equal are one subject, and a key leaves the database as text, so each key
 * has one text: made here and nowhere else, the same under every setting of a session. Settings that change how a type is
 * printed are fixed for every connection (lib/base/db); the time zone is the store's, so an instant is written in UTC here.
 */
import { bareType } from './types.ts'

/** What a key's column is, as far as its texts go. */
export interface KeyType {
  /** As a parameter is cast to it: without a length, since a cast to a length cuts a longer text down to somebody else's. */
  type: string
  /**
   * Values that are equal have one text (keyText). False where that can't be had (a collation that calls different texts equal,
   * jsonb, an extension's type): there a key is the row's own text, and is compared with the column itself.
   */
  oneText: boolean
}

/** Types whose values are equal exactly if their texts are, or for which keyText picks one text. */
const plain = new Set([
  'smallint',
  'integer',
  'bigint',
  'oid',
  'numeric',
  'real',
  'double precision',
  'boolean',
  'uuid',
  'text',
  'character varying',
  'bpchar',
  'name',
  '"char"',
  'bytea',
  'date',
  'timestamp without time zone',
  'timestamp with time zone',
  'time without time zone',
  'time with time zone',
  'interval',
  'inet',
  'cidr',
  'macaddr',
  'macaddr8',
  '"bit"',
  'bit varying',
  'money',
  'pg_lsn',
])
const texts = new Set(['text', 'character varying', 'bpchar', 'name'])

/** `type` as `format_type` prints it; `exact`: it is an enum; `folds`: its collation calls different texts equal. */
export function keyType(type: string, { exact, folds }: { exact: boolean; folds: boolean }): KeyType {
  const cast = castType(type)
  return { type: cast, oneText: exact || (!folds && (plain.has(cast) || isCitext(cast))) }
}

/** The type without its length: `character` alone would be one character, `bit` one bit. */
function castType(type: string): string {
  const bare = bareType(type).replace(/^interval .*$/, 'interval')
  return bare.replace(/^character(?=\[|$)/, 'bpchar').replace(/^bit(?=\[|$)/, '"bit"')
}

export function isCitext(type: string): boolean {
  return /(^|\.)citext$/.test(type)
}

/** Whether keyText is what stands in the row, and not one text for several. */
export function isWritten({ type, oneText }: KeyType): boolean {
  return !oneText || !(isCitext(type) || ['numeric', 'real', 'double precision', 'interval'].includes(type))
}

/** Whether two texts of such a column, whoever wrote them down and when, are of one value exactly if they are the same. */
export function comparesAsText(column: KeyType): boolean {
  return column.oneText && isWritten(column) && column.type !== 'timestamp with time zone'
}

/** SQL: the text of a key value. Values that are equal have the same one wherever `oneText` is true. */
export function keyText({ type, oneText }: KeyType, sql: string): string {
  if (!oneText) return writtenText({ type, oneText }, sql)
  if (isCitext(type)) return `lower((${sql})::text COLLATE "default")`
  if (type === 'numeric') return `trim_scale(${sql})::text`
  // minus zero is equal to zero
  if (type === 'real' || type === 'double precision') return `((${sql}) + 0::${type})::text`
  // a month is equal to thirty days
  if (type === 'interval') return `justify_interval(${sql})::text`
  return writtenText({ type, oneText }, sql)
}

/** SQL: the text of a key value as it is written in its row, whatever others are equal to it. */
export function writtenText({ type }: KeyType, sql: string): string {
  if (type === 'timestamp with time zone')
    return `regexp_replace(((${sql}) AT TIME ZONE 'UTC')::text, '([0-9])( BC)?$', E'\\\\1+00\\\\2')`
  if (texts.has(type)) return `(${sql})::text COLLATE "default"`
  return `(${sql})::text`
}
