/** SQL over the root table of a plan: arrays of keys in, root rows (alias root) out. */
import type { SubjectRoot, RootKey } from '../../deletion/index.ts'
import { comparesAsText, keyText, sqlColumn, sqlLiteral, sqlTable } from '../../datamap/index.ts'
import { prepared, type Statement } from '../../../base/db/index.ts'

/** Planning a statement over all of a plan's tables takes longer than running it for this many keys. */
const FEW = 20

/** For few keys a connection plans the statement once; for many, each time by their number. */
export function plannedOnce(keys: readonly unknown[], sql: string): Statement {
  return keys.length <= FEW ? prepared(sql) : sql
}

/** The keys as statement parameters: one text array a key column. */
export function keyArrays(plan: SubjectRoot, keys: readonly RootKey[]): string[][] {
  return plan.key.map((_, place) => keys.map((key) => key[place] ?? ''))
}

/** `given(k1, …, ord)`: the key parameters from `$first` on, as rows in their order (ord from 1). */
export function givenKeys(plan: SubjectRoot, first = 1): string {
  const arrays = plan.key.map((_, place) => `$${first + place}::text[]`)
  return `unnest(${arrays.join(', ')}) WITH ORDINALITY AS given(${plan.key.map((_, place) => `k${place + 1}`).join(', ')}, ord)`
}

/** Row `root` is one of those whose keys stand in the parameters from `$first` on: an index scan, however many there are. */
export function rootIsGiven(plan: SubjectRoot, first = 1): string {
  const arrays = plan.key.map((column, place) => `$${first + place}::text[]::${column.type}[]`)
  const own = plan.key.map((column) => sqlColumn('root', column.name))
  return own.length === 1
    ? `${own[0]} = ANY (${arrays[0]})`
    : `(${own.join(', ')}) IN (SELECT * FROM unnest(${arrays.join(', ')}))`
}

/** Row `root` is the one that `given` names; the cast stands on the parameter, so that the key's index is used. */
export function givenIsRoot(plan: SubjectRoot): string {
  return plan.key
    .map((column, place) => `${sqlColumn('root', column.name)} = given.k${place + 1}::${column.type}`)
    .join(' AND ')
}

export function rootTable(plan: SubjectRoot): string {
  return sqlTable(plan.root)
}

/** The key of row `root` as a text array, as our own tables keep it. */
export function rootKeyText(plan: Pick<SubjectRoot, 'key'>, alias = 'root'): string {
  return `ARRAY[${plan.key.map((column) => keyText(column, sqlColumn(alias, column.name))).join(', ')}]`
}

/**
 * SQL condition: the text array `stored`, a key as our own tables keep it, names row `root`. `ours`: condition under which it is
 * a key of this kind; only then are its texts read as values of this key's types.
 */
export function namesRoot(plan: Pick<SubjectRoot, 'key'>, stored: string, ours: string): string {
  if (plan.key.every(comparesAsText)) return `${stored} = ${rootKeyText(plan)}`
  return plan.key
    .map((column, place) => {
      const [own, text] = [sqlColumn('root', column.name), `${stored}[${place + 1}]`]
      return comparesAsText(column)
        ? `${text} = ${keyText(column, own)}`
        : `${own} = (CASE WHEN ${ours} THEN ${text} END)::${column.type}`
    })
    .join(' AND ')
}

/** False only where the row exists. */
export function rootIsMissing(plan: SubjectRoot): string {
  const [column] = plan.key
  return column === undefined ? 'true' : `${sqlColumn('root', column.name)} IS NULL`
}

/**
 * A row of the root's type that has nothing but its key: what can still be asked about a subject whose root row is gone.
 */
export function rootFromKey(plan: SubjectRoot): string {
  const members = plan.key.map(({ name, type, oneText }, place) => {
    const text = `given.k${place + 1}`
    // a document or an array is none as a text
    return `${sqlLiteral(name)}, ${oneText ? text : `to_jsonb(${text}::${type})`}`
  })
  return `jsonb_populate_record(NULL::${rootTable(plan)}, jsonb_build_object(${members.join(', ')}))`
}

/** A key as one text, for maps and sets in memory. */
export function keyId(key: RootKey): string {
  return key.length === 1 ? (key[0] ?? '') : JSON.stringify(key)
}

/** Moves `$1`, `$2`, … of a condition behind the parameters that stand before it. */
export function shiftParameters(sql: string, by: number): string {
  return by === 0 ? sql : sql.replaceAll(/\$(\d+)/g, (_, number: string) => `$${Number(number) + by}`)
}
