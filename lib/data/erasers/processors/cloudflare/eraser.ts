/** Files in Cloudflare's caches, purged by their address. */
import { LetheError } from '../../../../base/errors/index.ts'
import type { Eraser, ErasePage, Verification } from '../../eraser.ts'
import { slices } from '../../../../base/slices/index.ts'
import type { Side } from '../../../../base/calls/index.ts'
import { edgeOf, stillServed } from '../edge.ts'
import { sendSplit } from '../split.ts'
import { addressesOf, countByPlace, refusedMessages, type Address, type CachedPlan } from '../urls.ts'
import { openCloudflare } from './client.ts'

export interface CloudflareEraserOptions extends Pick<Side, 'pace' | 'patience'> {
  /** The store's name in the map. */
  store: string
  zone: string
  /** Of an API token with the zone's rights Cache Purge and Zone Read. */
  token: string
  /** The zone's plan, "free" by default: how many files one call may name. */
  plan?: 'free' | 'pro' | 'business' | 'enterprise'
  /** Whether `verify` asks for each address as a visitor would. Otherwise nothing can be verified. */
  verifyUrls?: { gone?: readonly number[] }
  /** Of a server that isn't Cloudflare's. */
  baseUrl?: string
}

/** Templates are whole addresses, as visitors ask for them: scheme, host and query are part of a cache's key. */
export type CloudflarePlan = CachedPlan

/** https://developers.cloudflare.com/cache/how-to/purge-cache/#availability-and-limits */
const filesPerCall = { free: 100, pro: 100, business: 100, enterprise: 500 } as const
/** The whole API's 1,200 calls in five minutes; purges by address have 800 files a second and more beside that. */
const CALLS_A_MINUTE = 240

export function cloudflareEraser(options: CloudflareEraserOptions): Eraser<CloudflarePlan> {
  const { store, token, zone, baseUrl, pace, patience, verifyUrls } = options
  const side: Side = { store, vendor: 'Cloudflare', pace, patience }
  const client = openCloudflare(side, { token, zone, baseUrl })
  const most = filesPerCall[options.plan ?? 'free']
  const edge = verifyUrls === undefined ? null : edgeOf(side, '', verifyUrls.gone)

  return {
    store,
    capabilities: {
      bulk: 100,
      ratePerMinute: CALLS_A_MINUTE,
      reversible: false,
      verifiable: edge !== null,
      sideEffects: [
        'the next visitor of each address gets it from the origin, and the caches keep it again: erase the origin first',
        'copies under another query, header or device class than the address names stay until they expire',
        'what browsers and other caches on the way keep is not reached',
        ...(edge === null ? [] : ['reading back asks for each address, from one place in the network only']),
      ],
      irreversibleAfter: 'the call',
      settleSeconds: 30,
      follows: 'Cloudflare API v4, 2026-11',
    },
    async probe(plan, signal) {
      const { places } = plan
      addressesOf([], plan)
      const zoneName = await client.zoneName(signal)
      for (const { name, template } of places) requireInZone(name, template, zoneName)
    },
    async locate(subjects, plan, signal) {
      const { all } = addressesOf(subjects, plan)
      if (edge === null) return { counts: countByPlace(all) }
      return { counts: countByPlace([...(await stillServed(edge, all, signal))]) }
    },
    async erase(subjects, plan, page, signal): Promise<ErasePage> {
      signal.throwIfAborted()
      const { all, messages } = addressesOf(subjects, plan)
      const start = startOf(page.jobs)
      const wanted = all.slice(start, start + page.limit)
      const served = edge === null ? new Set<Address>() : await stillServed(edge, wanted, signal)
      const refused: Address[] = []
      for (const some of slices(wanted, most)) {
        const send = (part: readonly Address[]) =>
          client.purge(
            part.map(({ text }) => text),
            signal,
          )
        refused.push(...(await sendSplit(some, send)))
      }
      const end = start + wanted.length
      const more = end < all.length
      const purged = wanted.length - refused.length
      return {
        // Of what no one has seen nobody can say that it was removed.
        removed: countByPlace([...served].filter((address) => !refused.includes(address))),
        retained: [],
        pending: more ? [{ job: `${JOB}${end}`, pollAfterSeconds: 0 }] : [],
        messages: [
          ...messages,
          ...refusedMessages('Cloudflare', refused),
          ...(edge === null && purged > 0 ? [purgedMessage(purged)] : []),
        ],
        more,
      }
    },
    async verify(subjects, plan, signal): Promise<Verification[]> {
      const { all, bySubject } = addressesOf(subjects, plan)
      const served = edge === null ? new Set(all) : await stillServed(edge, all, signal)
      const texts = new Set([...served].map(({ text }) => text))
      return bySubject.map((addresses) => {
        const left = (addresses ?? []).filter(({ text }) => texts.has(text))
        return { absent: addresses !== null && left.length === 0, left: countByPlace(left), retained: [] }
      })
    },
  }
}

function purgedMessage(count: number): string {
  return count === 1
    ? '1 address purged; whether it was cached is not known.'
    : `${count} addresses purged; whether they were cached is not known.`
}

/** Cloudflare has no jobs; ours says how far along the sorted addresses the earlier calls came. */
const JOB = 'purged-'

function startOf(jobs: readonly string[] = []): number {
  const ends = jobs.map((job) => Number(job.startsWith(JOB) ? job.slice(JOB.length) : Number.NaN))
  return ends.length === 0 || ends.some((end) => !Number.isSafeInteger(end) || end < 0)
    ? 0
    : Math.max(...ends)
}

function requireInZone(name: string, template: string, zone: string): void {
  const { hostname } = new URL(template.replaceAll(/\{[^}]*\}/g, 'x'), 'https://.invalid')
  if (hostname === zone || hostname.endsWith(`.${zone}`)) return
  throw new LetheError('E_CONFIG', {
    message: `The address of ${name} is not in the zone ${zone}: Cloudflare would refuse to purge it.`,
  })
}
