/**
 * A small Stripe on the loopback that remembers: customers and redaction jobs in the wire format of the vendor's
 * OpenAPI document, with failures on demand. stripe-mock, the vendor's own, checks the form of what we send, but
 * remembers nothing and never fails.
 */
import {
  answerOrFail,
  startHttp,
  type Asked,
  type Failure,
  type HttpServer,
  type JsonAnswer,
} from '../servers/http-server.ts'

export interface StripeRequest {
  method: string
  path: string
  /** Of the address and of the body, as sent: `objects[customers][0]`. */
  fields: URLSearchParams
  headers: Asked['headers']
}

export interface StripeCustomer {
  id: string
  email: string
  state: 'present' | 'deleted' | 'redacted'
}

export interface StripeJob {
  id: string
  status: string
  customers: string[]
  errors: string[]
}

export interface StripeServer extends HttpServer {
  customers: StripeCustomer[]
  jobs: StripeJob[]
  requests: StripeRequest[]
  /** Customers that are said to be deleted and are not. */
  lies: Set<string>
  /** Customers whose deletion is refused, and whose redaction fails validation. */
  refused: Set<string>
  preview: boolean
  /** What the search still shows beside what is there. */
  stale: StripeCustomer[]
  fail: (request: StripeRequest) => Failure | undefined
  /** Each job takes its next step by itself: validation, redaction. */
  settle(): void
  reset(): void
}

const JOBS = '/v1/privacy/redaction_jobs'

export async function startStripe(): Promise<StripeServer> {
  let count = 0
  const keys = new Map<string, JsonAnswer>()

  const answer = (request: StripeRequest): JsonAnswer => {
    const { method, path, fields, headers } = request
    if (headers.authorization !== 'Bearer sk_test_of_the_tests') return failed(401, 'invalid_api_key')
    const key = headers['idempotency-key']
    const former = typeof key === 'string' ? keys.get(key) : undefined
    if (former !== undefined) return former
    const given = path.startsWith(JOBS) ? redaction(request) : customers(method, path, fields, headers)
    if (typeof key === 'string') keys.set(key, given)
    return given
  }

  const customers = (
    method: string,
    path: string,
    fields: URLSearchParams,
    headers: Asked['headers'],
  ): JsonAnswer => {
    const present = () => state.customers.filter((one) => one.state === 'present')
    if (path === '/v1/customers') {
      const email = fields.get('email')
      if (email === null || email === '') throw new Error('every customer would have been listed')
      return page(
        present().filter((one) => one.email === email),
        fields,
        'starting_after',
      )
    }
    if (path === '/v1/customers/search') {
      const clauses = [...(fields.get('query') ?? '').matchAll(/email:'((?:\\.|[^'\\])*)'/g)]
      if (clauses.length === 0 || clauses.length > 10) return failed(400, 'parameter_invalid')
      const wanted = new Set(clauses.map(([, text = '']) => text.replaceAll('\\', '').toLowerCase()))
      const found = [...present(), ...state.stale].filter((one) => wanted.has(one.email.toLowerCase()))
      return page(found, fields, 'page')
    }
    const id = decodeURIComponent(path.split('/')[3] ?? '')
    const one = state.customers.find((customer) => customer.id === id)
    if (one === undefined) return failed(404, 'resource_missing')
    if (method === 'DELETE') {
      if (state.refused.has(id)) return failed(400, 'customer_refused', `No: ${one.email}`)
      if (one.state === 'deleted') return failed(404, 'resource_missing')
      if (!state.lies.has(id)) one.state = 'deleted'
      return { status: 200, body: { id, object: 'customer', deleted: true } }
    }
    if (one.state === 'deleted') return { status: 200, body: { id, object: 'customer', deleted: true } }
    return { status: 200, body: shown(one, String(headers['stripe-version']).endsWith('.preview')) }
  }

  const redaction = ({ method, path, fields, headers }: StripeRequest): JsonAnswer => {
    if (!state.preview || !String(headers['stripe-version']).endsWith('.preview'))
      return {
        status: 404,
        body: { error: { type: 'invalid_request_error', message: 'Unrecognized request URL' } },
      }
    if (path === JOBS && method === 'GET') return page([], fields, 'starting_after')
    if (path === JOBS) {
      const ids = [...fields].filter(([name]) => name.startsWith('objects[customers]')).map(([, id]) => id)
      if (ids.length === 0 || ids.length > 10) return failed(400, 'parameter_invalid')
      if (ids.some((id) => !state.customers.some((one) => one.id === id)))
        return failed(404, 'resource_missing')
      const job = { id: `prj_${(count += 1)}`, status: 'validating', customers: ids, errors: [] }
      state.jobs.push(job)
      return { status: 200, body: told(job) }
    }
    const [, , , , id, action] = path.split('/')
    const job = state.jobs.find((one) => one.id === id)
    if (job === undefined) return failed(404, 'resource_missing')
    if (action === 'run') {
      if (job.status !== 'ready') return failed(400, 'job_not_ready')
      job.status = 'redacting'
    }
    if (action === 'cancel') {
      if (job.status !== 'ready' && job.status !== 'failed') return failed(400, 'job_not_cancelable')
      job.status = 'canceled'
    }
    return { status: 200, body: told(job) }
  }

  const validate = (job: StripeJob) => {
    const held = state.jobs.filter(
      (other) => other !== job && ['ready', 'failed', 'redacting'].includes(other.status),
    )
    const locked = job.customers.some((id) => held.some((other) => other.customers.includes(id)))
    const bad = job.customers.some((id) => state.refused.has(id))
    job.errors = [...(locked ? ['locked_by_other_job'] : []), ...(bad ? ['invalid_state'] : [])]
    job.status = job.errors.length > 0 ? 'failed' : 'ready'
  }

  const http = await startHttp((asked) => answerOrFail(state, requestOf(asked), answer))
  const state: StripeServer = {
    ...http,
    customers: [],
    jobs: [],
    requests: [],
    lies: new Set(),
    refused: new Set(),
    preview: true,
    stale: [],
    fail: () => undefined,
    settle() {
      for (const job of state.jobs) {
        if (job.status === 'validating') validate(job)
        else if (job.status === 'redacting') {
          job.status = 'succeeded'
          for (const one of state.customers)
            if (job.customers.includes(one.id) && !state.lies.has(one.id)) one.state = 'redacted'
        }
      }
    },
    reset() {
      keys.clear()
      Object.assign(state, { customers: [], jobs: [], requests: [], stale: [], preview: true })
      Object.assign(state, { lies: new Set(), refused: new Set() })
      state.fail = () => undefined
    },
  }
  return state
}

/** By two, so that whoever reads only the first page is found out. */
function page(all: readonly StripeCustomer[], fields: URLSearchParams, cursor: string): JsonAnswer {
  const from = fields.get(cursor)
  const start = from === null ? 0 : all.findIndex(({ id }) => id === from) + 1
  const data = all.slice(start, start + 2)
  const more = start + 2 < all.length
  return {
    status: 200,
    body: {
      object: cursor === 'page' ? 'search_result' : 'list',
      url: '/v1/customers',
      has_more: more,
      data: data.map((one) => shown(one, false)),
      ...(cursor === 'page' ? { next_page: more ? data.at(-1)?.id : null } : {}),
    },
  }
}

function shown({ id, email, state }: StripeCustomer, preview: boolean) {
  const redacted = state === 'redacted'
  return {
    id,
    object: 'customer',
    email: redacted ? '[redacted]' : email,
    ...(preview ? { redaction: redacted ? { status: 'redacted' } : null } : {}),
  }
}

function told({ id, status, customers, errors }: StripeJob) {
  return {
    id,
    object: 'privacy.redaction_job',
    created: 1,
    livemode: false,
    status,
    validation_behavior: 'error',
    objects: { customers },
    validation_errors: {
      object: 'list',
      has_more: false,
      url: `${JOBS}/${id}/validation_errors`,
      data: errors.map((code) => ({ id: 'x', object: 'privacy.redaction_job_validation_error', code })),
    },
  }
}

function failed(status: number, code: string, message = 'x'): JsonAnswer {
  return { status, body: { error: { type: 'invalid_request_error', code, message } } }
}

function requestOf({ method, path, headers, body }: Asked): StripeRequest {
  const { pathname, searchParams } = new URL(path, 'http://127.0.0.1')
  const fields = new URLSearchParams([...searchParams, ...new URLSearchParams(body)])
  return { method, path: pathname, fields, headers }
}
