/** What keeps subjects back before anything of a request begins: legal holds, and rows that the law keeps with the whole subject. */
import { z } from 'zod'
import { sqlLiteral, tableKey } from '../../datamap/index.ts'
import type { DeletionPlan, RootKey } from '../../deletion/index.ts'
import { prepared, type Queryable } from '../../../base/db/index.ts'
import { heldCondition } from '../batch/guard.ts'
import { ANY_HOLD } from '../batch/holds.ts'
import { givenIsRoot, givenKeys, keyArrays, plannedOnce, rootKeyText, rootTable } from '../batch/root-sql.ts'

/** `own`: the application's own holds, conditions over `root`. One word a key, in their order: `held`, `minimum:schema.table`, or null. A subject whose row is gone is asked by its key alone. */
export async function heldAmong(
  db: Queryable,
  plan: DeletionPlan,
  keys: readonly RootKey[],
  own: readonly string[] = [],
): Promise<(string | null)[]> {
  const found = keys.map((): string | null => null)
  if (keys.length === 0) return found
  const [lethe] = await db.query(z.object({ any: z.boolean() }), prepared(`SELECT ${ANY_HOLD} AS any`))
  const conditions = [
    ...(lethe?.any === true ? [{ word: 'held', sql: await heldCondition(db, plan) }] : []),
    ...own.map((sql) => ({ word: 'held', sql })),
    ...plan.minimums.map(({ table, condition }) => ({ word: `minimum:${tableKey(table)}`, sql: condition })),
  ]
  const cases = conditions.map(
    ({ word, sql }) => `WHEN root.lethe_there AND (${sql}) THEN ${sqlLiteral(word)}`,
  )
  const rows = await db.query(
    z.object({ place: z.coerce.number(), word: z.string() }),
    plannedOnce(
      keys,
      `SELECT place, word FROM (
       SELECT given.ord AS place, CASE
         WHEN EXISTS (SELECT FROM lethe.holds h WHERE h.level = 'subject' AND h.subject_kind = $${plan.key.length + 1}
           AND h.key = ARRAY[${plan.key.map((_, i) => `given.k${i + 1}`).join(', ')}]) THEN 'held'
         ${cases.join('\n ')} END AS word
       FROM ${givenKeys(plan)} LEFT JOIN (SELECT true AS lethe_there, root.* FROM ${rootTable(plan)} root) AS root
         ON ${givenIsRoot(plan)}) AS asked WHERE word IS NOT NULL`,
    ),
    [...keyArrays(plan, keys), plan.subject],
  )
  for (const { place, word } of rows) found[place - 1] ??= word
  return found
}

/** The subject's row is there, and nothing of it has gone: it was neither begun in pieces nor pseudonymised. */
export async function isWhole(db: Queryable, plan: DeletionPlan, key: RootKey): Promise<boolean> {
  const [row] = await db.query(
    z.object({ whole: z.boolean() }),
    `SELECT EXISTS (SELECT FROM ${rootTable(plan)} AS root WHERE ${rootKeyText(plan)} = $1::text[])
       AND NOT EXISTS (SELECT FROM lethe.removing r WHERE r.subject_kind = $2 AND r.root_key = $1::text[])
       AND NOT EXISTS (SELECT FROM lethe.kept_roots k WHERE k.subject_kind = $2 AND k.root_key = $1::text[]) AS whole`,
    [key, plan.subject],
  )
  return row?.whole === true
}
