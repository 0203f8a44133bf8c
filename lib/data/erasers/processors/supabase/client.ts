/** Supabase Auth's admin interface by its own client, whose errors quote and whose retries, if any, are not ours. */
import { GoTrueAdminApi, type AuthError } from '@supabase/auth-js'
import { Answered, type Side, callVendor } from '../../../../base/calls/index.ts'

export interface SupabaseOptions extends Pick<Side, 'store' | 'pace' | 'patience'> {
  /** Of the Auth server: `https://PROJECT.supabase.co/auth/v1`. */
  url: string
  /** A secret key (`sb_secret_…`) or the older service_role key. */
  secretKey: string
}

export type Reply<T> = { data: T; error: null } | { data: unknown; error: AuthError }

export interface Supabase {
  side: Side
  /** The data; null where there is no such user. Any other answer is thrown as callVendor does. */
  ask<T>(
    what: string,
    call: (admin: GoTrueAdminApi) => Promise<Reply<T>>,
    signal: AbortSignal,
  ): Promise<T | null>
}

export function supabaseClient({ store, url, secretKey, pace, patience }: SupabaseOptions): Supabase {
  const side: Side = { store, vendor: 'Supabase', pace, patience }
  const headers = { apikey: secretKey, authorization: `Bearer ${secretKey}` }
  return {
    side,
    ask: (what, call, signal) =>
      callVendor(
        side,
        what,
        async (signal) => {
          // The client's errors keep neither the headers nor what a connection died of.
          let response: Response | null = null
          let broken: unknown = new Error('no answer in JSON')
          const admin = new GoTrueAdminApi({
            url: url.replace(/\/+$/, ''),
            headers,
            fetch: async (input, init) => {
              try {
                response = await fetch(input, { ...init, redirect: 'manual', signal })
                return response
              } catch (error) {
                response = null
                broken = error
                throw error
              }
            },
          })
          const { data, error } = await call(admin)
          if (error === null) return data
          const status = statusOf(response)
          // A 404 of a wrong address has no code, and says nothing of a user.
          if (status === 404 && error.code === 'user_not_found') return null
          if (status === null || status < 300) throw broken
          throw new Answered(status, headerOf(response), error.code)
        },
        signal,
      ),
  }
}

function statusOf(response: Response | null): number | null {
  return response?.status ?? null
}

function headerOf(response: Response | null): string | null {
  return response?.headers.get('retry-after') ?? null
}
