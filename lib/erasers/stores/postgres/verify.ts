/** Counts of what belongs to some roots: before an erasure to weigh it, afterwards to read it back. Reads only. */
import { z } from 'zod'
import {
  sqlTable,
  tableKey,
  type DeletionPlan,
  type PlanTable,
  type RootKey,
} from '../../../datamap/index.ts'
import type { Queryable } from '../../../db/index.ts'
import type { Verification } from '../../eraser.ts'
import { keptGround } from './kept.ts'
import {
  givenIsRoot,
  givenKeys,
  keyArrays,
  rootFromKey,
  rootIsMissing,
  rootKeyText,
  rootTable,
} from './root-sql.ts'

const PAGE = 1000

/** Rows by table that belong to the keys; the root's own rows are counted under its table. */
export async function locateRows(
  db: Queryable,
  plan: DeletionPlan,
  keys: readonly RootKey[],
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (let from = 0; from < keys.length; from += PAGE)
    for (const row of await countRows(db, plan, keys.slice(from, from + PAGE)))
      if (row.n > 0) counts[row.place] = (counts[row.place] ?? 0) + row.n
  return counts
}

/**
 * Reads back. Rows that the map keeps (retained, pseudonymised, detached) are no failure: they are reported as retained,
 * as is a root that was pseudonymised because of them. Where the root row is gone, tables are asked by the key alone:
 * what hung on the root only through other columns or through rows that are gone can't be found this way, and foreign
 * keys are what vouches for it.
 */
export async function verifyKeys(
  db: Queryable,
  plan: DeletionPlan,
  keys: readonly RootKey[],
): Promise<Verification> {
  const left: Record<string, number> = {}
  const retained: Record<string, { count: number; until: Date | null }> = {}
  const goes = new Set(
    plan.tables.filter((entry) => entry.action === 'delete').map((entry) => tableKey(entry.table)),
  )
  const keeps = new Set(
    plan.tables.filter((entry) => entry.action === 'retain').map((entry) => tableKey(entry.table)),
  )
  for (let from = 0; from < keys.length; from += PAGE) {
    const page = keys.slice(from, from + PAGE)
    const rows = await countRows(db, plan, page)
    const kept = await countKept(db, plan, page)
    for (const row of rows) {
      const isRoot = row.place === tableKey(plan.root)
      const lost = isRoot ? row.n - kept.count : goes.has(row.place) ? row.n : 0
      const stays = isRoot ? kept.count : keeps.has(row.place) ? row.n : 0
      if (lost > 0) left[row.place] = (left[row.place] ?? 0) + lost
      if (stays > 0)
        retained[row.place] = { count: (retained[row.place]?.count ?? 0) + stays, until: kept.until }
    }
  }
  return {
    absent: Object.keys(left).length === 0,
    left,
    retained: Object.entries(retained).map(([place, entry]) => ({
      place,
      count: entry.count,
      ground: keptGround(plan),
      until: entry.until?.toISOString() ?? null,
    })),
  }
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
      `WITH ${roots(plan)}
       SELECT lethe_ord AS ord, sum(n) AS n FROM (${members(plan)
         .map(({ sql }) => `SELECT root.lethe_ord, count(*) AS n FROM ${sql} GROUP BY root.lethe_ord`)
         .join(' UNION ALL ')}) AS counted GROUP BY lethe_ord`,
      keyArrays(plan, page),
    )
    for (const row of rows) weights[from + row.ord - 1] = row.n
  }
  return weights
}

function countRows(db: Queryable, plan: DeletionPlan, keys: readonly RootKey[]) {
  return db.query(
    z.object({ place: z.string(), n: z.coerce.number() }),
    `WITH ${roots(plan)} ${members(plan)
      .map(({ place, sql }) => `SELECT '${place.replaceAll("'", "''")}' AS place, count(*) AS n FROM ${sql}`)
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

async function countKept(db: Queryable, plan: DeletionPlan, keys: readonly RootKey[]) {
  if (plan.keptCondition === null) return { count: 0, until: null }
  const [row] = await db.query(
    z.object({ count: z.coerce.number(), until: z.date().nullable() }),
    `SELECT count(*) AS count, max(k.until) AS until FROM ${givenKeys(plan)}
     JOIN ${rootTable(plan)} root ON ${givenIsRoot(plan)}
     JOIN lethe.kept_roots k ON k.root_key = ${rootKeyText(plan)} AND k.subject_kind = $${plan.key.length + 1}`,
    [...keyArrays(plan, keys), plan.subject],
  )
  return row ?? { count: 0, until: null }
}
