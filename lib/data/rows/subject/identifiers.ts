/** What leads to subjects elsewhere, read from the rows that hold it before they go; and the way back, from an identifier to its subject. */
import { z } from 'zod'
import { keyText, sqlColumn, sqlLiteral, writtenText, type Identifiers } from '../../datamap/index.ts'
import type { DeletionPlan, RootKey, SubjectRoot } from '../../deletion/index.ts'
import type { Queryable } from '../../../base/db/index.ts'
import {
  givenIsRoot,
  givenKeys,
  keyArrays,
  keyId,
  plannedOnce,
  rootKeyText,
  rootTable,
} from '../batch/root-sql.ts'
import { expandSubjects } from '../batch/subjects.ts'
import { isUnfit } from './keys.ts'

export interface Wanted {
  /** SQL over `root` by identifier name; each gives text or an array of it. */
  identifiers: Readonly<Record<string, string>>
  /** SQL over `root` giving the address for answers. */
  contact: string | null
}

export interface Collected {
  /** Whether a row of the subject is there. */
  present: boolean
  /** The subject's own key first, then those of rows merged into it. */
  keys: RootKey[]
  identifiers: Identifiers
  contact: string | null
}

const row = z.object({
  place: z.coerce.number(),
  found: z.record(z.string(), z.union([z.string(), z.array(z.string().nullable()), z.null()])),
  contact: z.string().nullable(),
  written: z.array(z.string()),
})

/** One finding a key, in their order. The key's columns are identifiers by their own names, also where the row is gone. */
export async function collectIdentifiers(
  db: Queryable,
  plan: DeletionPlan,
  keys: readonly RootKey[],
  wanted: Wanted,
): Promise<Collected[]> {
  const subjects = await expandSubjects(
    db,
    plan,
    keys.map((key, place) => ({ ordinal: BigInt(place), key })),
  )
  const members = subjects.flatMap((subject) =>
    subject.ordinals.flatMap((ordinal) => subject.keys.map((key) => ({ place: Number(ordinal), key }))),
  )
  const own = keys.map(() => new Map(plan.key.map(({ name }): [string, Set<string>] => [name, new Set()])))
  const collected = keys.map((): Collected => ({
    present: false,
    keys: [],
    identifiers: {},
    contact: null,
  }))
  for (const { place, key } of members) {
    const entry = collected[place]
    if (entry?.keys.every((known) => keyId(known) !== keyId(key)) !== true) continue
    if (keyId(key) === keyId(keys[place] ?? [])) entry.keys.unshift(key)
    else entry.keys.push(key)
  }
  // as its row has it, which is how others were told of it
  const written = plan.key.map((column) => writtenText(column, sqlColumn('root', column.name)))
  const texts = Object.entries(wanted.identifiers).flatMap(([name, sql]) => [
    sqlLiteral(name),
    `to_jsonb(${asText(sql)})`,
  ])
  const rows = await db.query(
    row,
    plannedOnce(
      members,
      `SELECT given.ord AS place, jsonb_build_object(${texts.join(', ')}) AS found, (${wanted.contact ?? 'NULL'})::text AS contact, ARRAY[${written.join(', ')}] AS written
       FROM ${givenKeys(plan)} JOIN ${rootTable(plan)} root ON ${givenIsRoot(plan)} ORDER BY given.ord`,
    ),
    keyArrays(
      plan,
      members.map(({ key }) => key),
    ),
  )
  for (const { place: ord, found, contact, written: texts } of rows) {
    const place = members[ord - 1]?.place ?? -1
    const entry = collected[place]
    const values = own[place]
    if (entry === undefined || values === undefined) continue
    entry.present = true
    entry.contact ??= contact
    plan.key.forEach(({ name }, i) => values.get(name)?.add(texts[i] ?? ''))
    for (const [name, value] of Object.entries(found)) {
      const set = values.get(name) ?? new Set()
      for (const one of [value].flat()) if (one !== null && one !== '') set.add(one)
      values.set(name, set)
    }
  }
  for (const { place, key } of members)
    plan.key.forEach(({ name }, i) => own[place]?.get(name)?.add(key[i] ?? ''))
  return collected.map((entry, place) => ({
    ...entry,
    identifiers: Object.fromEntries([...(own[place] ?? [])].map(([name, set]) => [name, [...set]])),
  }))
}

/** An array stays one, anything else becomes text: an id may be a number. */
function asText(sql: string): string {
  return `CASE WHEN pg_typeof((${sql}))::text LIKE '%[]' THEN to_jsonb((${sql})) ELSE to_jsonb((${sql})::text) END`
}

/**
 * Keys of the subjects that have this value, as the expression's own type compares it, two at most: more than one is too many
 * whoever they are. A row that was merged into another stands for that one.
 */
export async function findByIdentifier(
  db: Queryable,
  plan: SubjectRoot,
  sql: string,
  value: string,
): Promise<RootKey[]> {
  try {
    return await heads(db, plan, `(${sql}) = $1`, [value])
  } catch (error) {
    // no value of its type, so nobody's
    if (isUnfit(error)) return []
    throw error
  }
}

/** The subjects that keys are part of, in their order: each its own, or the row that it was merged into. A row that isn't there stands for itself. */
export async function headsOf(
  db: Queryable,
  plan: SubjectRoot,
  keys: readonly RootKey[],
): Promise<RootKey[]> {
  const [column] = plan.key
  if (plan.alias === null || column === undefined || keys.length === 0) return [...keys]
  const [own, alias] = [sqlColumn('root', column.name), sqlColumn('root', plan.alias)]
  const rows = await db.query(
    z.object({ place: z.coerce.number(), key: z.array(z.string()) }),
    // UNION ends a chain of merges that leads back to itself
    `WITH RECURSIVE up(place, key, next) AS (
       SELECT given.ord, ${own}, ${alias} FROM ${givenKeys(plan)} JOIN ${rootTable(plan)} root ON ${givenIsRoot(plan)}
       UNION
       SELECT up.place, ${own}, ${alias} FROM up JOIN ${rootTable(plan)} root ON ${own} = up.next
     ) SELECT up.place, ARRAY[${keyText(column, 'up.key')}] AS key FROM up
     WHERE NOT EXISTS (SELECT FROM ${rootTable(plan)} root WHERE ${own} = up.next)`,
    keyArrays(plan, keys),
  )
  const heads = [...keys]
  for (const { place, key } of rows) heads[place - 1] = key
  return heads
}

async function heads(
  db: Queryable,
  plan: SubjectRoot,
  where: string,
  values: readonly string[],
): Promise<RootKey[]> {
  const rows = z.object({ key: z.array(z.string()) })
  const [column] = plan.key
  const root = rootTable(plan)
  const found =
    plan.alias === null || column === undefined
      ? await db.query(
          rows,
          `SELECT ${rootKeyText(plan)} AS key FROM ${root} root WHERE ${where} LIMIT 2`,
          values,
        )
      : await db.query(
          rows,
          // UNION ends a chain of merges that leads back to itself
          `WITH RECURSIVE up(key, next) AS (
             SELECT ${sqlColumn('root', column.name)}, ${sqlColumn('root', plan.alias)} FROM ${root} root WHERE ${where}
             UNION
             SELECT ${sqlColumn('root', column.name)}, ${sqlColumn('root', plan.alias)} FROM up
             JOIN ${root} root ON ${sqlColumn('root', column.name)} = up.next
           ) SELECT DISTINCT ARRAY[${keyText(column, 'up.key')}] AS key FROM up
           WHERE NOT EXISTS (SELECT FROM ${root} root WHERE ${sqlColumn('root', column.name)} = up.next) LIMIT 2`,
          values,
        )
  return found.map(({ key }) => key)
}
