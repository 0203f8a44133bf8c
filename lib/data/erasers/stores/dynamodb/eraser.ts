/** Tables of DynamoDB behind the one interface of everything that holds data. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { Eraser } from '../../eraser.ts'
import { usualPatience, type Patience, type Session } from './ask.ts'
import { eraseItems } from './erase.ts'
import { countItems, lookBack } from './look.ts'
import { lookupsOf } from './lookups.ts'
import type { DynamodbPlan } from './plan.ts'
import { probe } from './probe.ts'
import { openSchemas } from './schema.ts'

export interface DynamodbEraserOptions {
  /** The store's name in the map. */
  store: string
  region: string
  /** Of a server that isn't AWS's. */
  endpoint?: string
  /** Absent: the SDK's own chain (environment, profile, instance role). */
  credentials?: { accessKeyId: string; secretAccessKey: string }
  patience?: Partial<Patience>
  /** False: no place looks in an index, so what is read is what is there. Default true. */
  indexed?: boolean
  /** Between two readings of an index that verify; 1000 by default. */
  settleMs?: number
}

/**
 * Needs the rights dynamodb:DescribeTable, Query, BatchWriteItem and DeleteItem, for a place with an index also
 * BatchGetItem and GetItem, and Query on the index.
 */
export function dynamodbEraser(options: DynamodbEraserOptions): Eraser<DynamodbPlan> & { close(): void } {
  const { store, region, endpoint, credentials, indexed = true, settleMs = 1000 } = options
  const client = new DynamoDBClient({
    region,
    // We try again ourselves: the SDK knows neither our signal's reason nor what UnprocessedItems mean.
    maxAttempts: 1,
    cacheMiddleware: true,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
  })
  const schemas = openSchemas()
  const patience = { ...usualPatience, ...options.patience }

  const session = (signal: AbortSignal, left = 'Nothing was changed.'): Session => {
    signal.throwIfAborted()
    return { store, client, signal, patience, left, forgetSchemas: () => schemas.forget() }
  }
  return {
    store,
    capabilities: {
      bulk: 1000,
      ratePerMinute: null,
      reversible: false,
      verifiable: true,
      sideEffects: [
        'every deletion is written to the streams of the table, whose readers act on it',
        'with old images in a stream the item stays readable there for 24 hours, in Kinesis as long as it keeps records',
        'point-in-time recovery keeps the item for as long as it is set to (up to 35 days)',
        'backups on demand and exports keep the item until they are deleted',
        'a time to live that the table has does not count: the item goes now, once and for all',
        'replicas of a global table follow within seconds; only the region asked is read back',
        'an index shows a deletion a moment later, and may not lead to what was written the moment before',
      ],
      irreversibleAfter:
        'the call; point-in-time recovery (up to 35 days), backups and exports keep copies until they expire',
      // Of an index; a table is read consistently.
      settleSeconds: indexed ? 1 : 0,
      follows: 'DynamoDB 2012-08-10',
    },
    async probe(plan, signal) {
      await probe(session(signal), plan, schemas)
    },
    async locate(subjects, plan, signal) {
      const asking = session(signal)
      const wanted = await lookupsOf(subjects, plan, schemas, asking)
      return { counts: (await countItems(asking, wanted, subjects.length)).plain() }
    },
    async erase(subjects, plan, page, signal) {
      const asking = session(
        signal,
        'What was deleted before stays deleted; the next call goes on with the rest.',
      )
      return eraseItems(asking, await lookupsOf(subjects, plan, schemas, asking), page.limit)
    },
    async verify(subjects, plan, signal) {
      const asking = session(signal)
      const wanted = await lookupsOf(subjects, plan, schemas, asking)
      return (await lookBack(asking, wanted, subjects.length, settleMs)).each()
    },
    close: () => client.destroy(),
  }
}
