/** A DynamoDB server with the faults before it, a client past them, and what a test of the eraser needs. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { Identifiers } from '../../../lib/data/datamap/index.ts'
import {
  dynamodbEraser,
  type DynamodbEraserOptions,
} from '../../../lib/data/erasers/stores/dynamodb/eraser.ts'
import type { DynamodbPlace, DynamodbPlan } from '../../../lib/data/erasers/stores/dynamodb/plan.ts'
import { startDynamodbFaults, type DynamodbFaults } from '../vendors/dynamodb-faults.ts'
import { startMinistack, type MinistackServer } from '../servers/servers.ts'
import { knowing, type Known } from './erasing.ts'

export interface DynamodbHouse {
  server: MinistackServer
  faults: DynamodbFaults
  /** Speaks to the server itself. */
  client: DynamoDBClient
  /** Behind the faults unless told otherwise; patient for milliseconds only. */
  eraser(options?: Partial<DynamodbEraserOptions>): ReturnType<typeof dynamodbEraser>
  close(): Promise<void>
}

export async function openDynamodbHouse(): Promise<DynamodbHouse> {
  const server = await startMinistack('dynamodb')
  const faults = await startDynamodbFaults(server.endpoint)
  const client = new DynamoDBClient(server)
  const erasers: { close(): void }[] = []
  return {
    server,
    faults,
    client,
    eraser(options = {}) {
      const { region, credentials } = server
      const eraser = knowing(
        dynamodbEraser({
          store: 'records',
          region,
          credentials,
          endpoint: faults.endpoint,
          settleMs: 1,
          ...options,
          patience: { tries: 4, firstMs: 1, ...options.patience },
        }),
      )
      erasers.push(eraser)
      return eraser
    },
    async close() {
      for (const eraser of erasers) eraser.close()
      client.destroy()
      await faults.close()
      await server.stop()
    },
  }
}

/** A person's `id` is its key; `more` gives other identifiers. */
export function planOf(
  places: readonly DynamodbPlace[],
  more: (id: string) => Identifiers = () => ({}),
): Known<DynamodbPlan> {
  return {
    places,
    identifiers: ({ key: [id = ''] }) => ({ id: [id], ...more(id) }),
  }
}
