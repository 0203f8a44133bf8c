/**
 * Akeyless: items (keys, static secrets) deleted at once with all their versions. https://docs.akeyless.io/reference/deleteitem
 *
 * Needs the rights read and delete on the items' paths.
 */
import { z } from 'zod'
import { monotonicMs } from '../../../../base/clock/index.ts'
import { LetheError } from '../../../../base/errors/index.ts'
import { type HttpAnswer, type HttpSide, type Side, requestVendor } from '../../../../base/calls/index.ts'
import { sameDepth, type Target } from './target.ts'
import { eachKey, type Found, type KeyBackend } from './backend.ts'

export interface AkeylessOptions extends Pick<Side, 'store' | 'pace' | 'patience'> {
  /** `https://api.akeyless.io`, or a gateway's own address. */
  baseUrl: string
  accessId: string
  accessKey: string
}

/** A token lives for an hour at least, unless the account says otherwise. */
const TOKEN_MS = 15 * 60_000

const login = z.looseObject({ token: z.string().min(1) })
const token = z.looseObject({ is_valid: z.boolean() })
const item = z.looseObject({
  item_name: z.string(),
  item_state: z.string().nullish(),
  deletion_date: z.string().nullish(),
})

type Post = (
  what: string,
  path: string,
  body: object,
  signal: AbortSignal,
  expects?: number[],
) => Promise<HttpAnswer>

export function akeylessBackend(options: AkeylessOptions): KeyBackend {
  const { store } = options
  const post = poster(options)
  return {
    store,
    capabilities: {
      bulk: 1000,
      ratePerMinute: null,
      reversible: false,
      verifiable: true,
      sideEffects: [
        'a classic key is deleted from the cloud KMS that it is bound to by that KMS’s own rules, which may take weeks',
        'an item that encrypts others, or is protected against deletion, is refused',
        'data keys that the application holds in the clear work until it lets them go',
        'the audit log records the name of the item',
      ],
      irreversibleAfter: 'the call',
      settleSeconds: 0,
      follows: 'Akeyless API 2.0',
    },
    faultOf: ({ engine, mount, key }) => {
      if (engine !== undefined || mount !== undefined) return 'Akeyless has no engine and no mount'
      return key.startsWith('/') && !key.endsWith('/') ? null : 'it is no path of an item, as /patients/{id}'
    },
    // A star stands for many items in several of its calls.
    holds: (place, key) => sameDepth(place.key, key) && !/[*?\\]/.test(key),
    async ready(_places, signal) {
      const { body } = await post('check the token', '/validate-token', {}, signal)
      if (token.safeParse(body).data?.is_valid !== true) throw unreadable(store)
    },
    read: (targets, signal) =>
      eachKey(targets, signal, async ({ key }) => {
        const { status, body } = await post('read an item', '/describe-item', { name: key }, signal, [404])
        return status === 404 ? { is: 'absent' } : foundIn(store, body)
      }),
    destroy: (targets, signal) => destroy(post, targets, signal),
  }
}

function foundIn(store: string, body: unknown): Found {
  const answer = item.safeParse(body)
  if (!answer.success) throw unreadable(store)
  const { item_state: state, deletion_date: until } = answer.data
  return state === 'PendingDeletion' && until != null && !Number.isNaN(Date.parse(until))
    ? { is: 'waiting', ground: 'Akeyless waiting period', until: new Date(until).toISOString() }
    : { is: 'present' }
}

/** All in one call; where that is refused, each by itself, so that one item doesn't hold up the others. */
async function destroy(post: Post, targets: readonly Target[], signal: AbortSignal): Promise<Found[]> {
  if (targets.length > 1)
    try {
      await post('delete items', '/delete-items', { item: targets.map(({ key }) => key) }, signal)
      return targets.map(() => ({ is: 'absent' }))
    } catch (error) {
      if (!(error instanceof LetheError) || error.code !== 'E_STORE_REFUSED') throw error
    }
  return eachKey(targets, signal, async ({ key }) => {
    // Otherwise a key waits for seven days.
    const now = { name: key, version: -1, 'delete-immediately': true, 'delete-in-days': -1 }
    await post('delete an item', '/delete-item', now, signal, [404])
    return { is: 'absent' }
  })
}

function poster(options: AkeylessOptions): Post {
  const { store, pace, accessId, accessKey, patience } = options
  const side: HttpSide = {
    store,
    vendor: 'Akeyless',
    pace,
    baseUrl: options.baseUrl.replace(/\/+$/, ''),
    headers: {},
    patience,
  }
  let current: { token: string; untilMs: number } | null = null
  const tokenOf = async (signal: AbortSignal): Promise<string> => {
    if (current !== null && monotonicMs() < current.untilMs) return current.token
    const given = { 'access-type': 'access_key', 'access-id': accessId, 'access-key': accessKey }
    const { body } = await requestVendor(
      side,
      'log in',
      { method: 'POST', path: '/auth', body: given },
      signal,
    )
    const answer = login.safeParse(body)
    if (!answer.success) throw unreadable(store)
    current = { token: answer.data.token, untilMs: monotonicMs() + TOKEN_MS }
    return current.token
  }
  return async (what, path, body, signal, expects = []) => {
    const send = async () => {
      const sent = { ...body, token: await tokenOf(signal), json: true }
      return requestVendor(side, what, { method: 'POST', path, body: sent, expects }, signal)
    }
    const known = current
    try {
      return await send()
    } catch (error) {
      // Only a token that was got before can have ended meanwhile.
      if (known === null || !(error instanceof LetheError) || error.facts['status'] !== 401) throw error
      if (current === known) current = null
      return send()
    }
  }
}

function unreadable(store: string): LetheError {
  return new LetheError('E_STORE_REFUSED', {
    message: `Akeyless (${store}) gave an answer that is not its own.`,
    facts: { store },
  })
}
