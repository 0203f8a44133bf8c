/** Counts of what belongs to some roots: before an erasure to weigh it, afterwards to read it back. Reads only. */
import { z } from 'zod'
import { Counts } from '../../../base/counts/index.ts'
import { sqlLiteral, tableKey } from '../../datamap/index.ts'
import type { DeletionPlan, RootKey } from '../../deletion/index.ts'
import type { Queryable } from '../../../base/db/index.ts'
import type { Retained, Verification } from './verification.ts'
import { slices } from '../../../base/slices/index.ts'
import { keptGround } from './kept.ts'
import { countFates, groundsOf, members, rootGround, roots } from '../subject/fates.ts'
import { givenIsRoot, givenKeys, keyArrays, namesRoot, plannedOnce, rootTable } from './root-sql.ts'

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
 * Reads back, one finding a key. Rows that the map keeps now (retained, pseudonymised, detached) are no failure: those that
 * it retains are reported, as is a root that was pseudonymised because of them; one whose time is over is left. Where the
 * root row is gone, tables are asked by the key alone: what hung on the root only through other columns or through rows that
 * are gone can't be found this way, and foreign keys are what vouches for it.
 */
export async function verifyKeys(
  db: Queryable,
  plan: DeletionPlan,
  keys: readonly RootKey[],
): Promise<Verification[]> {
  const grounds = groundsOf(plan)
  const changed = new Set(
    plan.tables
      .filter(({ action }) => action === 'pseudonymise' || action === 'detach')
      .map((entry) => tableKey(entry.table)),
  )
  const found = keys.map(() => ({ left: {} as Record<string, number>, retained: [] as Retained[] }))
  for (let from = 0; from < keys.length; from += PAGE) {
    const page = keys.slice(from, from + PAGE)
    const kept = await keptRoots(db, plan, page)
    const rows = await countFates(db, plan, page)
    for (const { place, ord, goes, stays, until } of rows) {
      const subject = found[from + ord - 1]
      if (subject === undefined || changed.has(place)) continue
      const isRoot = place === tableKey(plan.root)
      const end = kept.get(ord)
      const staying = isRoot && end === undefined ? 0 : stays
      if (staying > 0)
        subject.retained.push({
          place,
          count: staying,
          ground: isRoot ? rootGround(plan, grounds, rows, ord) : (grounds.get(place) ?? keptGround(plan)),
          until: (isRoot ? end : (until ?? end))?.toISOString() ?? null,
        })
      if (goes + stays > staying) subject.left[place] = goes + stays - staying
    }
  }
  return found.map(({ left, retained }) => ({ absent: Object.keys(left).length === 0, left, retained }))
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

function countRows(db: Queryable, plan: DeletionPlan, keys: readonly RootKey[]) {
  return db.query(
    z.object({ place: z.string(), n: z.coerce.number() }),
    `WITH ${roots(plan)} ${members(plan)
      .map(({ place, sql }) => `SELECT ${sqlLiteral(place)} AS place, count(*) AS n FROM ${sql}`)
      .join(' UNION ALL ')}`,
    keyArrays(plan, keys),
  )
}

/** By the key's place in `keys` (from 1): those that were pseudonymised and that the map keeps, with the end of their ground. */
async function keptRoots(
  db: Queryable,
  plan: DeletionPlan,
  keys: readonly RootKey[],
): Promise<Map<number, Date | null>> {
  if (plan.keptCondition === null) return new Map()
  const ours = `k.subject_kind = $${plan.key.length + 1}`
  const rows = await db.query(
    z.object({ ord: z.number(), until: z.date().nullable() }),
    // what named the end may have been pseudonymised since: then the end that was recorded is all there is
    `SELECT given.ord::int AS ord, coalesce((${plan.keptUntil ?? 'NULL'})::timestamptz, k.until) AS until
     FROM ${givenKeys(plan)} JOIN ${rootTable(plan)} root ON ${givenIsRoot(plan)}
     JOIN lethe.kept_roots k ON ${namesRoot(plan, 'k.root_key', ours)} AND ${ours}
     WHERE ${plan.keptCondition}`,
    [...keyArrays(plan, keys), plan.subject],
  )
  return new Map(rows.map((row) => [row.ord, row.until]))
}
