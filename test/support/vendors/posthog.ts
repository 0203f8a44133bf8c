/**
 * One PostHog project on the wire, as far as the eraser speaks to it: look-up by distinct ids (200 at most, the rest
 * dropped without a word), bulk deletion with errors in a 202, and the queries it sends, answered by what they ask for.
 * Events wait in a queue until the weekend.
 */
import { randomUUID } from 'node:crypto'
import { startJsonServer, type Answer, type JsonServer, type Seen } from '../servers/json-server.ts'

interface Person {
  uuid: string
  distinctIds: string[]
  email: string
}

export interface FakePosthog extends JsonServer {
  readonly apiKey: string
  persons: Person[]
  events: { distinctId: string; person: string; email: string }[]
  /** Persons whose events are to go. */
  queue: Set<string>
  /** Persons who can't be deleted. */
  refused: Set<string>
  /** Persons of whose deletion success is said and nothing done. */
  lies: Set<string>
  /** Whether every day is a weekend. */
  idle: boolean
  add(distinctIds: string[], email: string, events: number): string
  weekend(): void
  empty(): void
}

export async function startPosthog(): Promise<FakePosthog> {
  const server = await startJsonServer((seen) => handle(seen))
  const posthog: FakePosthog = Object.assign(server, {
    apiKey: 'phx_the_key',
    persons: [],
    events: [],
    queue: new Set<string>(),
    refused: new Set<string>(),
    lies: new Set<string>(),
    idle: true,
    add(distinctIds: string[], email: string, events: number) {
      const uuid = randomUUID()
      posthog.persons.push({ uuid, distinctIds, email })
      for (const distinctId of distinctIds)
        for (let n = 0; n < events; n++) posthog.events.push({ distinctId, person: uuid, email })
      return uuid
    },
    weekend() {
      posthog.events = posthog.events.filter(({ person }) => !posthog.queue.has(person))
      posthog.queue.clear()
    },
    empty() {
      posthog.persons = []
      posthog.events = []
      posthog.idle = true
      for (const set of [posthog.queue, posthog.refused, posthog.lies]) set.clear()
      posthog.seen.length = 0
      posthog.fault = () => null
    },
  })

  function handle(seen: Seen): Answer {
    if (seen.headers.authorization !== `Bearer ${posthog.apiKey}`)
      return failed(401, 'authentication_failed', 'Invalid personal API key.')
    const body = JSON.parse(seen.text) as Record<string, unknown>
    if (seen.path === '/api/projects/7/persons/batch_by_distinct_ids/')
      return lookUp(body['distinct_ids'] as string[])
    if (seen.path === '/api/projects/7/persons/bulk_delete/') return remove(body as unknown as Deletion)
    if (seen.path === '/api/projects/7/query/') return query(body as unknown as Query)
    return failed(404, 'not_found', 'Endpoint not found.')
  }

  function lookUp(ids: string[]): Answer {
    const results: Record<string, unknown> = {}
    for (const id of ids.slice(0, 200)) {
      const person = posthog.persons.find(({ distinctIds }) => distinctIds.includes(id))
      if (person !== undefined)
        results[id] = { id: 1, uuid: person.uuid, distinct_ids: person.distinctIds, properties: {} }
    }
    return { status: 200, body: { results } }
  }

  function remove({ ids, delete_events, delete_recordings }: Deletion): Answer {
    if (ids.length > 1000) return failed(400, 'invalid', 'You can only pass 1000 ids in one call')
    const found = posthog.persons.filter(({ uuid }) => ids.includes(uuid))
    const errors = found
      .filter(({ uuid }) => posthog.refused.has(uuid))
      .map(({ uuid }) => ({ person_uuid: uuid }))
    const going = found.filter(({ uuid }) => !posthog.refused.has(uuid) && !posthog.lies.has(uuid))
    posthog.persons = posthog.persons.filter((person) => !going.includes(person))
    if (delete_events) for (const { uuid } of going) posthog.queue.add(uuid)
    if (posthog.idle) posthog.weekend()
    return {
      status: 202,
      body: {
        persons_found: found.length,
        persons_deleted: 0,
        persons_queued_for_deletion: found.length - errors.length,
        events_queued_for_deletion: delete_events,
        recordings_queued_for_deletion: delete_recordings,
        deletion_errors: errors,
      },
    }
  }

  function query({ query: { kind, query, values }, refresh }: Query): Answer {
    if (kind !== 'HogQLQuery' || refresh !== 'force_blocking')
      return failed(400, 'invalid', 'not such a query')
    const among = new Set(values['values'] ?? values['emails'] ?? [])
    let results: unknown[]
    if (query === 'SELECT 1') results = [[1]]
    else if (query.includes('FROM persons'))
      results = posthog.persons
        .filter(({ email }) => among.has(email.toLowerCase()))
        .map(({ uuid, email }) => [uuid, email.toLowerCase()])
    else results = counted(query.startsWith('SELECT distinct_id') ? 'distinctId' : 'email', among)
    return { status: 200, body: { results, columns: [], hasMore: false } }
  }

  function counted(by: 'distinctId' | 'email', among: ReadonlySet<string>): [string, number][] {
    const counts = new Map<string, number>()
    for (const event of posthog.events) {
      const value = by === 'email' ? event.email.toLowerCase() : event.distinctId
      if (among.has(value)) counts.set(value, (counts.get(value) ?? 0) + 1)
    }
    return [...counts]
  }
  return posthog
}

interface Deletion {
  ids: string[]
  delete_events: boolean
  delete_recordings: boolean
}

interface Query {
  query: { kind: string; query: string; values: Record<string, string[]> }
  refresh: string
}

function failed(status: number, code: string, detail: string): Answer {
  return { status, body: { type: 'invalid_request', code, detail, attr: null } }
}
