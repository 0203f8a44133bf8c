/** Subjects and templates made into the keys to ask DynamoDB for. */
import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import { LetheError } from '../../../../base/errors/index.ts'
import type { SubjectRef } from '../../eraser.ts'
import { expandFit, type Identifiers } from '../../../datamap/index.ts'
import type { Session } from './ask.ts'
import type { DynamodbPlace, DynamodbPlan } from './plan.ts'
import { keysOf, type KeyType, type Schemas, type TableSchema } from './schema.ts'

export type Attributes = Readonly<Record<string, AttributeValue>>

/** One query. */
export interface Lookup {
  id: string
  place: DynamodbPlace
  schema: TableSchema
  key: Attributes
  /** Id of the partition asked: what is throttled there is so for all of it. */
  partition: string
  /** Who leads to it, by number in the call. */
  subjects: Set<number>
}

export interface Lookups {
  /** Each once, however many subjects lead to it. */
  lookups: Lookup[]
  /** Subjects with a value that can't be a key, by place and number in the call, with the reason: E_IDENTIFIER. */
  unfit: Map<string, Map<number, LetheError>>
}

/** Throws E_CONFIG for a place that doesn't fit, before anything else is asked. */
export async function lookupsOf(
  subjects: readonly SubjectRef[],
  plan: DynamodbPlan,
  schemas: Schemas,
  session: Session,
): Promise<Lookups> {
  const lookups = new Map<string, Lookup>()
  const unfit = new Map<string, Map<number, LetheError>>()
  const note = (place: DynamodbPlace, subject: number, error: LetheError) =>
    unfit.set(place.name, (unfit.get(place.name) ?? new Map<number, LetheError>()).set(subject, error))
  const known: TableSchema[] = []
  for (const place of plan.places) known.push(await schemas.of(place, session))
  for (const [number, subject] of subjects.entries()) {
    const identifiers = subject.identifiers
    for (const [at, place] of plan.places.entries()) {
      const schema = known[at]
      if (schema === undefined) continue
      try {
        const { keys, stray } = keysFor(place, schema, identifiers)
        if (stray !== null) note(place, number, stray)
        for (const key of keys) {
          const id = idOf([schema.table, place.index ?? ''], Object.keys(key).sort(), key)
          const known = lookups.get(id) ?? lookup(id, place, schema, key)
          known.subjects.add(number)
          lookups.set(id, known)
        }
      } catch (error) {
        if (!(error instanceof LetheError) || error.code !== 'E_IDENTIFIER') throw error
        note(place, number, error)
      }
    }
  }
  return { lookups: [...lookups.values()], unfit }
}

/** The same text for the same key, whatever found it. */
export function idOf(scope: readonly string[], names: readonly string[], attributes: Attributes): string {
  return JSON.stringify([...scope, ...names.map((name) => [name, textOf(attributes[name])])])
}

function lookup(id: string, place: DynamodbPlace, schema: TableSchema, key: Attributes): Lookup {
  const names = keysOf(place, schema)?.partition ?? []
  const scope = place.index === undefined ? [schema.table] : [schema.table, place.index]
  return { id, place, schema, key, partition: idOf(scope, names, key), subjects: new Set() }
}

/** One for each combination of values; none where a name has no value. */
function keysFor(
  place: DynamodbPlace,
  schema: TableSchema,
  identifiers: Identifiers,
): { keys: Attributes[]; stray: LetheError | null } {
  let keys: Attributes[] = [{}]
  let stray: LetheError | null = null
  for (const [name, template] of Object.entries(place.key)) {
    const found = expandFit(template, identifiers)
    stray ??= found.stray
    const values = found.texts.map((text) => valueOf(place, text, schema.types.get(name) ?? 'S'))
    keys = keys.flatMap((key) => values.map((value) => ({ ...key, [name]: value })))
  }
  return { keys, stray }
}

const decimal = /^(-?)0*(\d+?)(?:\.(\d+?)0*)?$/
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** Throws E_IDENTIFIER. */
export function valueOf(place: DynamodbPlace, text: string, type: KeyType): AttributeValue {
  if (type === 'S') return { S: text }
  const [number, sign, whole, rest = '0'] = type === 'N' ? (decimal.exec(text) ?? []) : []
  // As DynamoDB writes it, so that the same number is the same key.
  if (number !== undefined) {
    const bare = rest === '0' ? `${whole}` : `${whole}.${rest}`
    return { N: bare === '0' ? bare : `${sign}${bare}` }
  }
  if (type === 'B' && base64.test(text)) return { B: Buffer.from(text, 'base64') }
  throw new LetheError('E_IDENTIFIER', {
    message: `A value for place ${place.name} is not ${type === 'N' ? 'a decimal number' : 'base64'}.`,
    facts: { place: place.name },
  })
}

function textOf(value: AttributeValue | undefined): string {
  if (value?.S !== undefined) return `S${value.S}`
  if (value?.N !== undefined) return `N${value.N}`
  return value?.B === undefined ? '' : `B${Buffer.from(value.B).toString('base64')}`
}
