/**
 * The key of a hold as the deleting statements compare it: text, as PostgreSQL itself prints the column. "007" or an upper
 * case UUID would be recorded and hold nothing, so every key takes its column's type once before it is stored.
 */
import './errors.ts'
import pg from 'pg'
import { z } from 'zod'
import type { Database } from '../lib/base/db/index.ts'
import { parseTableName, storeCatalogue, tableKey } from '../lib/data/datamap/index.ts'
import type { DeletionPlan, KeyColumn } from '../lib/data/deletion/index.ts'
import { headsOf, rootTable } from '../lib/data/rows/index.ts'
import { LetheError } from '../lib/base/errors/index.ts'
import type { NewHold } from '../lib/record/holds/index.ts'
import type { Context } from './context.ts'
import { loadPlan } from './deletion-plan.ts'

/** Throws E_HOLD_KEY where the key has another number of columns, doesn't fit their types, or the table has no primary key. */
export async function canonicalHold(
  context: Context,
  target: Database,
  hold: NewHold,
): Promise<{ hold: NewHold; found: boolean | null }> {
  if (hold.key === undefined) return { hold, found: null }
  if (hold.level === 'subject') return ofSubject(context, target, hold, hold.key)
  if (hold.level === 'row') return ofRow(context, target, hold, hold.key)
  if (hold.level === 'tenant') return ofTenant(context, target, hold, hold.key)
  return { hold, found: null }
}

/** A subject's key as PostgreSQL itself prints it; of a row that was merged into another, that one's. Throws E_IDENTIFIER where it has another number of columns or doesn't fit their types. */
export async function canonicalSubject(
  context: Context,
  store: string,
  subject: string,
  given: readonly string[],
): Promise<string[]> {
  const plan = await loadPlan(context, store, { subject })
  const target = await context.target(store)
  const key = await cast(
    target,
    plan.key,
    given,
    (message) => new LetheError('E_IDENTIFIER', { message: `The key of a ${subject} ${message}.` }),
  )
  const [head] = await headsOf(target, plan, [key])
  return [...(head ?? key)]
}

/**
 * Many keys of one kind of subject, in their order: as PostgreSQL prints them, or E_IDENTIFIER. One statement as long as all
 * of them fit.
 */
export async function canonicalSubjects(
  target: Database,
  { subject, key: columns }: Pick<DeletionPlan, 'subject' | 'key'>,
  given: readonly (readonly string[])[],
): Promise<(string[] | LetheError)[]> {
  const wrong = (message: string) =>
    new LetheError('E_IDENTIFIER', { message: `The key of a ${subject} ${message}.` })
  if (given.every((key) => key.length === columns.length))
    try {
      const texts = columns.map(({ type }, i) => `(given.k${i + 1}::${type})::text`)
      const rows = await target.query(
        z.object({ key: z.array(z.string()) }),
        `SELECT ARRAY[${texts.join(', ')}] AS key
         FROM unnest(${columns.map((_, i) => `$${i + 1}::text[]`).join(', ')})
           WITH ORDINALITY AS given(${columns.map((_, i) => `k${i + 1}`).join(', ')}, ord) ORDER BY given.ord`,
        columns.map((_, i) => given.map((key) => key[i])),
      )
      return rows.map(({ key }) => key)
    } catch (error) {
      if (!isUnfit(error)) throw error
    }
  const each: (string[] | LetheError)[] = []
  for (const key of given) each.push(await cast(target, columns, key, wrong).catch(identifierError))
  return each
}

function identifierError(error: unknown): LetheError {
  if (error instanceof LetheError && error.code === 'E_IDENTIFIER') return error
  throw error
}

async function ofSubject(context: Context, target: Database, hold: NewHold, given: readonly string[]) {
  const plan = await loadPlan(context, hold.store, { subject: hold.subject ?? '' })
  const key = await cast(target, plan.key, given, (message) => wrong(hold, message))
  return { hold: { ...hold, key }, found: await isThere(target, rootTable(plan), plan.key, key) }
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
  const columns = table.primaryKey.map((column) => ({
    name: column,
    type: table.columns.get(column)?.type ?? 'text',
  }))
  const key = await cast(target, columns, given, (message) => wrong(hold, message))
  const sqlName = `${pg.escapeIdentifier(table.name.schema)}.${pg.escapeIdentifier(table.name.table)}`
  return { hold: { ...hold, key }, found: await isThere(target, sqlName, columns, key) }
}

/** Several kinds of subject may name tenants by columns of several types: the key must fit one of them. */
async function ofTenant(context: Context, target: Database, hold: NewHold, given: readonly string[]) {
  const catalogue = await storeCatalogue(target, context.config.file, hold.store)
  const types = Object.entries(context.config.file.subjects).flatMap(([name, subject]) => {
    if (subject.store !== hold.store || subject.tenant === undefined) return []
    if (hold.subject !== undefined && hold.subject !== name) return []
    const root = parseTableName(subject.root)
    const type =
      root === null ? undefined : catalogue.tables.get(tableKey(root))?.columns.get(subject.tenant)?.type
    return type === undefined ? [] : [type]
  })
  if (types.length === 0)
    throw wrong(
      hold,
      `holds nobody: no subject ${hold.subject ?? `of store ${hold.store}`} names a tenant column`,
    )
  const errors: unknown[] = []
  for (const type of new Set(types))
    try {
      const key = await cast(target, [{ name: 'tenant', type }], given, (message) => wrong(hold, message))
      return { hold: { ...hold, key }, found: null }
    } catch (error) {
      errors.push(error)
    }
  throw errors[0]
}

async function cast(
  target: Database,
  columns: readonly KeyColumn[],
  given: readonly string[],
  wrong: (message: string) => LetheError,
): Promise<string[]> {
  if (given.length !== columns.length)
    throw wrong(
      `needs a key of ${columns.length} column${columns.length === 1 ? '' : 's'} (${columns.map(({ name }) => name).join(', ')}), not ${given.length}`,
    )
  try {
    const [row] = await target.query(
      z.object({ key: z.array(z.string()) }),
      `SELECT ARRAY[${columns.map(({ type }, i) => `($${i + 1}::text::${type})::text`).join(', ')}] AS key`,
      given,
    )
    if (row !== undefined) return row.key
  } catch (error) {
    if (!isUnfit(error)) throw error
  }
  throw wrong(`needs a key of type ${columns.map(({ type }) => type).join(', ')}`)
}

/** Class 22: the value is none of that type; its text stays out of the message. */
function isUnfit(error: unknown): boolean {
  const state = error instanceof LetheError ? error.facts['sqlstate'] : undefined
  return typeof state === 'string' && state.startsWith('22')
}

async function isThere(
  target: Database,
  table: string,
  columns: readonly KeyColumn[],
  key: readonly string[],
): Promise<boolean> {
  const same = columns.map(({ name, type }, i) => `x.${pg.escapeIdentifier(name)} = $${i + 1}::text::${type}`)
  const [row] = await target.query(
    z.object({ found: z.boolean() }),
    `SELECT EXISTS (SELECT FROM ${table} AS x WHERE ${same.join(' AND ')}) AS found`,
    key,
  )
  return row?.found === true
}

function wrong(hold: NewHold, message: string): LetheError {
  return new LetheError('E_HOLD_KEY', { message: `A hold at ${hold.level} level ${message}.` })
}
