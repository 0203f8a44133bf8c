/** Who we are to OpenBao: a token as it was given, or one that an AppRole gets and gets again. */
import { z } from 'zod'
import { monotonicMs } from '../clock/index.ts'
import { LetheError } from '../errors/index.ts'
import { type HttpAnswer, type HttpRequest, type HttpSide, type Side, requestVendor } from '../calls/index.ts'

export interface OpenbaoOptions extends Pick<Side, 'store' | 'pace' | 'patience'> {
  /** As `https://vault.example.org:8200`, of the active node or of an address that leads there. */
  baseUrl: string
  namespace?: string
  auth: { token: string } | { roleId: string; secretId: string; mount?: string }
}

export interface OpenbaoSession {
  store: string
  /** As requestVendor. A 403 to a token of an AppRole's is tried once more with a new one. */
  request(what: string, request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer>
  refused(what: string, reason: string): LetheError
}

const login = z.looseObject({
  auth: z.looseObject({ client_token: z.string().min(1), lease_duration: z.number().nonnegative() }),
})

export function openbaoSession(options: OpenbaoOptions): OpenbaoSession {
  const { store, pace, auth, namespace } = options
  const side: HttpSide = {
    store,
    vendor: 'OpenBao',
    pace,
    baseUrl: options.baseUrl.replace(/\/+$/, ''),
    headers: {
      'x-vault-request': 'true',
      ...(namespace === undefined ? {} : { 'x-vault-namespace': namespace }),
    },
    patience: options.patience,
  }
  let current: { token: string; untilMs: number } | null = null

  const tokenOf = async (signal: AbortSignal): Promise<string> => {
    if ('token' in auth) return auth.token
    if (current !== null && monotonicMs() < current.untilMs) return current.token
    const { body } = await requestVendor(
      side,
      'log in',
      {
        method: 'POST',
        path: `/v1/auth/${auth.mount ?? 'approle'}/login`,
        body: { role_id: auth.roleId, secret_id: auth.secretId },
      },
      signal,
    )
    const answer = login.safeParse(body)
    if (!answer.success) throw refused('log in', 'an answer without a token')
    const { client_token: token, lease_duration: seconds } = answer.data.auth
    // A new one in good time; a lease of 0 never ends.
    current = { token, untilMs: seconds === 0 ? Infinity : monotonicMs() + seconds * 900 }
    return token
  }
  const refused = (what: string, reason: string) =>
    new LetheError('E_STORE_REFUSED', {
      message: `OpenBao (${store}) refused: ${what} (${reason}).`,
      facts: { store },
    })
  return {
    store,
    refused,
    async request(what, request, signal) {
      const send = async () =>
        requestVendor(
          side,
          what,
          { ...request, headers: { ...request.headers, 'x-vault-token': await tokenOf(signal) } },
          signal,
        )
      try {
        return await send()
      } catch (error) {
        const stale = error instanceof LetheError && error.facts['status'] === 403 && current !== null
        if (!stale) throw error
        current = null
        return send()
      }
    },
  }
}
