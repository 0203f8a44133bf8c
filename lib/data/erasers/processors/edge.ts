/**
 * Asks a network of caches for an address as any visitor would. That is the only proof there is, and it has its price: what
 * the origin still has is in the cache again afterwards. So whatever is served counts as left, from wherever it came.
 */
import { abreast } from '../../../base/slices/index.ts'
import { Answered, type Side, callVendor } from '../../../base/calls/index.ts'
import type { Address } from './urls.ts'

export interface Edge extends Side {
  /** Before an address that begins with a slash. */
  origin: string
  /** Statuses that say there is nothing. 403 only where the origin says so of what is missing and nothing needs a sign-in. */
  gone: readonly number[]
}

/** `gone`: 404 and 410 by default. */
export function edgeOf(side: Side, origin: string, gone: readonly number[] = [404, 410]): Edge {
  return { ...side, pace: unpaced, origin, gone }
}

/** Visitors' answers are no calls of the API. */
const unpaced = { turn: async () => undefined, rest: async () => undefined }

/** Addresses asked at a time. */
const ABREAST = 8

/** Those that are served, or of which the answer doesn't say. Throws as callVendor. */
export async function stillServed(
  edge: Edge,
  addresses: readonly Address[],
  signal: AbortSignal,
): Promise<Set<Address>> {
  const served = await abreast(addresses, ABREAST, (address) => isServed(edge, address, signal))
  return new Set(addresses.filter((_, place) => served[place] === true))
}

async function isServed(edge: Edge, { text }: Address, signal: AbortSignal): Promise<boolean> {
  return callVendor(
    edge,
    'read an address back',
    async (signal) => {
      const response = await fetch(text.startsWith('/') ? `${edge.origin}${text}` : text, {
        redirect: 'manual',
        signal,
      })
      // The first bytes say enough; a film needn't come.
      await response.body?.cancel()
      if (response.status === 429 || response.status >= 500)
        throw new Answered(response.status, response.headers.get('retry-after'))
      return !edge.gone.includes(response.status)
    },
    signal,
  )
}
