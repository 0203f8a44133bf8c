/**
 * Supabase Auth's admin interface on the wire: users by pages from the newest on, one user, deletion. Status, codes and
 * headers are those of the server's release of 2026-08, which can't be had from a registry.
 */
import { randomUUID } from 'node:crypto'
import { startJsonServer, type Answer, type JsonServer, type Seen } from '../servers/json-server.ts'

export interface FakeSupabase extends JsonServer {
  readonly secretKey: string
  /** In the order in which they signed up. */
  users: { id: string; email: string }[]
  /** Ids of users that another table's foreign key refers to. */
  referred: Set<string>
  /** Ids of whose deletion success is said and nothing done. */
  lies: Set<string>
  /** Users a page at most, whatever is asked for. */
  pageSize: number
  add(email: string): string
  empty(): void
}

export async function startSupabase(): Promise<FakeSupabase> {
  const server = await startJsonServer((seen) => handle(seen))
  const supabase: FakeSupabase = Object.assign(server, {
    secretKey: 'the-secret-key',
    users: [],
    referred: new Set<string>(),
    lies: new Set<string>(),
    pageSize: 2,
    add(email: string) {
      const id = randomUUID()
      supabase.users.push({ id, email })
      return id
    },
    empty() {
      supabase.users = []
      supabase.referred.clear()
      supabase.lies.clear()
      supabase.seen.length = 0
      supabase.pageSize = 2
      supabase.fault = () => null
    },
  })

  function handle(seen: Seen): Answer {
    if (seen.headers.authorization !== `Bearer ${supabase.secretKey}`)
      return failed(401, 'no_authorization', 'This endpoint requires a valid Bearer token')
    if (seen.path === '/admin/users') return list(seen)
    const id = /^\/admin\/users\/([^/]+)$/.exec(seen.path)?.[1]
    if (id === undefined)
      return { status: 404, headers: { 'content-type': 'text/plain' }, body: '404 page not found' }
    const user = supabase.users.find((user) => user.id === id)
    if (user === undefined) return failed(404, 'user_not_found', 'User not found')
    return seen.method === 'DELETE' ? remove(id, seen.text) : { status: 200, body: shown(user) }
  }

  function list(seen: Seen): Answer {
    const size = Math.min(Number(seen.query.get('per_page') ?? 50), supabase.pageSize)
    const page = Number(seen.query.get('page') ?? 1)
    const all = supabase.users.toReversed()
    const last = Math.ceil(all.length / size)
    const at = (number: number, rel: string) => `</admin/users?page=${number}&per_page=${size}>; rel="${rel}"`
    const link = [...(page < last ? [at(page + 1, 'next')] : []), at(last, 'last')].join(', ')
    const users = all.slice((page - 1) * size, page * size).map(shown)
    return {
      status: 200,
      headers: { link, 'x-total-count': String(all.length) },
      body: { users, aud: 'authenticated' },
    }
  }

  function remove(id: string, text: string): Answer {
    const { should_soft_delete: soft } = JSON.parse(text) as { should_soft_delete: boolean }
    if (soft) return failed(400, 'validation_failed', 'no soft deletion in these tests')
    if (supabase.referred.has(id)) return failed(500, 'unexpected_failure', 'Database error deleting user')
    if (!supabase.lies.has(id)) supabase.users = supabase.users.filter((user) => user.id !== id)
    return { status: 200, body: {} }
  }
  return supabase
}

function shown(user: { id: string; email: string }): Record<string, unknown> {
  return { ...user, aud: 'authenticated', role: 'authenticated', identities: [], user_metadata: {} }
}

function failed(status: number, code: string, message: string): Answer {
  return { status, headers: { 'x-supabase-api-version': '2024-01-01' }, body: { code, message } }
}
