/** Which records are whose. */
import { z } from 'zod'
import type { SubjectRef } from '../../eraser.ts'
import { valuesOf } from '../values.ts'
import type { Ask } from './client.ts'
import type { SalesforceObject, SalesforcePlan } from './plan.ts'
import { pieces, queryAll, quote } from './soql.ts'

export interface Found {
  /** Their places in the list of subjects. */
  subjects: ReadonlySet<number>
  object: SalesforceObject
  id: string
  /** In the recycle bin. */
  deleted: boolean
  /** When it was last changed, its deletion included (SystemModstamp). */
  changedAt: string
  individual: string | null
}

export interface Finding {
  /** In the order of the plan's objects, each record once. */
  records: readonly Found[]
  astray: ReadonlySet<number>
}

/** One query for hundreds of subjects: all values of a field that fit into an address. */
export async function find(
  ask: Ask,
  subjects: readonly SubjectRef[],
  plan: SalesforcePlan,
  signal: AbortSignal,
): Promise<Finding> {
  const records = new Map<string, Found & { subjects: Set<number> }>()
  const astray = new Set<number>()
  for (const object of plan.objects) {
    for (const [field, name] of Object.entries(object.where)) {
      const values = valuesOf(subjects, name)
      for (const place of values.astray) astray.add(place)
      for (const piece of pieces(values.subjectsOf.keys()))
        for (const { value, record } of await match(ask, object, field, piece, signal)) {
          const known = records.get(record.id) ?? { ...record, object, subjects: new Set<number>() }
          for (const place of values.subjectsOf.get(value) ?? []) known.subjects.add(place)
          records.set(record.id, known)
        }
    }
  }
  return { records: [...records.values()], astray }
}

export const recordId = z.string().regex(/^[A-Za-z0-9]{15}([A-Za-z0-9]{3})?$/)
const row = z.looseObject({
  Id: recordId,
  IsDeleted: z.boolean(),
  SystemModstamp: z.string().refine((at) => !Number.isNaN(Date.parse(at))),
  IndividualId: recordId.nullish(),
})

interface Match {
  value: string
  record: Omit<Found, 'subjects' | 'object'>
}

/**
 * Salesforce compares text by rules of its own (case, accents, spaces at the end). Where an answer can't be told to be
 * one value's, the values are asked for in halves: what answers to one value alone is that value's.
 */
async function match(
  ask: Ask,
  object: SalesforceObject,
  field: string,
  values: readonly string[],
  signal: AbortSignal,
): Promise<Match[]> {
  const columns = new Set([
    'Id',
    'IsDeleted',
    'SystemModstamp',
    ...(object.forget === true ? ['IndividualId'] : []),
    field,
  ])
  const soql = `SELECT ${[...columns].join(', ')} FROM ${object.name} WHERE ${field} IN (${values.map(quote).join(',')})`
  const what = `find records of ${object.name} by ${field}`
  const known = Map.groupBy(values, (value) => spelled(field, value))
  const matches: Match[] = []
  for (const found of await queryAll(ask, what, row, soql, signal)) {
    const { Id, IsDeleted, SystemModstamp, IndividualId } = found
    const same = values.length === 1 ? values : (known.get(spelled(field, at(found, field))) ?? [])
    if (same.length === 0) {
      const half = Math.ceil(values.length / 2)
      return [
        ...(await match(ask, object, field, values.slice(0, half), signal)),
        ...(await match(ask, object, field, values.slice(half), signal)),
      ]
    }
    const record = { id: Id, deleted: IsDeleted, changedAt: SystemModstamp, individual: IndividualId ?? null }
    matches.push(...same.map((value) => ({ value, record })))
  }
  return matches
}

const parent = z.record(z.string(), z.unknown())

/** `Contact.Email` is answered as `{ Contact: { Email } }`. */
function at(record: Record<string, unknown>, field: string): unknown {
  let value: unknown = record
  for (const part of field.split('.')) value = parent.safeParse(value).data?.[part]
  return value
}

/** The same for what is the same to Salesforce for sure: texts whatever their case, an id with 15 characters or those and three more. */
function spelled(field: string, value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value ?? null)
  return field.endsWith('Id') ? text.slice(0, 15) : text.toLowerCase()
}
