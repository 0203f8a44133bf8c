/**
 * S3, DynamoDB and a processor of the team's own, emulated in a process of their own: every call is answered 5 ms after it
 * came, so that what is measured is the caller's way of calling and nobody's disk. They speak as much of each wire format as
 * an erasure needs, keep what they hold in memory, and count what they were asked.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { z } from 'zod'

const CALL_MS = 5

export const amounts = { objects: 6, items: 10, letters: 2 } as const

export const bucket = 'clinic-files'
export const table = 'readings'

const order = z.discriminatedUnion('do', [
  /** Holds what these patients have; nothing else. */
  z.object({ do: z.literal('load'), ids: z.array(z.string()) }),
  /** Answers with the calls since the last count and what is left, in all. */
  z.object({ do: z.literal('count') }),
])
export type Order = z.infer<typeof order>

/** What the process says to its parent: its addresses first, then one answer an order. */
export const tally = z.object({ calls: z.record(z.string(), z.number()), left: z.number() })
export const addresses = z.object({ s3: z.string(), dynamodb: z.string(), processor: z.string() })
export type Addresses = z.infer<typeof addresses>

export const objectKeys = (id: string) =>
  Array.from({ length: amounts.objects }, (_, number) => `patients/${id}/document-${number}.pdf`)
export const itemKeys = (id: string) =>
  Array.from({ length: amounts.items }, (_, number) => ({
    pk: { S: `PATIENT#${id}` },
    sk: { S: `READING#${number}` },
  }))

const objects = new Map<string, Set<string>>()
const items = new Map<string, Set<string>>()
const letters = new Map<string, number>()
const calls = new Map<string, number>()

function load(ids: readonly string[]): void {
  for (const id of ids) {
    objects.set(`patients/${id}/`, new Set(objectKeys(id)))
    items.set(`PATIENT#${id}`, new Set(itemKeys(id).map(({ sk }) => sk.S)))
    letters.set(id, amounts.letters)
  }
}

function left(): number {
  const sizes = [...objects.values(), ...items.values()].map(({ size }) => size)
  return [...sizes, ...letters.values()].reduce((all, one) => all + one, 0)
}

interface Reply {
  call: string
  status?: number
  body: string
}

// ------------------------------------------------------------ S3

const xml = (name: string, content: string) =>
  `<?xml version="1.0" encoding="UTF-8"?><${name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${content}</${name}>`

function s3({ method, url = '' }: IncomingMessage, body: string): Reply {
  const { pathname, searchParams: query } = new URL(url, 'http://s3')
  const prefix = query.get('prefix') ?? ''
  if (query.has('object-lock'))
    return {
      call: 'GetObjectLockConfiguration',
      status: 404,
      body: xml('Error', '<Code>ObjectLockConfigurationNotFoundError</Code>'),
    }
  if (query.has('uploads'))
    return {
      call: 'ListMultipartUploads',
      body: xml('ListMultipartUploadsResult', '<IsTruncated>false</IsTruncated>'),
    }
  if (query.has('versions')) {
    const found = [...(objects.get(prefix) ?? [])].map(
      (key) =>
        `<Version><Key>${key}</Key><VersionId>v1</VersionId><IsLatest>true</IsLatest><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;0&quot;</ETag><Size>1</Size><StorageClass>STANDARD</StorageClass></Version>`,
    )
    return {
      call: 'ListObjectVersions',
      body: xml('ListVersionsResult', `<IsTruncated>false</IsTruncated>${found.join('')}`),
    }
  }
  if (query.has('delete')) {
    const gone = [...body.matchAll(/<Key>([^<]+)<\/Key>/g)].map(([, key = '']) => key)
    for (const key of gone) objects.get(prefixOf(key))?.delete(key)
    const told = gone.map((key) => `<Deleted><Key>${key}</Key><VersionId>v1</VersionId></Deleted>`)
    return { call: 'DeleteObjects', body: xml('DeleteResult', told.join('')) }
  }
  if (method !== 'DELETE') return { call: 'unknown', status: 501, body: '' }
  const key = decodeURIComponent(pathname.slice(`/${bucket}/`.length))
  objects.get(prefixOf(key))?.delete(key)
  return { call: 'DeleteObject', status: 204, body: '' }
}

const prefixOf = (key: string) => key.slice(0, key.lastIndexOf('/') + 1)

// ------------------------------------------------------------ DynamoDB

const keySchema = z.object({ pk: z.object({ S: z.string() }), sk: z.object({ S: z.string() }) })
const asked = {
  Query: z.object({ ExpressionAttributeValues: z.object({ ':v0': z.object({ S: z.string() }) }) }),
  BatchWriteItem: z.object({
    RequestItems: z.record(
      z.string(),
      z.array(z.object({ DeleteRequest: z.object({ Key: keySchema }) })).max(25),
    ),
  }),
  DeleteItem: z.object({ Key: keySchema }),
}

function dynamodb({ headers }: IncomingMessage, body: string): Reply {
  const call = String(headers['x-amz-target']).split('.')[1] ?? ''
  const given: unknown = JSON.parse(body)
  const say = (answer: unknown): Reply => ({ call, body: JSON.stringify(answer) })
  const remove = ({ pk, sk }: z.infer<typeof keySchema>) => items.get(pk.S)?.delete(sk.S)
  if (call === 'DescribeTable')
    return say({
      Table: {
        TableName: table,
        TableStatus: 'ACTIVE',
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
        AttributeDefinitions: [
          { AttributeName: 'pk', AttributeType: 'S' },
          { AttributeName: 'sk', AttributeType: 'S' },
        ],
      },
    })
  if (call === 'Query') {
    const pk = asked.Query.parse(given).ExpressionAttributeValues[':v0'].S
    const found = [...(items.get(pk) ?? [])].map((sk) => ({ pk: { S: pk }, sk: { S: sk } }))
    return say({ Items: found, Count: found.length, ScannedCount: found.length })
  }
  if (call === 'BatchWriteItem') {
    for (const { DeleteRequest } of Object.values(asked.BatchWriteItem.parse(given).RequestItems).flat())
      remove(DeleteRequest.Key)
    return say({ UnprocessedItems: {} })
  }
  if (call !== 'DeleteItem') return { call, status: 400, body: '{}' }
  remove(asked.DeleteItem.parse(given).Key)
  return say({})
}

// ------------------------------------------------------------ the processor: runbooks/webhook-processor.md

const message = z.object({
  type: z.string(),
  data: z.object({
    subjects: z.array(z.object({ identifiers: z.object({ id: z.array(z.string()) }) })).default([]),
  }),
})

function processor(_request: IncomingMessage, body: string): Reply {
  const { type, data } = message.parse(JSON.parse(body))
  const each = data.subjects.map(({ identifiers }) => identifiers.id)
  const of = (ids: readonly string[]) => ids.reduce((sum, id) => sum + (letters.get(id) ?? 0), 0)
  if (type === 'lethe.verify')
    return {
      call: 'verify',
      body: JSON.stringify({
        subjects: each.map((ids) => ({ left: of(ids) === 0 ? {} : { letters: of(ids) } })),
      }),
    }
  const removed = of(each.flat())
  for (const id of each.flat()) letters.set(id, 0)
  return { call: 'erase', body: JSON.stringify({ removed: { letters: removed } }) }
}

// ------------------------------------------------------------ the process

async function listen(answer: (request: IncomingMessage, body: string) => Reply): Promise<string> {
  const server: Server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      setTimeout(() => {
        const { call, status = 200, body } = answer(request, Buffer.concat(parts).toString())
        calls.set(call, (calls.get(call) ?? 0) + 1)
        response.writeHead(status, {
          'content-type': body.startsWith('<') ? 'application/xml' : 'application/json',
        })
        response.end(body)
      }, CALL_MS)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('no port')
  return `http://127.0.0.1:${bound.port}`
}

if (import.meta.main) {
  process.on('disconnect', () => process.exit())
  process.on('message', (given) => {
    const asked = order.parse(given)
    if (asked.do === 'load') load(asked.ids)
    process.send?.({ calls: Object.fromEntries(calls), left: left() })
    calls.clear()
  })
  process.send?.({
    s3: await listen(s3),
    dynamodb: await listen(dynamodb),
    processor: await listen(processor),
  })
}
