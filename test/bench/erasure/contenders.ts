/**
 * Who Lethe is measured against, each with the answer in its hands. The limit: hand-written code that issues the store calls
 * of a cascade, in as large lists and as many at once, and keeps no record of anything. What the field does: one subject and
 * one row or item at a time.
 */
import {
  BatchWriteItemCommand,
  DeleteItemCommand,
  DescribeTableCommand,
  DynamoDBClient,
  QueryCommand,
} from '@aws-sdk/client-dynamodb'
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectLockConfigurationCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import pg from 'pg'
import { webhookHeaders, webhookKey } from '../../../lib/base/webhooks/index.ts'
import { quoted, type Answer, type TableAnswer } from './answer.ts'
import { credentials, webhookSecret } from './house.ts'
import type { Vendors } from './vendor-process.ts'
import { bucket, itemKeys, objectKeys, table } from './vendors.ts'

/** Lists and calls at once, as the erasers have them. */
const S3 = { subjects: 100, atOnce: 8 }
const DYNAMODB = { items: 25, atOnce: 8, writesAtOnce: 4 }
const PROCESSOR = { subjects: 100 }

export interface Given {
  vendors: Vendors
  ids: readonly string[]
  answer: Answer
  targetUrl: string
}

export interface Clients {
  s3: S3Client
  dynamodb: DynamoDBClient
  close(): void
}

export function openClients(vendors: Vendors): Clients {
  const s3 = new S3Client({
    region: 'us-east-1',
    endpoint: vendors.s3,
    forcePathStyle: true,
    credentials,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
  const dynamodb = new DynamoDBClient({ region: 'us-east-1', endpoint: vendors.dynamodb, credentials })
  return {
    s3,
    dynamodb,
    close() {
      s3.destroy()
      dynamodb.destroy()
    },
  }
}

/** Returns ms. Every store at once: nothing here waits for anything but its own store. */
export async function limit(given: Given): Promise<number> {
  const clients = openClients(given.vendors)
  const client = new pg.Client({ connectionString: given.targetUrl })
  await client.connect()
  try {
    return await timed(() =>
      Promise.all([
        limitS3(clients, given.ids),
        limitDynamodb(clients, given.ids),
        limitProcessor(given.vendors, given.ids),
        limitRows(client, given.answer),
      ]),
    )
  } finally {
    clients.close()
    await client.end()
  }
}

async function limitS3({ s3 }: Clients, ids: readonly string[]): Promise<void> {
  const look = async (some: readonly string[]) => {
    await s3.send(new GetObjectLockConfigurationCommand({ Bucket: bucket })).catch(() => null)
    const one = some.length === 1 ? `${some[0]}/` : ''
    await s3.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: `patients/${one}` }))
    await atOnce(some, S3.atOnce, (id) =>
      s3.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: `patients/${id}/` })),
    )
  }
  for (const some of pages(ids, S3.subjects)) {
    await look(some)
    for (const keys of pages(some.flatMap(objectKeys), 1000)) {
      const Objects = keys.map((Key) => ({ Key, VersionId: 'v1' }))
      await s3.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects } }))
    }
    await look(some)
  }
}

async function limitDynamodb({ dynamodb }: Clients, ids: readonly string[]): Promise<void> {
  const look = () => atOnce(ids, DYNAMODB.atOnce, (id) => query(dynamodb, id))
  await dynamodb.send(new DescribeTableCommand({ TableName: table }))
  await look()
  const lists = pages(ids.flatMap(itemKeys), DYNAMODB.items)
  await atOnce(lists, DYNAMODB.writesAtOnce, async (keys) => {
    const requests = keys.map((Key) => ({ DeleteRequest: { Key } }))
    await dynamodb.send(new BatchWriteItemCommand({ RequestItems: { [table]: requests } }))
  })
  await look()
}

async function query(dynamodb: DynamoDBClient, id: string): Promise<void> {
  await dynamodb.send(
    new QueryCommand({
      TableName: table,
      ConsistentRead: true,
      KeyConditionExpression: '#n0 = :v0',
      ProjectionExpression: '#n0, #n1',
      ExpressionAttributeNames: { '#n0': 'pk', '#n1': 'sk' },
      ExpressionAttributeValues: { ':v0': { S: `PATIENT#${id}` } },
      Limit: 100,
    }),
  )
}

async function limitProcessor(vendors: Vendors, ids: readonly string[]): Promise<void> {
  for (const some of pages(ids, PROCESSOR.subjects)) {
    await tell(vendors, 'lethe.erase', some)
    await tell(vendors, 'lethe.verify', some)
  }
}

async function tell({ processor }: Vendors, type: string, ids: readonly string[]): Promise<void> {
  const subjects = ids.map((id) => ({ kind: 'patient', identifiers: { id: [id] } }))
  const body = JSON.stringify({ type, timestamp: new Date().toISOString(), data: { protocol: 1, subjects } })
  const signed = webhookHeaders(webhookKey(webhookSecret, 'bench'), {
    id: `msg_${crypto.randomUUID()}`,
    at: new Date(),
    body,
  })
  const headers = { 'content-type': 'application/json', ...signed }
  const response = await fetch(processor, { method: 'POST', headers, body })
  await response.json()
}

/** One transaction: a statement a table, by the rows' own keys; then every key is asked for once more. */
async function limitRows(client: pg.Client, answer: Answer): Promise<void> {
  await client.query('BEGIN')
  for (const entry of answer) if (entry.changed.length > 0) await client.query(...update(entry))
  for (const { gone, ...entry } of nullsFirst(answer)) await client.query(...nulled(entry, gone))
  for (const entry of answer)
    if (entry.gone.length > 0)
      await client.query(`DELETE FROM ${entry.table} t WHERE ${isGiven(entry)}`, arrays(entry, entry.gone))
  await client.query('COMMIT')
  for (const entry of answer.filter(({ gone }) => gone.length > 0))
    await client.query(
      `SELECT count(*) FROM ${entry.table} t WHERE ${isGiven(entry)}`,
      arrays(entry, entry.gone),
    )
}

/**
 * Returns ms for one subject of those given. Each row in a statement of its own, in as many transactions as there are
 * subjects; each object and item in a call of its own; everything one after the other.
 */
export async function oneAtATime(given: Given): Promise<number> {
  const { ids, answer, vendors } = given
  const clients = openClients(vendors)
  const { s3, dynamodb } = clients
  const client = new pg.Client({ connectionString: given.targetUrl })
  await client.connect()
  try {
    const took = await timed(async () => {
      await eachRow(client, answer, ids.length)
      for (const id of ids) {
        await s3.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: `patients/${id}/` }))
        for (const Key of objectKeys(id))
          await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key, VersionId: 'v1' }))
        await query(dynamodb, id)
        for (const Key of itemKeys(id)) await dynamodb.send(new DeleteItemCommand({ TableName: table, Key }))
        await tell(vendors, 'lethe.erase', [id])
      }
    })
    return took / ids.length
  } finally {
    clients.close()
    await client.end()
  }
}

async function eachRow(client: pg.Client, answer: Answer, transactions: number): Promise<void> {
  const statements: [string, unknown[]][] = [
    ...answer.flatMap((entry) => entry.changed.map((row) => update({ ...entry, changed: [row] }))),
    ...nullsFirst(answer).flatMap(({ gone, ...entry }) => gone.map((key) => nulled(entry, [key]))),
    ...answer.flatMap((entry) =>
      entry.gone.map((key): [string, unknown[]] => [
        `DELETE FROM ${entry.table} t WHERE ${entry.key.map(({ name, type }, i) => `t.${quoted(name)} = $${i + 1}::text::${type}`).join(' AND ')}`,
        key,
      ]),
    ),
  ]
  for (const some of pages(statements, Math.ceil(statements.length / transactions))) {
    await client.query('BEGIN')
    for (const [sql, values] of some) await client.query(sql, values)
    await client.query('COMMIT')
  }
}

/** Columns of rows that go, which other such rows must not be named by any more. */
const columnsToNull: Readonly<Record<string, string>> = {
  'public.episodes': 'current_referral_id',
  'public.messages': 'reply_to_id',
  'public.folders': 'parent_folder_id',
}

function nullsFirst(answer: Answer): TableAnswer[] {
  return answer.filter(({ table, gone }) => columnsToNull[table] !== undefined && gone.length > 0)
}

function nulled(entry: Pick<TableAnswer, 'table' | 'key'>, gone: string[][]): [string, unknown[]] {
  return [
    `UPDATE ${entry.table} t SET ${columnsToNull[entry.table]} = NULL WHERE ${isGiven(entry)}`,
    arrays(entry, gone),
  ]
}

function update({ table, key, columns, changed }: TableAnswer): [string, unknown[]] {
  const same = key.map(({ name }) => `t.${quoted(name)} = n.${quoted(name)}`).join(' AND ')
  const set = columns.map((name) => `${quoted(name)} = n.${quoted(name)}`).join(', ')
  return [
    `UPDATE ${table} t SET ${set} FROM jsonb_populate_recordset(NULL::${table}, $1) n WHERE ${same}`,
    [JSON.stringify(changed)],
  ]
}

function isGiven({ key }: Pick<TableAnswer, 'key'>): string {
  const given = key.map(({ type }, i) => `$${i + 1}::text[]::${type}[]`)
  const own = key.map(({ name }) => `t.${quoted(name)}`)
  return own.length === 1
    ? `${own[0]} = ANY (${given[0]})`
    : `(${own.join(', ')}) IN (SELECT * FROM unnest(${given.join(', ')}))`
}

function arrays({ key }: Pick<TableAnswer, 'key'>, rows: readonly string[][]): string[][] {
  return key.map((_, i) => rows.map((row) => row[i] ?? ''))
}

/** As many at a time as given, the next as soon as one has ended. */
export async function atOnce<T>(
  items: readonly T[],
  lanes: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const open = items.values()
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const item of open) await work(item)
    }),
  )
}

export function pages<T>(items: readonly T[], size: number): T[][] {
  const found: T[][] = []
  for (let from = 0; from < items.length; from += size) found.push(items.slice(from, from + size))
  return found
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}
