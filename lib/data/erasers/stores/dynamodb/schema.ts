/** The keys of a table and of its indexes, as DynamoDB describes them. */
import { DescribeTableCommand, type KeySchemaElement } from '@aws-sdk/client-dynamodb'
import { LetheError } from '../../../../base/errors/index.ts'
import { namesIn } from '../../../datamap/index.ts'
import { ask, type Session } from './ask.ts'
import type { DynamodbPlace } from './plan.ts'

export type KeyType = 'S' | 'N' | 'B'

/** Names of attributes, in order. An index may have several of each. */
export interface Keys {
  partition: readonly string[]
  sort: readonly string[]
}

export interface TableSchema {
  table: string
  own: Keys
  indexes: ReadonlyMap<string, Keys>
  types: ReadonlyMap<string, KeyType>
}

export interface Schemas {
  /** Asks once; throws E_CONFIG for a place that doesn't fit its table. */
  of(place: DynamodbPlace, session: Session): Promise<TableSchema>
  /** Whoever asks next reads them again. */
  forget(): void
}

export function openSchemas(): Schemas {
  const known = new Map<string, TableSchema>()
  return {
    async of(place, session) {
      const schema = known.get(place.table) ?? (await describe(place.table, session))
      requireFit(place, schema, session)
      // Only what fits is kept: an index that is missing now may be there in an hour.
      known.set(place.table, schema)
      return schema
    },
    forget: () => known.clear(),
  }
}

/** The keys that a place's templates are for. */
export function keysOf(place: DynamodbPlace, schema: TableSchema): Keys | undefined {
  return place.index === undefined ? schema.own : schema.indexes.get(place.index)
}

async function describe(table: string, session: Session): Promise<TableSchema> {
  const { Table } = await ask(session, `DescribeTable of ${table}`, (client, options) =>
    client.send(new DescribeTableCommand({ TableName: table }), options),
  )
  const types = new Map<string, KeyType>()
  for (const { AttributeName = '', AttributeType } of Table?.AttributeDefinitions ?? [])
    if (AttributeType === 'S' || AttributeType === 'N' || AttributeType === 'B')
      types.set(AttributeName, AttributeType)
  const indexes = [...(Table?.GlobalSecondaryIndexes ?? []), ...(Table?.LocalSecondaryIndexes ?? [])]
  return {
    table,
    own: keysFrom(Table?.KeySchema),
    indexes: new Map(indexes.map(({ IndexName = '', KeySchema }) => [IndexName, keysFrom(KeySchema)])),
    types,
  }
}

function keysFrom(elements: readonly KeySchemaElement[] = []): Keys {
  const names = (type: 'HASH' | 'RANGE') =>
    elements.filter(({ KeyType }) => KeyType === type).map(({ AttributeName = '' }) => AttributeName)
  return { partition: names('HASH'), sort: names('RANGE') }
}

function requireFit(place: DynamodbPlace, schema: TableSchema, session: Session): void {
  const keys = keysOf(place, schema)
  const where = place.index === undefined ? place.table : `${place.table}, index ${place.index}`
  const refuse = (why: string): never => {
    throw new LetheError('E_CONFIG', {
      message: `Place ${place.name} in DynamoDB ${session.store} does not fit ${where}: ${why}.`,
      left: session.left,
      facts: { store: session.store, place: place.name },
    })
  }
  if (keys === undefined) return refuse('there is no such index')
  const given = new Set(Object.keys(place.key))
  const missing = keys.partition.filter((name) => !given.has(name))
  if (missing.length > 0) refuse(`it has no template for ${missing.join(', ')}`)
  // Of a sort key in several parts a query takes the first ones only.
  const known = keys.sort.slice(0, given.size - keys.partition.length)
  const strange = [...given].filter((name) => !keys.partition.includes(name) && !known.includes(name))
  if (strange.length > 0) refuse(`${strange.join(', ')} is not the next attribute of its key`)
  if (Object.values(place.key).every((template) => namesIn(template).length === 0))
    refuse('no template names an identifier, so it would be the same items for every subject')
}
