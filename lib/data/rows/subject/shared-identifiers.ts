/** Which values that lead to persons elsewhere also lead to somebody who stays: a file of two people, an address in use again. */
import { z } from 'zod'
import { sqlColumn, sqlLiteral, type Identifiers } from '../../datamap/index.ts'
import type { DeletionPlan, RootKey } from '../../deletion/index.ts'
import { isOfOneRow, type Queryable } from '../../../base/db/index.ts'
import { keyArrays, rootIsGiven, rootKeyText, rootTable } from '../batch/root-sql.ts'

/** Of an identifier: SQL over `root`, and where the map has it, SQL over `wanted` that gives the keys of its owners. */
export type Declared = Readonly<Record<string, { sql: string; owners?: string | undefined }>>

/** A plan belongs to one database, whose types stay. */
const types = new WeakMap<DeletionPlan, Map<string, Promise<string>>>()

/**
 * Of the values, by name, those that a live row of the subject's table has too which is none of `going`. One query, whatever
 * the number of persons. Names that aren't declared, such as columns of the key, lead to one person. A row on which an
 * expression fails has no values that could be read: it is found by halves, and stops nobody.
 */
export async function sharedValues(
  db: Queryable,
  plan: DeletionPlan,
  declared: Declared,
  values: Identifiers,
  going: readonly RootKey[],
): Promise<Record<string, Set<string>>> {
  const asked = await Promise.all(
    Object.entries(declared).flatMap(([name, { sql, owners }]) => {
      const own = [...new Set(values[name])]
      if (own.length === 0) return []
      if (owners !== undefined) return [Promise.resolve({ name, own, match: sought(ownedBy(plan, owners)) })]
      return [typeOf(db, plan, sql).then((type): Asked => ({ name, own, match: matching(type, sql) }))]
    }),
  )
  if (asked.length === 0) return {}
  const shared: Record<string, Set<string>> = {}
  const others = `SELECT * FROM ${rootTable(plan)} root WHERE NOT ${rootIsGiven(plan)}`
  for (const { name, value } of await found(db, plan, asked, going, others).catch(async (error: unknown) => {
    if (!isOfOneRow(error)) throw error
    const keys = await db.query(
      z.object({ key: z.array(z.string()) }),
      `SELECT ${rootKeyText(plan)} AS key FROM ${rootTable(plan)} root WHERE NOT ${rootIsGiven(plan)}`,
      keyArrays(plan, going),
    )
    return readableAmong(
      db,
      plan,
      asked,
      keys.map(({ key }) => key),
    )
  }))
    (shared[name] ??= new Set()).add(value)
  return shared
}

interface Asked {
  name: string
  own: readonly string[]
  match: Match
}

/** SQL whose rows are the values found: among `rows`, SQL that gives root rows, of the text array `values`. */
type Match = (rows: string, values: string) => string

const pair = z.object({ name: z.string(), value: z.string() })

/** `rows`: SQL that gives root rows, over the arrays of `keys`. */
function found(
  db: Queryable,
  plan: DeletionPlan,
  asked: readonly Asked[],
  keys: readonly RootKey[],
  rows: string,
): Promise<z.infer<typeof pair>[]> {
  const width = plan.key.length
  const parts = asked.map(
    ({ name, match }, place) =>
      `SELECT ${sqlLiteral(name)} AS name, value FROM (${match(rows, `$${width + place + 1}::text[]`)}) AS has(value)`,
  )
  return db.query(pair, parts.join(' UNION ALL '), [...keyArrays(plan, keys), ...asked.map(({ own }) => own)])
}

async function readableAmong(
  db: Queryable,
  plan: DeletionPlan,
  asked: readonly Asked[],
  keys: readonly RootKey[],
): Promise<z.infer<typeof pair>[]> {
  if (keys.length === 0) return []
  // OFFSET 0: an expression is not tried on a row before it is known to be one of these
  const these = `SELECT * FROM ${rootTable(plan)} root WHERE ${rootIsGiven(plan)} OFFSET 0`
  try {
    return await found(db, plan, asked, keys, these)
  } catch (error) {
    if (!isOfOneRow(error)) throw error
    if (keys.length === 1) {
      const [one, ...more] = asked
      if (one === undefined || more.length === 0) return []
      // the person's other expressions may be read
      return [...(await readableAmong(db, plan, [one], keys)), ...(await readableAmong(db, plan, more, keys))]
    }
    const half = Math.ceil(keys.length / 2)
    return [
      ...(await readableAmong(db, plan, asked, keys.slice(0, half))),
      ...(await readableAmong(db, plan, asked, keys.slice(half))),
    ]
  }
}

/** Looks each value up: the cast stands on it, so that an index on the expression serves. */
function sought(condition: string): Match {
  return (rows, values) =>
    `SELECT wanted.value FROM unnest(${values}) AS wanted(value) WHERE EXISTS (SELECT FROM (${rows}) root WHERE ${condition})`
}

/** What gives an array can be looked up by nothing: the rows are read once, however many values there are. */
function matching(type: string, sql: string): Match {
  if (!type.endsWith('[]')) return sought(`(${sql}) = wanted.value::${type}`)
  return (rows, values) =>
    `SELECT DISTINCT own.value FROM (${rows}) root CROSS JOIN LATERAL unnest((${sql})::text[]) AS own(value) WHERE own.value = ANY (${values})`
}

function ownedBy(plan: DeletionPlan, owners: string): string {
  const [column] = plan.key
  if (column === undefined) return 'false'
  return `${sqlColumn('root', column.name)} = ANY (ARRAY(SELECT unnest((${owners}))::text)::${column.type}[])`
}

function typeOf(db: Queryable, plan: DeletionPlan, sql: string): Promise<string> {
  const known = types.get(plan) ?? new Map<string, Promise<string>>()
  types.set(plan, known)
  const found = known.get(sql)
  if (found !== undefined) return found
  const read = db
    .query(
      z.object({ type: z.string() }),
      `SELECT pg_typeof((${sql}))::text AS type FROM (SELECT) one LEFT JOIN ${rootTable(plan)} root ON false`,
    )
    .then(([row]) => row?.type ?? 'text')
  known.set(sql, read)
  read.catch(() => known.delete(sql))
  return read
}
