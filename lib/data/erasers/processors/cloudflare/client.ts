/** The calls of Cloudflare that we use, in our own words. https://developers.cloudflare.com/api/resources/cache/methods/purge */
import { APIError } from 'cloudflare'
import { BaseCache } from 'cloudflare/resources/cache/cache'
import { BaseZones } from 'cloudflare/resources/zones/zones'
import { createClient } from 'cloudflare/tree-shakable'
import { z } from 'zod'
import { Answered, type Side, callVendor } from '../../../../base/calls/index.ts'

export interface CloudflareClient {
  /** The zone's domain. Throws as callVendor. */
  zoneName(signal: AbortSignal): Promise<string>
  /** Accepted is all that is said: not that anything was there, nor that it has gone. */
  purge(urls: readonly string[], signal: AbortSignal): Promise<void>
}

const envelope = z.looseObject({
  success: z.boolean(),
  errors: z.array(z.looseObject({ code: z.number().optional() })).default([]),
  result: z.unknown(),
})
const zoneResult = z.looseObject({ name: z.string().min(1) })
const purgeResult = z.looseObject({ id: z.string() })

export function openCloudflare(
  side: Side,
  { token, zone, baseUrl }: { token: string; zone: string; baseUrl: string | undefined },
): CloudflareClient {
  const client = createClient({
    resources: [BaseCache, BaseZones],
    apiToken: token,
    // From the environment they would come otherwise, and go along with the token.
    apiKey: null,
    apiEmail: null,
    userServiceKey: null,
    // We try again ourselves, and no answer's text is anybody's to print.
    maxRetries: 0,
    logLevel: 'off',
    fetch: (url, init) => fetch(url, { ...init, redirect: 'manual' }),
    ...(baseUrl === undefined ? {} : { baseURL: baseUrl }),
  })

  async function ask<T>(
    what: string,
    schema: z.ZodType<T>,
    send: (signal: AbortSignal) => Promise<Response>,
    signal: AbortSignal,
  ): Promise<T> {
    return callVendor(
      side,
      what,
      async (signal) => {
        const body: unknown = await send(signal)
          .then((response) => response.json())
          .catch((error: unknown) => {
            throw answeredOf(error)
          })
        const answer = envelope.safeParse(body).data
        const result = schema.safeParse(answer?.result)
        if (answer?.success === true && result.success) return result.data
        // A refusal in the clothes of a success.
        throw new Answered(answer?.success === false ? 400 : 502, null, String(answer?.errors[0]?.code ?? ''))
      },
      signal,
    )
  }

  return {
    async zoneName(signal) {
      const send = (signal: AbortSignal) => client.zones.get({ zone_id: zone }, { signal }).asResponse()
      return (await ask('look at the zone', zoneResult, send, signal)).name
    },
    async purge(urls, signal) {
      const send = (signal: AbortSignal) =>
        client.cache.purge({ zone_id: zone, files: [...urls] }, { signal }).asResponse()
      await ask('purge files', purgeResult, send, signal)
    },
  }
}

/** Without its message: it quotes the addresses. */
function answeredOf(error: unknown): unknown {
  if (!(error instanceof APIError) || error.status === undefined) return error
  const headers: unknown = error.headers
  const retryAfter = headers instanceof Headers ? headers.get('retry-after') : null
  const { data } = z.array(z.looseObject({ code: z.number() })).safeParse(error.errors)
  return new Answered(Number(error.status), retryAfter, String(data?.[0]?.code ?? ''))
}
