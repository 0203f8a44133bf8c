/**
 * Salesforce's REST API as it documents it, as far as the eraser speaks it: the client-credentials flow, queryAll with its
 * pages, sObject collections with their outcomes in a 200, describe. Text compares without regard to case, ids are
 * answered with 18 characters, a deleted record stays in the recycle bin.
 */
import { startJsonServer, type Answer, type JsonServer, type Seen } from '../servers/json-server.ts'

export interface SalesforceRecord {
  type: string
  id: string
  fields: Record<string, string | boolean | null>
  deleted: boolean
  changedAt: string
}

export interface FakeSalesforce extends JsonServer {
  readonly clientId: string
  readonly clientSecret: string
  records: SalesforceRecord[]
  /** By id: the code of the refusal. */
  refusals: Map<string, string>
  /** Ids of whose deletion success is said and nothing done. */
  lies: Set<string>
  /** By object: what a describe says, where it isn't everything. */
  rights: Map<string, Partial<Record<'queryable' | 'deletable' | 'updateable', boolean>>>
  /** Records a page; a real one has 2,000. */
  pageSize: number
  tokens: number
  /** No token that was given before is taken any more. */
  expireTokens(): void
  add(type: string, fields: SalesforceRecord['fields']): string
  empty(): void
}

export const DELETED_AT = '2026-11-20T10:00:00.000+0000'

export async function startSalesforce(): Promise<FakeSalesforce> {
  let valid = ''
  let made = 0
  const cursors = new Map<string, { records: SalesforceRecord[]; fields: string[] }>()
  const server = await startJsonServer((seen) => handle(seen))
  const salesforce: FakeSalesforce = Object.assign(server, {
    clientId: 'the-client',
    clientSecret: 'the-secret',
    records: [],
    refusals: new Map<string, string>(),
    lies: new Set<string>(),
    rights: new Map<string, Partial<Record<'queryable' | 'deletable' | 'updateable', boolean>>>(),
    pageSize: 3,
    tokens: 0,
    expireTokens: () => (valid = ''),
    add(type: string, fields: SalesforceRecord['fields']) {
      const id = `${{ Contact: '003', Case: '500' }[type] ?? 'a00'}xx${String(++made).padStart(10, '0')}AAA`
      salesforce.records.push({ type, id, fields, deleted: false, changedAt: '2026-01-01T00:00:00.000+0000' })
      return id
    },
    empty() {
      salesforce.records = []
      salesforce.refusals.clear()
      salesforce.lies.clear()
      salesforce.rights.clear()
      salesforce.seen.length = 0
      salesforce.fault = () => null
    },
  })

  function handle(seen: Seen): Answer {
    if (seen.path === '/services/oauth2/token') return token(seen)
    if (valid === '' || seen.headers.authorization !== `Bearer ${valid}`)
      return failed(401, 'INVALID_SESSION_ID', 'Session expired or invalid')
    const path = seen.path.replace(/^\/services\/data\/v66\.0/, '')
    if (path === '/queryAll') return query(seen.query.get('q') ?? '')
    const cursor = cursors.get(path.replace('/query/', ''))
    if (cursor !== undefined) return pageOf(cursor.records, cursor.fields)
    if (path === '/composite/sobjects' && seen.method === 'DELETE')
      return each((seen.query.get('ids') ?? '').split(','), remove)
    if (path === '/composite/sobjects' && seen.method === 'PATCH') return patch(seen.text)
    const described = /^\/sobjects\/(\w+)\/describe$/.exec(path)?.[1]
    if (described !== undefined)
      return {
        status: 200,
        body: { queryable: true, deletable: true, updateable: true, ...salesforce.rights.get(described) },
      }
    return failed(404, 'NOT_FOUND', 'The requested resource does not exist')
  }

  function token(seen: Seen): Answer {
    const form = new URLSearchParams(seen.text)
    const right =
      form.get('grant_type') === 'client_credentials' &&
      form.get('client_id') === salesforce.clientId &&
      form.get('client_secret') === salesforce.clientSecret &&
      seen.headers['content-type']?.startsWith('application/x-www-form-urlencoded')
    if (right !== true)
      return {
        status: 400,
        body: { error: 'invalid_client', error_description: 'invalid client credentials' },
      }
    valid = `token-${++salesforce.tokens}`
    return {
      status: 200,
      body: { access_token: valid, instance_url: 'https://elsewhere.invalid', token_type: 'Bearer' },
    }
  }

  function query(soql: string): Answer {
    const parts = /^SELECT (?<fields>.+?) FROM (?<type>\w+) WHERE (?<where>.+?)(?<limit> LIMIT 1)?$/.exec(
      soql,
    )?.groups
    if (parts === undefined) return failed(400, 'MALFORMED_QUERY', `unexpected token: '${soql}'`)
    const { fields = '', type = '', where = '', limit } = parts
    if (limit !== undefined) return pageOf([], [])
    const wanted = /^([\w.]+) IN \((.*)\)$/.exec(where)
    const values = literals(wanted?.[2] ?? '')
    if (values === null) return failed(400, 'MALFORMED_QUERY', `unexpected token: '${where}'`)
    const field = wanted?.[1] ?? ''
    const found = salesforce.records.filter(
      (record) => record.type === type && values.some((value) => isEqual(value, valueOf(record, field))),
    )
    return pageOf(found, fields.split(', '))
  }

  function pageOf(records: SalesforceRecord[], fields: string[]): Answer {
    const now = records.slice(0, salesforce.pageSize)
    const later = records.slice(salesforce.pageSize)
    const body = {
      done: later.length === 0,
      totalSize: records.length,
      records: now.map((record) => shown(record, fields)),
    }
    if (later.length === 0) return { status: 200, body }
    const cursor = `0r8xx${cursors.size}-${salesforce.pageSize}`
    cursors.set(cursor, { records: later, fields })
    return { status: 200, body: { ...body, nextRecordsUrl: `/services/data/v66.0/query/${cursor}` } }
  }

  function each(ids: string[], act: (id: string) => string | null): Answer {
    if (ids.length > 200) return failed(400, 'INVALID_INPUT', 'Too many records')
    const body = ids.map((id) => {
      const code = act(id)
      const errors = code === null ? [] : [{ statusCode: code, message: `refused for ${id}`, fields: [] }]
      return { id, success: code === null, errors }
    })
    return { status: 200, body }
  }

  function remove(id: string): string | null {
    const record = salesforce.records.find((record) => record.id === id)
    if (record === undefined) return 'INVALID_CROSS_REFERENCE_KEY'
    if (record.deleted) return 'ENTITY_IS_DELETED'
    const code = salesforce.refusals.get(id)
    if (code !== undefined) return code
    if (salesforce.lies.has(id)) return null
    record.deleted = true
    record.changedAt = DELETED_AT
    return null
  }

  function patch(text: string): Answer {
    const { records } = JSON.parse(text) as { records: { id: string; ShouldForget: boolean }[] }
    return each(
      records.map(({ id }) => id),
      (id) => {
        const record = salesforce.records.find((record) => record.id === id)
        const code =
          record === undefined ? 'INVALID_CROSS_REFERENCE_KEY' : (salesforce.refusals.get(id) ?? null)
        if (record !== undefined && code === null)
          record.fields['ShouldForget'] = records.find((one) => one.id === id)?.ShouldForget ?? false
        return code
      },
    )
  }
  return salesforce
}

function shown(record: SalesforceRecord, fields: string[]): Record<string, unknown> {
  const body: Record<string, unknown> = { attributes: { type: record.type } }
  for (const field of fields) {
    const [first = '', second] = field.split('.')
    body[first] = second === undefined ? valueOf(record, field) : { [second]: valueOf(record, field) }
  }
  return body
}

function valueOf(record: SalesforceRecord, field: string): string | boolean | null {
  if (field === 'Id') return record.id
  if (field === 'IsDeleted') return record.deleted
  if (field === 'SystemModstamp') return record.changedAt
  return record.fields[field] ?? null
}

/** Spaces at the end count for nothing either. */
function isEqual(wanted: string, found: string | boolean | null): boolean {
  if (typeof found !== 'string') return false
  if (found.length === 18 && wanted.length === 15) return found.startsWith(wanted)
  return found.trimEnd().toLowerCase() === wanted.trimEnd().toLowerCase()
}

/** Quoted texts with a comma between them; null where that is not what stands there. */
function literals(text: string): string[] | null {
  const values: string[] = []
  let rest = text
  while (rest !== '') {
    const found = /^'((?:[^'\\]|\\['"\\])*)'(,|$)/.exec(rest)
    if (found === null) return null
    values.push((found[1] ?? '').replace(/\\(.)/g, '$1'))
    rest = rest.slice(found[0].length)
  }
  return values
}

function failed(status: number, errorCode: string, message: string): Answer {
  return { status, body: [{ errorCode, message }] }
}
