/**
 * Stands before a DynamoDB server and does what the service does under load and an emulator doesn't: leaves parts of a
 * batch undone, throttles, refuses keys, shows an index as it was. Whatever it says was not done never reaches the server.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'

const key = z.record(z.string(), z.unknown())
const writes = z.record(z.string(), z.array(z.object({ DeleteRequest: z.object({ Key: key }) })))
const writeBody = z.looseObject({ RequestItems: writes })
const readBody = z.looseObject({
  RequestItems: z.record(z.string(), z.looseObject({ Keys: z.array(key) })),
})

export interface Call {
  /** `Query`, `BatchWriteItem`, … */
  operation: string
  body: string
  /** Of this operation, from 1. */
  count: number
}

export interface DynamodbFaults {
  endpoint: string
  /** All calls since `reset`, in order. */
  readonly calls: readonly Call[]
  /** Answers a call with this error of the service instead of passing it on. */
  fail?: ((call: Call) => { name: string; status?: number } | undefined) | undefined
  /** Deletes that stay undone and come back as UnprocessedItems. */
  leaveUndone?: ((deleteKey: string, call: Call) => boolean) | undefined
  /** Deletes that are not done, and success is reported. */
  lieAbout?: ((deleteKey: string) => boolean) | undefined
  /** Keys of a BatchGetItem that come back as UnprocessedKeys. */
  leaveUnread?: ((readKey: string, call: Call) => boolean) | undefined
  /** What a call answers instead of the server: its own earlier answer, say. */
  rewrite?: ((call: Call, answer: string) => string) | undefined
  /** Before each answer. */
  delayMs?: number | undefined
  reset(): void
  close(): Promise<void>
}

export async function startDynamodbFaults(upstream: string): Promise<DynamodbFaults> {
  let calls: Call[] = []
  const server = createServer((request, response) => {
    void handle(request, response).catch(() => response.destroy())
  })
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const operation = String(request.headers['x-amz-target']).split('.')[1] ?? ''
    const count = calls.filter((call) => call.operation === operation).length + 1
    const call = { operation, body: Buffer.concat(chunks).toString(), count }
    calls.push(call)
    if (faults.delayMs !== undefined) await delay(faults.delayMs)
    const failure = faults.fail?.(call)
    if (failure !== undefined) {
      const type = `com.amazonaws.dynamodb.v20120810#${failure.name}`
      // The service's own messages quote keys: the whole request stands for that.
      send(response, failure.status ?? 400, JSON.stringify({ __type: type, message: call.body }))
      return
    }
    const pass = async (body: string) => {
      const answer = await fetch(upstream, { method: 'POST', headers: headersOf(request), body })
      return { status: answer.status, text: await answer.text() }
    }
    const { status, text } = await answerTo(call, pass)
    send(response, status, faults.rewrite?.(call, text) ?? text)
  }

  const answerTo = async (
    call: Call,
    pass: (body: string) => Promise<{ status: number; text: string }>,
  ): Promise<{ status: number; text: string }> => {
    if (call.operation === 'BatchWriteItem' && (faults.leaveUndone ?? faults.lieAbout) !== undefined) {
      const body = writeBody.parse(JSON.parse(call.body))
      const undone = new Set(
        Object.values(body.RequestItems)
          .flat()
          .filter(({ DeleteRequest }) => faults.leaveUndone?.(JSON.stringify(DeleteRequest.Key), call)),
      )
      const lied = (key: unknown) => faults.lieAbout?.(JSON.stringify(key)) === true
      const left = some(body.RequestItems, (request) => undone.has(request))
      const done = some(
        body.RequestItems,
        (request) => !undone.has(request) && !lied(request.DeleteRequest.Key),
      )
      if (Object.keys(done).length > 0) {
        const answer = await pass(JSON.stringify({ ...body, RequestItems: done }))
        if (answer.status !== 200) return answer
      }
      return { status: 200, text: JSON.stringify({ UnprocessedItems: left }) }
    }
    if (call.operation === 'BatchGetItem' && faults.leaveUnread !== undefined) {
      const body = readBody.parse(JSON.parse(call.body))
      const left: typeof body.RequestItems = {}
      const asked: typeof body.RequestItems = {}
      for (const [table, request] of Object.entries(body.RequestItems)) {
        const unread = (key: unknown) => faults.leaveUnread?.(JSON.stringify(key), call) === true
        const [no, yes] = [request.Keys.filter(unread), request.Keys.filter((key) => !unread(key))]
        if (no.length > 0) left[table] = { ...request, Keys: no }
        if (yes.length > 0) asked[table] = { ...request, Keys: yes }
      }
      const none = { status: 200, text: '{"Responses":{}}' }
      const answer =
        Object.keys(asked).length === 0 ? none : await pass(JSON.stringify({ ...body, RequestItems: asked }))
      const parsed = z.looseObject({}).parse(JSON.parse(answer.text))
      return { ...answer, text: JSON.stringify({ ...parsed, UnprocessedKeys: left }) }
    }
    return pass(call.body)
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('no port')
  const faults: DynamodbFaults = {
    endpoint: `http://127.0.0.1:${bound.port}`,
    get calls() {
      return calls
    },
    reset() {
      calls = []
      for (const name of ['fail', 'leaveUndone', 'lieAbout', 'leaveUnread', 'rewrite', 'delayMs'] as const)
        faults[name] = undefined
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
  return faults
}

function some<T>(requests: Record<string, T[]>, which: (request: T) => boolean): Record<string, T[]> {
  return Object.fromEntries(
    Object.entries(requests)
      .map(([table, all]) => [table, all.filter((request) => which(request))] as const)
      .filter(([, kept]) => kept.length > 0),
  )
}

function headersOf(request: IncomingMessage): Record<string, string> {
  const kept = ['x-amz-target', 'content-type', 'authorization', 'x-amz-date']
  return Object.fromEntries(
    kept.flatMap((name) => {
      const value = request.headers[name]
      return typeof value === 'string' ? [[name, value]] : []
    }),
  )
}

function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' })
  response.end(text)
}
