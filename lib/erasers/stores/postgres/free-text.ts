/**
 * After the rows are gone: whether somebody wrote a person's identifier into a text about someone else. One scan a table for
 * all persons of a batch; who is meant by a hit a person has to judge, so nothing is erased here.
 */
import { z } from 'zod'
import { parseTableName, sqlColumn, sqlTable, type DataMap } from '../../../datamap/index.ts'
import type { Database } from '../../../db/index.ts'
import type { Verification } from '../../eraser.ts'

/** Shorter ones stand in every other text by chance. */
const SHORTEST = 6
/** A scan of a large table takes as long as it takes; the lease is renewed meanwhile. */
const SCAN_MS = 600_000

export interface TextColumn {
  table: string
  column: string
}

export function freeTextColumns(map: DataMap, store: string): TextColumn[] {
  return Object.entries(map.tables[store] ?? {}).flatMap(([table, { columns }]) =>
    (columns['free-text'] ?? []).map((column) => ({ table, column })),
  )
}

/** Values that are worth looking for. */
export function searchable(values: readonly string[]): string[] {
  return [...new Set(values.filter((value) => value.trim().length >= SHORTEST))]
}

/** One finding a person, in their order: in which columns one of their values still stands, and in how many rows. */
export async function searchFreeText(
  db: Database,
  columns: readonly TextColumn[],
  persons: readonly (readonly string[])[],
  signal: AbortSignal,
): Promise<Verification[]> {
  const left = persons.map((): Record<string, number> => ({}))
  const values = persons.flatMap((own, person) => searchable(own).map((value) => ({ person, value })))
  const hits =
    values.length === 0
      ? []
      : await scan(
          db,
          columns,
          values.map(({ value }) => value),
          signal,
        )
  for (const { name, place, n } of hits) {
    const own = left[values[place - 1]?.person ?? -1]
    if (own !== undefined) own[name] = (own[name] ?? 0) + n
  }
  return left.map((found) => ({ absent: Object.keys(found).length === 0, left: found, retained: [] }))
}

/** Rows in which each value stands, by its place from 1. Each statement has its own snapshot, so vacuum waits for one scan at most. */
function scan(db: Database, columns: readonly TextColumn[], values: readonly string[], signal: AbortSignal) {
  return db.transaction(
    async (tx) => {
      const hits: { name: string; place: number; n: number }[] = []
      for (const { table, column } of columns) {
        signal.throwIfAborted()
        const name = parseTableName(table)
        if (name === null) continue
        const text = `${sqlColumn('t', column)}::text`
        // the scan looks for all at once; only what it finds is compared with each
        const rows = await tx.query(
          z.object({ place: z.coerce.number(), n: z.coerce.number() }),
          `WITH hits AS MATERIALIZED (SELECT ${text} AS text FROM ${sqlTable(name)} t WHERE ${text} ~* $1)
           SELECT v.place, count(*) AS n FROM hits
           JOIN unnest($2::text[]) WITH ORDINALITY AS v(value, place) ON position(lower(v.value) IN lower(hits.text)) > 0
           GROUP BY v.place`,
          [`(?:${values.map(escaped).join('|')})`, values],
        )
        hits.push(...rows.map((row) => ({ name: `${table}.${column}`, ...row })))
      }
      return hits
    },
    { readOnly: true, retry: true, statementTimeoutMs: SCAN_MS },
  )
}

/** As PostgreSQL's own regular expressions take it. */
function escaped(value: string): string {
  return value.replaceAll(/[\\^$.|?*+()[\]{}]/g, String.raw`\$&`)
}
