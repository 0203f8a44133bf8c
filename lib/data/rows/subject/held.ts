/** What keeps subjects back before anything of a request begins: legal holds, and rows that the law keeps with the whole subject. */
import { z } from 'zod'
import { comparesAsText, sqlLiteral, tableKey } from '../../datamap/index.ts'
import type { DeletionPlan, RootKey, SubjectRoot } from '../../deletion/index.ts'
import { prepared, type Queryable } from '../../../base/db/index.ts'
import { holdConditions } from '../batch/guard.ts'
import { ANY_HOLD } from '../batch/holds.ts'
import {
  givenIsRoot,
  givenKeys,
  keyArrays,
  namesRoot,
  plannedOnce,
  rootFromKey,
  rootIsGiven,
  rootTable,
} from '../batch/root-sql.ts'

/** One word a key, in their order: `held`, `subject-held`, `hold:NAME` (see isHold), `minimum:schema.table`, or null. A subject whose row is gone is asked by its key alone. */
export async function heldAmong(
  db: Queryable,
  plan: DeletionPlan,
  keys: readonly RootKey[],
): Promise<(string | null)[]> {
  const found = keys.map((): string | null => null)
  if (keys.length === 0) return found
  const [lethe] = await db.query(z.object({ any: z.boolean() }), prepared(`SELECT ${ANY_HOLD} AS any`))
  const conditions = [
    ...(await holdConditions(db, plan))
      .filter(({ reason }) => lethe?.any === true || reason.startsWith('hold:'))
      .map(({ reason, sql }) => ({ word: reason, sql })),
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
         WHEN ${heldByKey(plan)} THEN 'held'
         ${cases.join('\n ')} END AS word
       FROM ${givenKeys(plan)} LEFT JOIN (SELECT true AS lethe_there, root.* FROM ${rootTable(plan)} root) AS root
         ON ${givenIsRoot(plan)}) AS asked WHERE word IS NOT NULL`,
    ),
    [...keyArrays(plan, keys), plan.subject],
  )
  for (const { place, word } of rows) found[place - 1] ??= word
  return found
}

/** SQL over `given`: a hold names this key, whether a row has it or not. */
function heldByKey(plan: DeletionPlan): string {
  const ours = `h.level = 'subject' AND h.subject_kind = $${plan.key.length + 1}`
  if (plan.key.every(comparesAsText))
    return `EXISTS (SELECT FROM lethe.holds h WHERE ${ours} AND h.key = ARRAY[${plan.key.map((_, i) => `given.k${i + 1}`).join(', ')}])`
  return `EXISTS (SELECT FROM ${rootFromKey(plan)} AS root, lethe.holds h WHERE ${ours} AND ${namesRoot(plan, 'h.key', ours)})`
}

/** The subject's row is there, and nothing of it has gone: it was neither begun in pieces nor pseudonymised. */
export async function isWhole(db: Queryable, plan: SubjectRoot, key: RootKey): Promise<boolean> {
  const kind = `$${plan.key.length + 1}`
  const [row] = await db.query(
    z.object({ whole: z.boolean() }),
    `SELECT EXISTS (SELECT FROM ${rootTable(plan)} AS root WHERE ${rootIsGiven(plan)}
       AND NOT EXISTS (SELECT FROM lethe.removing r WHERE r.subject_kind = ${kind} AND ${namesRoot(plan, 'r.root_key', `r.subject_kind = ${kind}`)})
       AND NOT EXISTS (SELECT FROM lethe.kept_roots k WHERE k.subject_kind = ${kind} AND ${namesRoot(plan, 'k.root_key', `k.subject_kind = ${kind}`)})) AS whole`,
    [...keyArrays(plan, [key]), plan.subject],
  )
  return row?.whole === true
}

/** Whether the word is a hold's: Lethe's or the application's own, on the subject or on another owner of its rows. */
export function isHold(word: string): boolean {
  return word === 'held' || word === 'subject-held' || word.startsWith('hold:')
}
