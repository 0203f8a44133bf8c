/** Tables of a DynamoDB server for tests. */
import {
  BatchWriteItemCommand,
  CreateTableCommand,
  DeleteTableCommand,
  ListTablesCommand,
  ScanCommand,
  type AttributeValue,
  type DynamoDBClient,
  type KeySchemaElement,
  type ScalarAttributeType,
} from '@aws-sdk/client-dynamodb'

/** Attributes by name, the partition key first. */
type Key = Readonly<Record<string, ScalarAttributeType>>

export type Item = Record<string, AttributeValue>

export async function createTable(
  client: DynamoDBClient,
  TableName: string,
  key: Key,
  indexes: Readonly<Record<string, Key>> = {},
): Promise<void> {
  const attributes = Object.assign({}, key, ...Object.values(indexes)) as Key
  await client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: Object.entries(attributes).map(([AttributeName, AttributeType]) => ({
        AttributeName,
        AttributeType,
      })),
      KeySchema: schemaOf(key),
      ...(Object.keys(indexes).length === 0
        ? {}
        : {
            GlobalSecondaryIndexes: Object.entries(indexes).map(([IndexName, key]) => ({
              IndexName,
              KeySchema: schemaOf(key),
              Projection: { ProjectionType: 'KEYS_ONLY' as const },
            })),
          }),
    }),
  )
}

export async function dropTables(client: DynamoDBClient): Promise<void> {
  const { TableNames = [] } = await client.send(new ListTablesCommand({}))
  for (const TableName of TableNames) await client.send(new DeleteTableCommand({ TableName }))
}

export async function putItems(client: DynamoDBClient, table: string, items: readonly Item[]): Promise<void> {
  for (let at = 0; at < items.length; at += 25)
    await client.send(
      new BatchWriteItemCommand({
        RequestItems: { [table]: items.slice(at, at + 25).map((Item) => ({ PutRequest: { Item } })) },
      }),
    )
}

/** All that is in a table: ask the server itself for it, not what stands before it. */
export async function itemsIn(client: DynamoDBClient, TableName: string): Promise<Item[]> {
  const { Items = [] } = await client.send(new ScanCommand({ TableName, ConsistentRead: true }))
  return Items
}

function schemaOf(key: Key): KeySchemaElement[] {
  return Object.keys(key).map((AttributeName, at) => ({
    AttributeName,
    KeyType: at === 0 ? 'HASH' : 'RANGE',
  }))
}
