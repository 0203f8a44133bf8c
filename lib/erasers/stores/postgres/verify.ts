/** Counts of what belongs to some roots: before an erasure to weigh it, afterwards to read it back. Reads only. */
import { z } from 'zod'
import { Counts } from '../../../counts/index.ts'
import {
  sqlLiteral,
  sqlTable,
  tableKey,
  type DeletionPlan,
  type PlanTable,
  type RootKey,
} from '../../../datamap/index.ts'
import type { Queryable } from '../../../db/index.ts'
import type { Retained, Verification } from '../../eraser.ts'
import { slices } from '../../slices.ts'
import { keptGround } from './kept.ts'
import {
  givenIsRoot,
  givenKeys,
  keyArrays,
  rootFromKey,
  rootIsMissing,
  rootKeyText,
  rootTable,
  plannedOnce,
} from './root-sql.ts'

const PAGE = 1000

/** Rows by table that belong to the keys; the root's own rows are counted under its table. */
export async function locateRows(
  db: Queryable,
  plan: DeletionPlan,
  keys: readonly RootKey[],
): Promise<Record<string, number>> {
  const counts = new Counts()
  for (const page of slices(keys, PAGE))
    for (const row of await countRows(db, plan, page)) counts.add(row.place, row.n)
  return counts.plain()
}

/**
 * Reads back, one finding a key. Rows that the map keeps (retained, pseudonymised, detached) are no failure: they are
 * reported as retained, as is a root that was pseudonymised because of them. Where the root row is gone, tables are asked
 * by the key alone: what hung on the root only through other columns or through rows that are gone can't be found this
 * way, and foreign keys are what vouches for it.
 */
export async function verifyKeys(
  db: Queryable,
  plan: DeletionPlan,
  keys: readonly RootKey[],
): Promise<Verification[]> {
  const places = (action: PlanTable['action']) =>
    new Set(plan.tables.filter((entry) => entry.action === action).map((entry) => tableKey(entry.table)))
  const goes = places('delete')
  const grounds = new Map(
    plan.tables
      .filter(({ action }) => action === 'retain')
      .map(({ table, ground }) => [tableKey(table), ground ?? keptGround(plan)] as const),
  )
  const found = keys.map(() => ({ left: new Map<string, number>(), retained: [] as Retained[] }))
  for (let from = 0; from < keys.length; from += PAGE) {
    const page = keys.slice(from, from + PAGE)
    const kept = await keptRoots(db, plan, page)
    const rows = await countRowsEach(db, plan, page)
    for (const { place, ord, n } of rows) {
      const subject = found[from + ord - 1]
      const isRoot = place === tableKey(plan.root)
      const until = kept.get(ord)
      const stays = isRoot ? until !== undefined : grounds.has(place)
      if (stays)
        subject?.retained.push({
          place,
          count: n,
          ground: isRoot ? rootGround(plan, grounds, rows, ord) : (grounds.get(place) ?? keptGround(plan)),
          until: until?.toISOString() ?? null,
        })
      else if (isRoot || goes.has(place)) subject?.left.set(place, n)
    }
  }
  return found.map(({ left, retained }) => ({
    absent: left.size === 0,
    left: Object.fromEntries(left),
    retained,
  }))
}

/** A root stays for the sake of this subject's rows that stay. */
function rootGround(
  plan: DeletionPlan,
  grounds: ReadonlyMap<string, string>,
  rows: readonly { place: string; ord: number }[],
  ord: number,
): string {
  const own = rows.flatMap((row) => (row.ord === ord ? (grounds.get(row.place) ?? []) : []))
  return own.length === 0 ? keptGround(plan) : [...new Set(own)].join('; ').slice(0, 500)
}

/** Rows of each subject over all tables, in the order of the keys: what a batch is measured by. */
export async function weighRoots(
  db: Queryable,
  plan: DeletionPlan,
  keys: readonly RootKey[],
): Promise<number[]> {
  const weights = keys.map(() => 0)
  for (let from = 0; from < keys.length; from += PAGE) {
    const page = keys.slice(from, from + PAGE)
    const rows = await db.query(
      z.object({ ord: z.number(), n: z.coerce.number() }),
      plannedOnce(
        page,
        `WITH ${roots(plan)}
       SELECT lethe_ord AS ord, sum(n) AS n FROM (${members(plan)
         .map(({ sql }) => `SELECT root.lethe_ord, count(*) AS n FROM ${sql} GROUP BY root.lethe_ord`)
         .join(' UNION ALL ')}) AS counted GROUP BY lethe_ord`,
      ),
      keyArrays(plan, page),
    )
    for (const row of rows) weights[from + row.ord - 1] = row.n
  }
  return weights
}

function countRowsEach(db: Queryable, plan: DeletionPlan, keys: readonly RootKey[]) {
  return db.query(
    z.object({ place: z.string(), ord: z.number(), n: z.coerce.number() }),
    plannedOnce(
      keys,
      `WITH ${roots(plan)} ${members(plan)
        .map(
          ({ place, sql }) =>
            `SELECT ${sqlLiteral(place)} AS place, root.lethe_ord AS ord, count(*) AS n FROM ${sql} GROUP BY root.lethe_ord`,
        )
        .join(' UNION ALL ')} ORDER BY place`,
    ),
    keyArrays(plan, keys),
  )
}

function countRows(db: Queryable, plan: DeletionPlan, keys: readonly RootKey[]) {
  return db.query(
    z.object({ place: z.string(), n: z.coerce.number() }),
    `WITH ${roots(plan)} ${members(plan)
      .map(({ place, sql }) => `SELECT ${sqlLiteral(place)} AS place, count(*) AS n FROM ${sql}`)
      .join(' UNION ALL ')}`,
    keyArrays(plan, keys),
  )
}

/** Each table joined with the roots: the planner is free to walk the index a root, or to hash where there is none. */
function members(plan: DeletionPlan): { place: string; sql: string }[] {
  const own = (entry: PlanTable) => ({
    place: tableKey(entry.table),
    sql: `roots root JOIN ${sqlTable(entry.table)} t ON (${entry.belongs})`,
  })
  const others = plan.tables.filter((entry) => tableKey(entry.table) !== tableKey(plan.root))
  return [{ place: tableKey(plan.root), sql: 'roots root WHERE root.lethe_present' }, ...others.map(own)]
}

/** `roots`: the root rows, and for keys whose row is gone a row that has nothing but its key. */
function roots(plan: DeletionPlan): string {
  return `roots AS MATERIALIZED (
    SELECT given.ord::int AS lethe_ord, true AS lethe_present, root.* FROM ${givenKeys(plan)} JOIN ${rootTable(plan)} root ON ${givenIsRoot(plan)}
    UNION ALL
    SELECT given.ord::int, false, gone.* FROM ${givenKeys(plan)} LEFT JOIN ${rootTable(plan)} root ON ${givenIsRoot(plan)}
    CROSS JOIN LATERAL ${rootFromKey(plan)} AS gone WHERE ${rootIsMissing(plan)})`
}

/** By the key's place in `keys` (from 1): those that were pseudonymised and stay, with the end of their ground. */
async function keptRoots(
  db: Queryable,
  plan: DeletionPlan,
  keys: readonly RootKey[],
): Promise<Map<number, Date | null>> {
  if (plan.keptCondition === null) return new Map()
  const rows = await db.query(
    z.object({ ord: z.number(), until: z.date().nullable() }),
    `SELECT given.ord::int AS ord, k.until FROM ${givenKeys(plan)}
     JOIN ${rootTable(plan)} root ON ${givenIsRoot(plan)}
     JOIN lethe.kept_roots k ON k.root_key = ${rootKeyText(plan)} AND k.subject_kind = $${plan.key.length + 1}`,
    [...keyArrays(plan, keys), plan.subject],
  )
  return new Map(rows.map((row) => [row.ord, row.until]))
}
