/**
 * A small SendGrid on the loopback: the endpoints that the eraser uses, in the wire format of the vendor's OpenAPI
 * document of 2026-01 (Recipients' Data Erasure, Contacts, Suppressions, Scopes), with their limits, and with failures
 * on demand.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { z } from 'zod'

export interface SendgridRequest {
  method: string
  path: string
  query: URLSearchParams
  body: Record<string, string[]>
  headers: IncomingMessage['headers']
}

export interface SendgridAnswer {
  status: number
  body?: unknown
  headers?: Record<string, string>
}

export interface SendgridContact {
  id: string
  email: string
  alternate_emails: string[]
}

export interface SendgridServer {
  baseUrl: string
  port: number
  contacts: SendgridContact[]
  /** Addresses by list; groups as `group 7`. */
  lists: Map<string, Set<string>>
  /** Addresses that erasure jobs were started for. */
  erased: string[]
  requests: SendgridRequest[]
  scopes: string[]
  /** Contacts, by id, whose deletion is accepted and never done. */
  lies: Set<string>
  /** Addresses and ids that are refused with 400 wherever they stand. */
  refused: Set<string>
  /** How a deletion of contacts ends, and whether it has. */
  deletion: 'completed' | 'failed' | 'errored'
  /** Contacts are gone at once while their job is still told to be pending; false: with the job. */
  atOnce: boolean
  /** In place of the answer; "hang" never answers, "drop" ends the connection after the effect. */
  fail: (request: SendgridRequest) => SendgridAnswer | 'hang' | 'drop' | undefined
  settle(): void
  reset(): void
  close(): Promise<void>
}

const lists = new Set(['bounces', 'blocks', 'spam_reports', 'invalid_emails'])
const bodies = z.record(z.string(), z.array(z.string()))

export async function startSendgrid(): Promise<SendgridServer> {
  const jobs = new Map<string, { ids: string[]; over: boolean }>()
  let count = 0
  const newJob = () => `12a975bd-c742-4713-8f47-${String((count += 1)).padStart(12, '0')}`

  const remove = (ids: readonly string[]) => {
    state.contacts = state.contacts.filter(({ id }) => !ids.includes(id) || state.lies.has(id))
  }
  const listOf = (name: string) => {
    const list = state.lists.get(name) ?? new Set()
    state.lists.set(name, list)
    return list
  }

  const answer = ({ method, path, query, body }: SendgridRequest): SendgridAnswer => {
    const part = path.split('/').slice(2).map(decodeURIComponent)
    const [one, two, three] = part
    const named = [...Object.values(body).flat(), ...(query.get('ids')?.split(',') ?? []), ...part]
    const bad = named.find((value) => state.refused.has(value))
    const route = `${method} ${one ?? ''}`
    if (bad !== undefined && method !== 'GET' && !path.endsWith('/search/emails'))
      return invalid(`Email_address ${bad} is not valid`)

    if (path === '/v3/scopes') return { status: 200, body: { scopes: state.scopes } }
    if (path === '/v3/recipients/erasejob') {
      const addresses = body['email_addresses'] ?? []
      if (addresses.length === 0 || addresses.length > 5000) return invalid('too many addresses')
      if (Buffer.byteLength(JSON.stringify(body)) > 256 * 1024)
        return { ...invalid('too large'), status: 413 }
      state.erased.push(...addresses)
      return { status: 202, body: { job_id: newJob() } }
    }
    if (path === '/v3/marketing/contacts/search/emails') return search(state.contacts, body['emails'] ?? [])
    if (path === '/v3/marketing/contacts' && method === 'DELETE') {
      const ids = (query.get('ids') ?? '').split(',').filter((id) => id !== '')
      if (query.has('delete_all_contacts'))
        throw new Error('somebody asked for the deletion of every contact')
      if (ids.length === 0) return invalid('ids or delete_all_contacts must be set')
      const id = newJob()
      jobs.set(id, { ids, over: false })
      if (state.atOnce) remove(ids)
      return { status: 202, body: { job_id: id } }
    }
    if (path.startsWith('/v3/marketing/contacts/imports/')) {
      const job = jobs.get(part[3] ?? '')
      if (job === undefined) return { status: 404, body: { errors: [{ message: 'not found' }] } }
      const status = job.over ? state.deletion : 'pending'
      return { status: 200, body: { id: part[3], status, job_type: 'delete', results: {} } }
    }
    if (one === 'suppression' && two !== undefined && lists.has(two)) {
      const list = listOf(two)
      if (method === 'GET') {
        const found = list.has(three ?? '')
          ? [{ created: 1, email: three, reason: 'x', status: '5.1.1', ip: '10.0.0.1' }]
          : []
        return { status: 200, body: found }
      }
      const emails = body['emails'] ?? []
      if (emails.length === 0) throw new Error('a whole list would have been deleted')
      for (const email of emails) list.delete(email)
      return { status: 204 }
    }
    if (one === 'asm' && two === 'suppressions' && three === 'global') {
      const list = listOf('unsubscribes')
      const email = part[3] ?? ''
      if (method === 'GET') return { status: 200, body: list.has(email) ? { recipient_email: email } : {} }
      return list.delete(email) ? { status: 204 } : { status: 404, body: { errors: [{ message: 'x' }] } }
    }
    if (route === 'GET asm' && two === 'suppressions') {
      const suppressions = [...state.lists]
        .filter(([name]) => name.startsWith('group '))
        .map(([name, list]) => ({
          id: Number(name.slice(6)),
          name,
          description: '',
          is_default: false,
          suppressed: list.has(three ?? ''),
        }))
      return { status: 200, body: { suppressions } }
    }
    if (route === 'DELETE asm' && two === 'groups') {
      listOf(`group ${three ?? ''}`).delete(part[4] ?? '')
      return { status: 204 }
    }
    return { status: 404, body: { errors: [{ message: 'Not Found', field: '' }] } }
  }

  const server = createServer((incoming, outgoing) => {
    void (async () => {
      const request = await read(incoming)
      state.requests.push(request)
      const failure = state.fail(request)
      if (failure === 'hang') return
      const given = failure === undefined || failure === 'drop' ? answer(request) : failure
      if (failure === 'drop') outgoing.destroy()
      else send(outgoing, given)
    })().catch((error: unknown) => {
      send(outgoing, { status: 500, body: { errors: [{ message: String(error) }] } })
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')

  const state: SendgridServer = {
    baseUrl: `http://127.0.0.1:${address.port}`,
    port: address.port,
    contacts: [],
    lists: new Map(),
    erased: [],
    requests: [],
    scopes: [],
    lies: new Set(),
    refused: new Set(),
    deletion: 'completed',
    atOnce: true,
    fail: () => undefined,
    settle() {
      for (const job of jobs.values()) {
        if (!job.over && state.deletion === 'completed') remove(job.ids)
        job.over = true
      }
    },
    reset() {
      jobs.clear()
      Object.assign(state, { contacts: [], lists: new Map(), erased: [], requests: [] })
      Object.assign(state, { lies: new Set(), refused: new Set(), deletion: 'completed', atOnce: true })
      state.scopes = ['recipients.erasejob.create', 'recipients.erasejob.read']
      state.fail = () => undefined
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  state.reset()
  return state
}

/** 404 where nobody is found; else each address has its contact or an error. Found by alternate addresses too. */
function search(contacts: readonly SendgridContact[], emails: readonly string[]): SendgridAnswer {
  if (emails.length > 100) return invalid('more than 100 emails')
  if (emails.some((email) => !/^[^@]+@[^@]+\.[a-z]{2,}$/i.test(email) || email.length > 100))
    return invalid('invalid email')
  const result = emails.map((given) => {
    const email = given.toLowerCase()
    const contact = contacts.find((one) => one.email === email || one.alternate_emails.includes(email))
    const times = { created_at: '2021-03-02T15:25:47Z', updated_at: '2021-03-30T15:26:16Z' }
    return [
      email,
      contact === undefined
        ? { error: 'contact not found' }
        : { contact: { ...contact, ...times, list_ids: [], segment_ids: [] } },
    ] as const
  })
  if (result.every(([, one]) => 'error' in one))
    return { status: 404, body: { errors: [{ message: 'none' }] } }
  return { status: 200, body: { result: Object.fromEntries(result) } }
}

function invalid(message: string): SendgridAnswer {
  return { status: 400, body: { errors: [{ message, field: 'email_addresses' }] } }
}

async function read(incoming: IncomingMessage): Promise<SendgridRequest> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(Buffer.from(chunk as Uint8Array))
  const text = Buffer.concat(chunks).toString()
  const url = new URL(incoming.url ?? '/', 'http://127.0.0.1')
  return {
    method: incoming.method ?? '',
    path: url.pathname,
    query: url.searchParams,
    body: text === '' ? {} : bodies.parse(JSON.parse(text)),
    headers: incoming.headers,
  }
}

function send(outgoing: ServerResponse, { status, body, headers }: SendgridAnswer): void {
  outgoing.writeHead(status, { 'content-type': 'application/json', ...headers })
  outgoing.end(body === undefined ? undefined : JSON.stringify(body))
}
