/**
 * A small SendGrid on the loopback: the endpoints that the eraser uses, in the wire format of the vendor's OpenAPI
 * document of 2026-01 (Recipients' Data Erasure, Contacts, Suppressions, Scopes), with their limits, and with failures
 * on demand.
 */
import { z } from 'zod'
import {
  answerOrFail,
  startHttp,
  type Asked,
  type Failure,
  type HttpServer,
  type JsonAnswer,
} from '../servers/http-server.ts'

export interface SendgridRequest {
  method: string
  path: string
  query: URLSearchParams
  body: Record<string, string[]>
  headers: Asked['headers']
}

export interface SendgridContact {
  id: string
  email: string
  alternate_emails: string[]
}

export interface SendgridServer extends HttpServer {
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
  fail: (request: SendgridRequest) => Failure | undefined
  settle(): void
  reset(): void
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

  const answer = ({ method, path, query, body }: SendgridRequest): JsonAnswer => {
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

  const http = await startHttp((asked) => answerOrFail(state, requestOf(asked), answer))
  const state: SendgridServer = {
    ...http,
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
  }
  state.reset()
  return state
}

/** 404 where nobody is found; else each address has its contact or an error. Found by alternate addresses too. */
function search(contacts: readonly SendgridContact[], emails: readonly string[]): JsonAnswer {
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

function invalid(message: string): JsonAnswer {
  return { status: 400, body: { errors: [{ message, field: 'email_addresses' }] } }
}

function requestOf({ method, path, headers, body }: Asked): SendgridRequest {
  const { pathname, searchParams } = new URL(path, 'http://127.0.0.1')
  const parsed = body === '' ? {} : bodies.parse(JSON.parse(body))
  return { method, path: pathname, query: searchParams, body: parsed, headers }
}
