/**
 * Akeyless's HTTP interface, as far as its OpenAPI document (2.0) and its own clients' answers tell: /auth, /validate-token,
 * /describe-item, /delete-item and /delete-items. Nobody publishes a server of it.
 */
import { z } from 'zod'
import { json, startHttp, type HttpServer } from '../servers/http-server.ts'

export interface AkeylessItem {
  type: 'AES256GCM' | 'STATIC_SECRET'
  /** Set by `delete_protection`, or by another item that this one encrypts. */
  protected?: boolean
  deletionDate?: string
}

export interface AkeylessServer extends HttpServer {
  accessId: string
  accessKey: string
  items: Map<string, AkeylessItem>
  /** Paths that were asked, in their order. */
  asked: string[]
  /** Answers instead of what follows; `after`: once the effect is there. */
  fail:
    | ((path: string, body: string) => { status: number; after?: boolean; retryAfter?: string } | undefined)
    | undefined
  /** Says success and does nothing. */
  lies: ((name: string) => boolean) | undefined
  /** Ends every token that was given. */
  forgetTokens(): void
}

const request = z.looseObject({
  token: z.string().optional(),
  name: z.string().optional(),
  item: z.array(z.string()).optional(),
  version: z.number().optional(),
  'access-id': z.string().optional(),
  'access-key': z.string().optional(),
  'delete-immediately': z.boolean().optional(),
  'delete-in-days': z.number().optional(),
})

export async function startAkeyless(): Promise<AkeylessServer> {
  const accessId = 'p-tests'
  const accessKey = 'key of the tests'
  let tokens = new Set<string>()
  const items = new Map<string, AkeylessItem>()

  const remove = (name: string, now: boolean): [number, object] => {
    const item = items.get(name)
    if (item === undefined) return [404, { error: `failed to delete item ${name}: item not found` }]
    if (item.protected === true) return [403, { error: `item ${name} is protected` }]
    if (akeyless.lies?.(name) === true) return [200, { item_name: name }]
    // Keys wait for a week unless they are told not to.
    if (now || item.type === 'STATIC_SECRET') items.delete(name)
    else items.set(name, { ...item, deletionDate: '2099-01-08T00:00:00Z' })
    return [200, { item_name: name }]
  }
  const answer = (path: string, text: string): [number, object] => {
    const asked = request.parse(JSON.parse(text))
    if (path === '/auth') {
      if (asked['access-id'] !== accessId || asked['access-key'] !== accessKey)
        return [401, { error: `access id ${asked['access-id']} is not known` }]
      const token = `t-${tokens.size + 1}`
      tokens.add(token)
      return [200, { token }]
    }
    if (!tokens.has(asked.token ?? '')) return [401, { error: 'token is not valid' }]
    if (path === '/validate-token') return [200, { is_valid: true, expiration: '', reason: '' }]
    if (path === '/describe-item') {
      const name = asked.name ?? ''
      const item = items.get(name)
      if (item === undefined) return [404, { error: `item ${name} not found` }]
      const doomed = item.deletionDate !== undefined
      return [
        200,
        {
          item_name: name,
          item_type: item.type,
          item_state: doomed ? 'PendingDeletion' : 'Enabled',
          ...(doomed ? { deletion_date: item.deletionDate } : {}),
        },
      ]
    }
    if (path === '/delete-item')
      return remove(
        asked.name ?? '',
        asked['delete-immediately'] === true && asked['delete-in-days'] === -1 && asked.version === -1,
      )
    if (path === '/delete-items') {
      // Refused as a whole where one of them is.
      const blocked = (asked.item ?? []).find((name) => items.get(name)?.protected === true)
      if (blocked !== undefined) return [403, { error: `item ${blocked} is protected` }]
      for (const name of asked.item ?? []) remove(name, true)
      return [200, {}]
    }
    return [404, { error: 'no such path' }]
  }

  const http = await startHttp(({ path, body }) => {
    akeyless.asked.push(path)
    const failure = akeyless.fail?.(path, body)
    const [status, said] = failure === undefined || failure.after === true ? answer(path, body) : [0, {}]
    if (failure === undefined) return json(status, said)
    const headers = failure.retryAfter === undefined ? {} : { 'retry-after': failure.retryAfter }
    return json(failure.status, { error: `it failed: ${body}` }, headers)
  })
  const akeyless: AkeylessServer = {
    ...http,
    accessId,
    accessKey,
    items,
    asked: [],
    fail: undefined,
    lies: undefined,
    forgetTokens: () => (tokens = new Set()),
  }
  return akeyless
}
