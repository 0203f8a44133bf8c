/**
 * Keys as people and applications spell them. "007", an upper case UUID or "1.0" would be recorded and name nobody, so every key
 * takes its columns' types once before it is stored, and is stored as the one text that all equal values have.
 */
import './errors.ts'
import type { Database } from '../lib/base/db/index.ts'
import { parseTableName, sqlTable, storeCatalogue, tableKey } from '../lib/data/datamap/index.ts'
import { keyRoot, subjectRoot, type KeyColumn, type SubjectRoot } from '../lib/data/deletion/index.ts'
import { headsOf, lookUpKeys, rootTable, type GivenKey } from '../lib/data/rows/index.ts'
import { LetheError } from '../lib/base/errors/index.ts'
import type { NewHold } from '../lib/record/holds/index.ts'
import type { Context } from './context.ts'

/** Throws E_HOLD_KEY where the key has another number of columns, doesn't fit their types, or the table has no primary key. */
export async function canonicalHold(
  context: Context,
  target: Database,
  hold: NewHold,
): Promise<{ hold: NewHold; found: boolean | null; written: readonly string[] }> {
  if (hold.key === undefined) return { hold, found: null, written: [] }
  if (hold.level === 'subject') return ofSubject(context, target, hold, hold.key)
  if (hold.level === 'row') return ofRow(context, target, hold, hold.key)
  if (hold.level === 'tenant') return ofTenant(context, target, hold, hold.key)
  return { hold, found: null, written: [] }
}

/** What names the rows of a kind, whatever findings the map has. Throws as keyRoot, and what `context.target` throws. */
export async function keyRootOf(context: Context, store: string, subject: string): Promise<SubjectRoot> {
  const { file } = context.config
  return keyRoot(file, store, subject, await storeCatalogue(await context.target(store), file, store))
}

/** Whom a key names; of a row that was merged into another, that one. Throws E_IDENTIFIER where it has another number of columns or doesn't fit their types. */
export async function canonicalSubject(
  context: Context,
  store: string,
  subject: string,
  given: readonly string[],
): Promise<GivenKey> {
  const { file } = context.config
  const target = await context.target(store)
  const root = subjectRoot(file, store, subject, await storeCatalogue(target, file, store))
  const [key] = await canonicalSubjects(target, root, [given])
  if (key === undefined || key instanceof LetheError)
    throw key ?? new LetheError('E_INTERNAL', { message: 'No key was looked up.' })
  return key
}

/**
 * Many keys of one kind of subject, in their order: whom each names, or E_IDENTIFIER. One statement as long as all of them fit,
 * and one for the rows that were merged into others.
 */
export async function canonicalSubjects(
  target: Database,
  plan: SubjectRoot,
  given: readonly (readonly string[])[],
): Promise<(GivenKey | LetheError)[]> {
  const wrong = (message: string) =>
    new LetheError('E_IDENTIFIER', { message: `The key of a ${plan.subject} ${message}.` })
  const found = await eachKey(target, plan.key, rootTable(plan), given, wrong)
  const known = found.filter((key): key is GivenKey => !(key instanceof LetheError))
  const heads = await headsOf(
    target,
    plan,
    known.map(({ key }) => key),
  )
  const headOf = new Map(known.map((one, place) => [one, heads[place] ?? one.key]))
  return found.map((one) => {
    if (one instanceof LetheError) return one
    const key = headOf.get(one) ?? one.key
    return { ...one, key, written: isSame(key, one.key) ? one.written : key }
  })
}

async function eachKey(
  target: Database,
  columns: readonly KeyColumn[],
  table: string | null,
  given: readonly (readonly string[])[],
  wrong: (message: string) => LetheError,
): Promise<(GivenKey | LetheError)[]> {
  if (given.every((key) => key.length === columns.length)) {
    const found = await lookUpKeys(target, columns, table, given)
    if (found !== null) return found
  }
  const each: (GivenKey | LetheError)[] = []
  for (const key of given) each.push(await oneKey(target, columns, table, key, wrong))
  return each
}

async function oneKey(
  target: Database,
  columns: readonly KeyColumn[],
  table: string | null,
  given: readonly string[],
  wrong: (message: string) => LetheError,
): Promise<GivenKey | LetheError> {
  if (given.length !== columns.length)
    return wrong(
      `needs a key of ${columns.length} column${columns.length === 1 ? '' : 's'} (${columns.map(({ name }) => name).join(', ')}), not ${given.length}`,
    )
  const [found] = (await lookUpKeys(target, columns, table, [given])) ?? []
  return found ?? wrong(`needs a key of type ${columns.map(({ type }) => type).join(', ')}`)
}

async function keyOf(
  target: Database,
  hold: NewHold,
  columns: readonly KeyColumn[],
  table: string | null,
  given: readonly string[],
): Promise<GivenKey> {
  const found = await oneKey(target, columns, table, given, (message) => wrong(hold, message))
  if (found instanceof LetheError) throw found
  return found
}

async function ofSubject(context: Context, target: Database, hold: NewHold, given: readonly string[]) {
  const plan = await keyRootOf(context, hold.store, hold.subject ?? '')
  const { key, found, written } = await keyOf(target, hold, plan.key, rootTable(plan), given)
  return { hold: { ...hold, key }, found, written }
}

async function ofRow(context: Context, target: Database, hold: NewHold, given: readonly string[]) {
  const catalogue = await storeCatalogue(target, context.config.file, hold.store)
  const name = parseTableName(hold.table ?? '')
  const table = name === null ? undefined : catalogue.tables.get(tableKey(name))
  if (table === undefined)
    throw new LetheError('E_NOT_FOUND', { message: `Store ${hold.store} has no table ${hold.table ?? ''}.` })
  if (table.primaryKey === null)
    throw wrong(
      hold,
      `can't name a row of ${table.key}, which has no primary key; hold the subject or the table`,
    )
  const columns = table.primaryKey.flatMap((column): KeyColumn[] => {
    const type = table.columns.get(column)?.keyType
    return type === undefined ? [] : [{ name: column, ...type }]
  })
  const { key, found, written } = await keyOf(target, hold, columns, sqlTable(table.name), given)
  return { hold: { ...hold, key }, found, written }
}

/**
 * Several kinds of subject may name tenants by columns of several types, in each of which the value has a text of its own: the
 * hold has all of them. It must fit one.
 */
async function ofTenant(context: Context, target: Database, hold: NewHold, given: readonly string[]) {
  const catalogue = await storeCatalogue(target, context.config.file, hold.store)
  const types = Object.entries(context.config.file.subjects).flatMap(([name, subject]) => {
    if (subject.store !== hold.store || subject.tenant === undefined) return []
    if (hold.subject !== undefined && hold.subject !== name) return []
    const root = parseTableName(subject.root)
    const column =
      root === null ? undefined : catalogue.tables.get(tableKey(root))?.columns.get(subject.tenant)
    return column === undefined ? [] : [column.keyType]
  })
  if (types.length === 0)
    throw wrong(
      hold,
      `holds nobody: no subject ${hold.subject ?? `of store ${hold.store}`} names a tenant column`,
    )
  const texts = new Set<string>()
  const errors: LetheError[] = []
  for (const type of types) {
    const found = await oneKey(target, [{ name: 'tenant', ...type }], null, given, (message) =>
      wrong(hold, message),
    )
    if (found instanceof LetheError) errors.push(found)
    else for (const text of found.key) texts.add(text)
  }
  const [error] = errors
  if (texts.size === 0 && error !== undefined) throw error
  return { hold: { ...hold, key: [...texts] }, found: null, written: given }
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.every((text, place) => text === other[place])
}

function wrong(hold: NewHold, message: string): LetheError {
  return new LetheError('E_HOLD_KEY', { message: `A hold at ${hold.level} level ${message}.` })
}
