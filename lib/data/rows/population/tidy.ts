/**
 * After a sweep: materialised views still show what is gone, and dead rows still hold its bytes. Best effort: what the
 * role may not do is reported, never fatal.
 */
import { z } from 'zod'
import { sqlTable, tableKey } from '../../datamap/index.ts'
import type { DeletionPlan } from '../../deletion/index.ts'
import type { Queryable } from '../../../base/db/index.ts'
import { LetheError } from '../../../base/errors/index.ts'

export interface Tidied {
  refreshed: string[]
  vacuumed: string[]
  refused: { object: string; code: string }[]
}

/** Below this share of dead rows autovacuum will do. */
const DEAD_SHARE = 0.01
const DEAD_ROWS = 1000

/**
 * `db` must have been opened without a statement timeout (statementTimeoutMs: 0): a vacuum takes as long as it takes.
 * `removed`: rows by table of this run; the statistics of PostgreSQL lag behind. Idempotent.
 */
export async function tidy(
  db: Queryable,
  plan: DeletionPlan,
  removed: Readonly<Record<string, number>>,
): Promise<Tidied> {
  const result: Tidied = { refreshed: [], vacuumed: [], refused: [] }
  for (const { view, unique } of plan.materialisedViews)
    await attempt(result, 'refreshed', tableKey(view), () => refresh(db, sqlTable(view), unique))
  for (const [name, table] of planTables(plan)) {
    const state = await tableState(db, table)
    if (state === null) continue
    const dead = Math.max(state.dead, removed[name] ?? 0)
    if (dead < DEAD_ROWS || dead < state.live * DEAD_SHARE) continue
    // VACUUM only warns about a table it may not touch, and would seem done.
    if (!state.mayVacuum) result.refused.push({ object: name, code: 'E_DATABASE_PRIVILEGE' })
    else await attempt(result, 'vacuumed', name, () => db.execute(`VACUUM (ANALYZE) ${table}`))
  }
  return result
}

async function refresh(db: Queryable, view: string, unique: boolean): Promise<void> {
  const [row] = await db.query(
    z.object({ populated: z.boolean() }),
    `SELECT relispopulated AS populated FROM pg_class WHERE oid = to_regclass($1)`,
    [view],
  )
  const concurrently = unique && row?.populated === true ? 'CONCURRENTLY ' : ''
  await db.execute(`REFRESH MATERIALIZED VIEW ${concurrently}${view}`)
}

async function attempt(
  result: Tidied,
  list: 'refreshed' | 'vacuumed',
  object: string,
  work: () => Promise<unknown>,
): Promise<void> {
  try {
    await work()
    result[list].push(object)
  } catch (error) {
    if (!(error instanceof LetheError) || error.code === 'E_DATABASE_UNAVAILABLE') throw error
    result.refused.push({ object, code: error.code })
  }
}

function planTables(plan: DeletionPlan): Map<string, string> {
  const names = [...plan.tables.map((entry) => entry.table), plan.root]
  return new Map(names.map((name) => [tableKey(name), sqlTable(name)]))
}

/** Of a partitioned table: over its partitions. From PostgreSQL 17 on the MAINTAIN right is enough. */
async function tableState(db: Queryable, table: string) {
  const [row] = await db.query(
    z
      .object({ live: z.coerce.number(), dead: z.coerce.number(), may_vacuum: z.boolean() })
      .transform(({ may_vacuum, ...rest }) => ({ ...rest, mayVacuum: may_vacuum })),
    `WITH own AS (
       SELECT c.oid, c.relowner FROM pg_class c WHERE c.oid = to_regclass($1)
     ), parts AS (
       SELECT oid FROM own UNION SELECT relid FROM own, pg_partition_tree(own.oid)
     )
     SELECT coalesce(sum(s.n_live_tup), 0) AS live, coalesce(sum(s.n_dead_tup), 0) AS dead,
       pg_has_role(current_user, own.relowner, 'USAGE')
         OR (current_setting('server_version_num')::int >= 170000
             AND has_table_privilege(own.oid, CASE WHEN current_setting('server_version_num')::int >= 170000 THEN 'MAINTAIN' ELSE 'SELECT' END)) AS may_vacuum
     FROM own, parts LEFT JOIN pg_stat_user_tables s ON s.relid = parts.oid
     GROUP BY own.oid, own.relowner`,
    [table],
  )
  return row ?? null
}
