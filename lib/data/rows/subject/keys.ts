/** Keys as people and applications give them: the subject that each names, by its columns' own equality. */
import { z } from 'zod'
import { keyText, sqlColumn, sqlIdentifier, writtenText } from '../../datamap/index.ts'
import type { KeyColumn, RootKey } from '../../deletion/index.ts'
import type { Queryable } from '../../../base/db/index.ts'
import { LetheError } from '../../../base/errors/index.ts'

export interface GivenKey {
  /** The one text that all values equal to it have. */
  key: RootKey
  /** As it stands in its row; where no row has it, as it was given. Other stores know the subject by this. */
  written: RootKey
  /** A row has it. */
  found: boolean
}

const given = z.object({ key: z.array(z.string()), written: z.array(z.string()), found: z.boolean() })

/**
 * One finding a key, in their order; each has as many texts as there are columns. `table` (as SQL) null: none is looked up. Null:
 * one of them is no value of its column's type, and which one is not said.
 */
export async function lookUpKeys(
  db: Queryable,
  columns: readonly KeyColumn[],
  table: string | null,
  keys: readonly (readonly string[])[],
): Promise<GivenKey[] | null> {
  const each = columns.map((column, place) => {
    const value = `given.k${place + 1}::${column.type}`
    const own = sqlColumn('root', column.name)
    const written =
      table === null
        ? writtenText(column, value)
        : `coalesce(${writtenText(column, own)}, ${writtenText(column, value)})`
    return { value, own, written, key: column.oneText ? keyText(column, value) : written }
  })
  const join =
    table === null
      ? ''
      : `LEFT JOIN ${table} AS root ON ${each.map(({ own, value }) => `${own} = ${value}`).join(' AND ')}`
  const [first] = columns
  const found =
    table === null || first === undefined ? 'false' : `root.${sqlIdentifier(first.name)} IS NOT NULL`
  try {
    return await db.query(
      given,
      // a key that the map's findings say is not unique is one text all the same
      `SELECT DISTINCT ON (given.ord) ARRAY[${each.map(({ key }) => key).join(', ')}] AS key, ARRAY[${each.map(({ written }) => written).join(', ')}] AS written,
         ${found} AS found
       FROM unnest(${columns.map((_, place) => `$${place + 1}::text[]`).join(', ')})
         WITH ORDINALITY AS given(${columns.map((_, place) => `k${place + 1}`).join(', ')}, ord) ${join} ORDER BY given.ord`,
      columns.map((_, place) => keys.map((key) => key[place] ?? '')),
    )
  } catch (error) {
    if (isUnfit(error)) return null
    throw error
  }
}

/** Class 22: a value is none of its type; its text stays out of every message. */
export function isUnfit(error: unknown): boolean {
  const state = error instanceof LetheError ? error.facts['sqlstate'] : undefined
  return typeof state === 'string' && state.startsWith('22')
}
