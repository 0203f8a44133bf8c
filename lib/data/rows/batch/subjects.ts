/**
 * From roots to subjects: a root together with the rows that were merged into it. Done before the batch's transaction,
 * because the ledger has to name every key before any of them goes; checked again once the roots are locked.
 */
import { z } from 'zod'
import { keyText, sqlColumn } from '../../datamap/index.ts'
import type { DeletionPlan, RootKey } from '../../deletion/index.ts'
import type { Queryable } from '../../../base/db/index.ts'
import type { BatchHooks, BatchRoot, Subject } from './batch.ts'
import { givenIsRoot, givenKeys, keyArrays, keyId, rootTable } from './root-sql.ts'

const prepared = new WeakMap<readonly BatchRoot[], readonly Subject[]>()

/**
 * Expands merged rows and makes the ledger entries durable. A caller may do this for the next batch while the present
 * one runs: entries may stand ahead of destruction, never the other way round. `runBatch` with the same array of roots
 * then takes these subjects as they are.
 */
export async function prepareSubjects(
  db: Queryable,
  plan: DeletionPlan,
  roots: readonly BatchRoot[],
  beforeDestruction: BatchHooks['beforeDestruction'],
): Promise<readonly Subject[]> {
  const known = prepared.get(roots)
  if (known !== undefined) return known
  const subjects = await expandSubjects(db, plan, roots)
  await beforeDestruction(subjects.flatMap((subject) => subject.keys))
  prepared.set(roots, subjects)
  return subjects
}

/** Reads only. A root that was merged into another of the same batch becomes part of that subject, and one that is given twice too. */
export async function expandSubjects(
  db: Queryable,
  plan: DeletionPlan,
  given: readonly BatchRoot[],
): Promise<readonly Subject[]> {
  const roots = await canonicalKeys(db, plan, given)
  const first = Map.groupBy(roots, ({ key }) => keyId(key))
  if (first.size === roots.length) return withMerged(db, plan, roots)
  const others = new Map([...first.values()].map((same) => [same[0]?.ordinal, same] as const))
  const subjects = await withMerged(
    db,
    plan,
    [...first.values()].flatMap((same) => same.slice(0, 1)),
  )
  return subjects.map(({ keys, ordinals }) => ({
    keys,
    ordinals: ordinals.flatMap((one) => (others.get(one) ?? []).map(({ ordinal }) => ordinal)),
  }))
}

async function withMerged(
  db: Queryable,
  plan: DeletionPlan,
  roots: readonly BatchRoot[],
): Promise<readonly Subject[]> {
  const single = roots.map((root) => ({ ordinals: [root.ordinal], keys: [root.key] }))
  const [key] = plan.key
  if (plan.alias === null || key === undefined || roots.length === 0) return single
  const rows = await db.query(
    z.object({ ord: z.number(), key: z.string() }),
    // UNION ends a chain of merges that leads back to itself
    `WITH RECURSIVE merged(ord, key) AS (
       SELECT given.ord, given.key FROM unnest($1::text[]) WITH ORDINALITY AS given(key, ord)
       UNION
       SELECT merged.ord, ${keyText(key, sqlColumn('root', key.name))} FROM merged
       JOIN ${rootTable(plan)} root ON ${sqlColumn('root', plan.alias)} = merged.key::${key.type}
     ) SELECT ord::int, key FROM merged`,
    [roots.map((root) => root.key[0] ?? '')],
  )
  const merged = rows.flatMap((row) => {
    const root = roots[row.ord - 1]
    return root === undefined || root.key[0] === row.key ? [] : [{ root, key: row.key }]
  })
  return joinMerged(roots, merged)
}

/**
 * `007` and `7` are one subject, so they must give one hash. Where equal values have no one text, a key is what stands in its row
 * now, whatever was written down when it was found.
 */
async function canonicalKeys(
  db: Queryable,
  plan: DeletionPlan,
  roots: readonly BatchRoot[],
): Promise<BatchRoot[]> {
  if (roots.length === 0) return []
  const byRow = plan.key.some(({ oneText }) => !oneText)
  const texts = plan.key.map((column, place) => {
    const text = keyText(column, `given.k${place + 1}::${column.type}`)
    return column.oneText ? text : `coalesce(${keyText(column, sqlColumn('root', column.name))}, ${text})`
  })
  const from = `${givenKeys(plan)}${byRow ? ` LEFT JOIN ${rootTable(plan)} root ON ${givenIsRoot(plan)}` : ''}`
  const rows = await db.query(
    z.object({ key: z.array(z.string()) }),
    `SELECT ARRAY[${texts.join(', ')}] AS key FROM ${from} ORDER BY given.ord`,
    keyArrays(
      plan,
      roots.map((root) => root.key),
    ),
  )
  return roots.map((root, place) => ({ ordinal: root.ordinal, key: rows[place]?.key ?? root.key }))
}

function joinMerged(
  roots: readonly BatchRoot[],
  merged: readonly { root: BatchRoot; key: string }[],
): Subject[] {
  const heads = new Map(roots.map((root) => [keyId(root.key), root]))
  const inside = new Map<string, BatchRoot>()
  for (const entry of merged)
    // of two rows merged into each other, the first stays the head
    if (heads.has(entry.key) && !inside.has(keyId(entry.root.key))) inside.set(entry.key, entry.root)
  return roots
    .filter((root) => !inside.has(keyId(root.key)))
    .map((root) => {
      const keys: RootKey[] = [root.key]
      const ordinals = [root.ordinal]
      for (const entry of merged) {
        if (entry.root !== root) continue
        keys.push([entry.key])
        const own = heads.get(entry.key)
        if (own !== undefined) ordinals.push(own.ordinal)
      }
      return { ordinals, keys }
    })
}
