/**
 * After the rows are gone: whether somebody wrote a person's identifier into a text about someone else. One scan a table for
 * all persons of a batch; who is meant by a hit a person has to judge, so nothing is erased here.
 */
import { z } from 'zod'
import { Counts } from '../../../base/counts/index.ts'
import { parseTableName, sqlColumn, sqlTable, type DataMap } from '../../datamap/index.ts'
import type { Database } from '../../../base/db/index.ts'
import type { Verification } from '../batch/verification.ts'

/** Shorter ones stand in every other text by chance. */
const SHORTEST = 6
/** A scan of a large table takes as long as it takes; the lease is renewed meanwhile. */
const SCAN_MS = 600_000

const found = z.object({ place: z.coerce.number(), n: z.coerce.number() })

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
  const left = persons.map(() => new Counts())
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
  for (const { name, place, n } of hits) left[values[place - 1]?.person ?? -1]?.add(name, n)
  return left.map((found) => ({ absent: found.total === 0, left: found.plain(), retained: [] }))
}

/**
 * Rows in which each value stands, by its place from 1. A value is looked for by its rarest word, which a hash finds however
 * many values there are; only where that stands, the whole is compared. So a value is found where a word of the text begins
 * and ends with that word of it, or where a number of it does, whatever letters surround it.
 */
const search = (table: string, text: string, few: boolean) => `WITH given AS MATERIALIZED (
    SELECT lower(btrim(value)) AS value, place FROM unnest($1::text[]) WITH ORDINALITY AS g(value, place)
  ), runs AS (
    SELECT place, run FROM given CROSS JOIN LATERAL ${words('value')} AS w(run) WHERE run <> ''
  ), rated AS (
    SELECT place, run, count(*) OVER (PARTITION BY run) AS others FROM (SELECT DISTINCT place, run FROM runs) AS r
  ), sought AS MATERIALIZED (
    SELECT DISTINCT ON (place) place, run, value FROM rated JOIN given USING (place) ORDER BY place, others, length(run) DESC, run
  )
  SELECT s.place, count(DISTINCT t.n) AS n
  FROM (SELECT row_number() OVER () AS n, lower(${text}) AS text FROM ${table} t
    WHERE ${text} IS NOT NULL ${few ? `AND lower(${text}) LIKE ANY (ARRAY(SELECT ${pattern} FROM given))` : ''}) AS t
    CROSS JOIN LATERAL ${words('t.text')} AS w(run) JOIN sought s ON s.run = w.run
  WHERE position(s.value IN t.text) > 0 GROUP BY s.place`

/** To compare each text with a few values at once is cheaper than to take it apart. */
const FEW = 20
const pattern = String.raw`'%' || regexp_replace(value, '([\\%_])', '\\\1', 'g') || '%'`

/** Its words, and its numbers by themselves: a number may have letters right before it. */
function words(text: string): string {
  const parts = (between: string) => `string_to_array(regexp_replace(${text}, '${between}', ' ', 'g'), ' ')`
  return `unnest(${parts('[^[:alnum:]]+')} || ${parts('[^0-9]+')})`
}

/** Each statement has its own snapshot, so vacuum waits for one scan at most. */
function scan(
  db: Database,
  columns: readonly TextColumn[],
  values: readonly string[],
  signal: AbortSignal,
): Promise<{ name: string; place: number; n: number }[]> {
  return db.transaction(
    async (tx) => {
      const hits: { name: string; place: number; n: number }[] = []
      for (const { table, column } of columns) {
        signal.throwIfAborted()
        const name = parseTableName(table)
        if (name === null) continue
        const sql = search(sqlTable(name), `${sqlColumn('t', column)}::text`, values.length <= FEW)
        const rows = await tx.query(found, sql, [values])
        hits.push(...rows.map((row) => ({ name: `${table}.${column}`, ...row })))
      }
      return hits
    },
    { readOnly: true, retry: true, statementTimeoutMs: SCAN_MS },
  )
}
