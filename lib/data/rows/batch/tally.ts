/** What became of each row in the end: one that was changed twice, or changed and then removed, is one row. */
import { z } from 'zod'
import { keyText, sqlIdentifier, sqlTable, tableKey } from '../../datamap/index.ts'
import type { DeletionPlan, PlanStep, RootKey } from '../../deletion/index.ts'
import type { Queryable } from '../../../base/db/index.ts'
import type { RowCounts } from './batch.ts'
import { keyId } from './root-sql.ts'

export type Bucket = 'removed' | 'pseudonymised' | 'detached'

export function bucketOf({ kind }: PlanStep): Bucket {
  if (kind === 'detach') return 'detached'
  return kind === 'pseudonymise' || kind === 'root-pseudonymise' ? 'pseudonymised' : 'removed'
}

export function addRows(counts: RowCounts, place: string, rows: number): void {
  if (rows > 0) counts[place] = (counts[place] ?? 0) + rows
}

/** SQL texts that name a row of a table in which one row may be met by several steps, by table. */
export type RowKeys = ReadonlyMap<string, readonly string[]>

/** A plan belongs to one database, whose primary keys stay. */
const known = new WeakMap<DeletionPlan, Promise<RowKeys>>()

/** A table without a primary key is not among them: there each statement's rows are counted by themselves. */
export function rowKeys(db: Queryable, plan: DeletionPlan): Promise<RowKeys> {
  const found = known.get(plan)
  if (found !== undefined) return found
  const made = readRowKeys(db, plan)
  known.set(plan, made)
  made.catch(() => known.delete(plan))
  return made
}

async function readRowKeys(db: Queryable, plan: DeletionPlan): Promise<RowKeys> {
  const steps = plan.steps.filter(({ kind, bare }) => kind !== 'collect' && kind !== 'lock' && bare !== true)
  const several = [...Map.groupBy(steps, ({ table }) => tableKey(table)).values()].flatMap((own) => {
    const [first] = own
    return first !== undefined && own.length > 1 && own.some(({ kind }) => kind === 'detach')
      ? [first.table]
      : []
  })
  const keys = new Map<string, readonly string[]>()
  const others = several.filter((table) => tableKey(table) !== tableKey(plan.root))
  if (others.length < several.length)
    keys.set(
      tableKey(plan.root),
      plan.key.map((column) => keyText(column, sqlIdentifier(column.name))),
    )
  if (others.length === 0) return keys
  const rows = await db.query(
    z.object({ place: z.number(), columns: z.array(z.string()) }),
    `SELECT given.ord::int AS place, array_agg(a.attname::text ORDER BY k.ord) AS columns
     FROM unnest($1::regclass[]) WITH ORDINALITY AS given(id, ord)
     JOIN pg_index i ON i.indrelid = given.id AND i.indisprimary
     CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, ord)
     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
     GROUP BY given.ord`,
    [others.map(sqlTable)],
  )
  for (const { place, columns } of rows) {
    const table = others[place - 1]
    if (table !== undefined)
      keys.set(
        tableKey(table),
        columns.map((column) => `${sqlIdentifier(column)}::text`),
      )
  }
  return keys
}

/** What a statement has to return, so that its rows are known again. */
export function returningKey(texts: readonly string[]): string {
  return `RETURNING ARRAY[${texts.join(', ')}] AS key`
}

export const keyRow = z.object({ key: z.array(z.string()) })

/** Rows of one run of the steps that stay, and what was done to them. */
export class Changed {
  readonly #tables = new Map<string, Map<string, Exclude<Bucket, 'removed'>>>()

  any(place: string): boolean {
    return (this.#tables.get(place)?.size ?? 0) > 0
  }

  /** Counts rows that a step has just met; one that was counted before moves to where it belongs now. */
  meet(
    totals: Readonly<Record<Bucket, RowCounts>>,
    bucket: Bucket,
    place: string,
    keys: readonly RootKey[],
  ): void {
    const rows = this.#tables.get(place) ?? new Map<string, Exclude<Bucket, 'removed'>>()
    this.#tables.set(place, rows)
    let fresh = 0
    for (const key of keys.map(keyId)) {
      const was = rows.get(key)
      if (was === bucket || (was === 'pseudonymised' && bucket === 'detached')) continue
      if (was !== undefined) takeRow(totals[was], place)
      if (bucket === 'removed') rows.delete(key)
      else rows.set(key, bucket)
      fresh += 1
    }
    addRows(totals[bucket], place, fresh)
  }
}

function takeRow(counts: RowCounts, place: string): void {
  const left = (counts[place] ?? 0) - 1
  if (left > 0) counts[place] = left
  else delete counts[place]
}
