/** What becomes of each row of some roots: by the conditions that the plan's own statements carry. Reads only. */
import { z } from 'zod'
import { sqlLiteral, sqlTable, tableKey } from '../../datamap/index.ts'
import type { DeletionPlan, PlanTable, RootKey } from '../../deletion/index.ts'
import type { Queryable } from '../../../base/db/index.ts'
import { keptGround } from '../batch/kept.ts'
import {
  givenIsRoot,
  givenKeys,
  keyArrays,
  plannedOnce,
  rootFromKey,
  rootIsMissing,
  rootTable,
} from '../batch/root-sql.ts'

/** Rows of one table that belong to some subjects, by what an erasure would make of them now. */
export interface Fate {
  place: string
  /** Deleted. */
  removed: number
  /** Kept, and pseudonymised. */
  pseudonymised: number
  /** Kept as they are. */
  kept: number
  /** Kept, and led to the subject no longer. */
  detached: number
  /** Why, of those that are kept. */
  ground: string | null
  /** ISO instant at which the last of them is over; null: no end is known. */
  until: string | null
}

/** Tables that hold something of these subjects, the root first; their rows are the subjects' together. */
export async function forecast(db: Queryable, plan: DeletionPlan, keys: readonly RootKey[]): Promise<Fate[]> {
  const rows = await countFates(db, plan, keys)
  const grounds = groundsOf(plan)
  const fates = new Map<string, Fate>()
  for (const { place, ord, goes, stays, released, until } of rows) {
    const entry = plan.tables.find(({ table }) => tableKey(table) === place)
    const isRoot = place === tableKey(plan.root)
    const fate = fates.get(place) ?? {
      place,
      removed: 0,
      pseudonymised: 0,
      kept: 0,
      detached: 0,
      ground: null,
      until: null,
    }
    fate.removed += goes - released
    fate.detached += released
    if (stays > 0) {
      if (isRoot || entry?.pseudonymised === true) fate.pseudonymised += stays
      else if (entry?.action === 'detach') fate.detached += stays
      else fate.kept += stays
      fate.ground = isRoot ? rootGround(plan, grounds, rows, ord) : (grounds.get(place) ?? null)
      const end = until?.toISOString() ?? null
      fate.until = fate.until === null || (end !== null && end > fate.until) ? end : fate.until
    }
    fates.set(place, fate)
  }
  const root = tableKey(plan.root)
  // rows that are kept with what they hang from have no end of their own
  const last = fates.get(root)?.until ?? null
  for (const fate of fates.values())
    if (grounds.has(fate.place) && fate.kept + fate.pseudonymised > 0) fate.until ??= last
  return [...fates.values()].toSorted((a, b) => Number(b.place === root) - Number(a.place === root))
}

/** By place: why the map retains rows there. */
export function groundsOf(plan: DeletionPlan): Map<string, string> {
  return new Map(
    plan.tables
      .filter(({ action }) => action === 'retain')
      .map(({ table, ground }) => [tableKey(table), ground ?? keptGround(plan)] as const),
  )
}

/** A root stays for the sake of this subject's rows that stay. */
export function rootGround(
  plan: DeletionPlan,
  grounds: ReadonlyMap<string, string>,
  rows: readonly { place: string; ord: number; stays: number }[],
  ord: number,
): string {
  const own = rows.flatMap((row) => (row.ord === ord && row.stays > 0 ? (grounds.get(row.place) ?? []) : []))
  return own.length === 0 ? keptGround(plan) : [...new Set(own)].join('; ').slice(0, 500)
}

const counted = z.object({
  place: z.string(),
  /** Place of the key, from 1. */
  ord: z.number(),
  goes: z.coerce.number(),
  stays: z.coerce.number(),
  /** Of those that go: let go of, since another owner stays. */
  released: z.coerce.number(),
  until: z.date().nullable(),
})

/** Of each subject that has rows in a table; `until` null: no end that is still to come is known. */
export function countFates(
  db: Queryable,
  plan: DeletionPlan,
  keys: readonly RootKey[],
): Promise<z.infer<typeof counted>[]> {
  return db.query(
    counted,
    plannedOnce(
      keys,
      `WITH ${roots(plan)} SELECT place, ord, n - stays AS goes, stays, released, CASE WHEN until > now() AND until < 'infinity' THEN until END AS until
       FROM (${members(plan).map(fateSql).join(' UNION ALL ')}) AS counted ORDER BY place`,
    ),
    keyArrays(plan, keys),
  )
}

function fateSql({ place, stays, released, until, sql }: Member): string {
  const end =
    until === null || stays === 'false'
      ? 'NULL::timestamptz'
      : `max(coalesce((${until})::timestamptz, 'infinity')) FILTER (WHERE ${stays})`
  return `SELECT ${sqlLiteral(place)} AS place, root.lethe_ord AS ord, count(*) AS n, count(*) FILTER (WHERE ${stays}) AS stays,
    count(*) FILTER (WHERE (${released}) AND NOT coalesce(${stays}, false)) AS released,
    ${end} AS until FROM ${sql} GROUP BY root.lethe_ord`
}

interface Member {
  place: string
  /** Over its row: SQL condition, and scalar. */
  stays: string
  released: string
  until: string | null
  sql: string
}

/** Each table joined with the roots: the planner is free to walk the index a root, or to hash where there is none. */
export function members(plan: DeletionPlan): Member[] {
  const own = (entry: PlanTable) => ({
    place: tableKey(entry.table),
    stays: entry.stays ?? 'false',
    released: entry.released ?? 'false',
    until: entry.until,
    sql: `roots root JOIN ${sqlTable(entry.table)} t ON (${entry.belongs})`,
  })
  const others = plan.tables.filter((entry) => tableKey(entry.table) !== tableKey(plan.root))
  const root = {
    place: tableKey(plan.root),
    stays: plan.keptCondition ?? 'false',
    released: 'false',
    until: plan.keptUntil,
    sql: 'roots root WHERE root.lethe_present',
  }
  return [root, ...others.map(own)]
}

/** `roots`: the root rows, and for keys whose row is gone a row that has nothing but its key. */
export function roots(plan: DeletionPlan): string {
  return `roots AS MATERIALIZED (
    SELECT given.ord::int AS lethe_ord, true AS lethe_present, root.* FROM ${givenKeys(plan)} JOIN ${rootTable(plan)} root ON ${givenIsRoot(plan)}
    UNION ALL
    SELECT given.ord::int, false, gone.* FROM ${givenKeys(plan)} LEFT JOIN ${rootTable(plan)} root ON ${givenIsRoot(plan)}
    CROSS JOIN LATERAL ${rootFromKey(plan)} AS gone WHERE ${rootIsMissing(plan)})`
}
