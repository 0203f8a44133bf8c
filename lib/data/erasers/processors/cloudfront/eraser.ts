/** Files in the caches of a CloudFront distribution, invalidated by their path. */
import type { Eraser, ErasePage, EraseRequest, Verification } from '../../eraser.ts'
import type { Side } from '../../../../base/calls/index.ts'
import { edgeOf, stillServed } from '../edge.ts'
import { sendSplit } from '../split.ts'
import { addressesOf, countByPlace, refusedMessages, type Address, type CachedPlan } from '../urls.ts'
import { openCloudfront, type CloudfrontAccess, type Invalidation } from './client.ts'
import { batchesOf, isWildcard, referenceOf } from './batches.ts'
import { LetheError } from '../../../../base/errors/index.ts'

export interface CloudfrontEraserOptions
  extends Omit<CloudfrontAccess, 'region'>, Pick<Side, 'pace' | 'patience'> {
  /** The store's name in the map. */
  store: string
  /** CloudFront has one for the world: us-east-1, the default. */
  region?: string
  /** Whether `verify` asks for each path as a visitor would; `origin` without a slash at its end. */
  verifyUrls?: { origin: string; gone?: readonly number[] }
}

/** Templates are paths: `/photos/{id}.jpg`; a star at the end stands for all that begins so. */
export type CloudfrontPlan = CachedPlan

/** How far back an invalidation is looked for where nothing is read back. */
const RECENT = 100
const POLL_SECONDS = 30

/** Needs the rights cloudfront:CreateInvalidation, GetInvalidation and ListInvalidations on the distribution. */
export function cloudfrontEraser(options: CloudfrontEraserOptions): Eraser<CloudfrontPlan> {
  const { store, region = 'us-east-1', pace, patience, verifyUrls } = options
  const { distribution, endpoint, credentials } = options
  const side: Side = { store, vendor: 'CloudFront', pace, patience }
  const api = openCloudfront(side, {
    distribution,
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
  })
  const edge = verifyUrls === undefined ? null : edgeOf(side, verifyUrls.origin, verifyUrls.gone)

  /** What an earlier call began; nothing new is begun. */
  async function lookAt(
    jobs: readonly string[],
    batches: readonly (readonly Address[])[],
    signal: AbortSignal,
  ): Promise<Pick<ErasePage, 'removed' | 'pending' | 'more' | 'messages'>> {
    const found: (Invalidation | null)[] = []
    for (const job of jobs) found.push(await api.get(job, signal))
    const known = found.filter((invalidation) => invalidation !== null)
    const paths = new Set(known.flatMap((invalidation) => invalidation.paths))
    const done = new Set(known.flatMap((invalidation) => (invalidation.completed ? invalidation.paths : [])))
    const lost = found.length - known.length
    const isLast = batches.at(-1)?.some(({ text }) => paths.has(text)) ?? true
    const pending = pendingOf(known)
    return {
      removed: countByPlace(batches.flat().filter(({ text }) => done.has(text))),
      pending,
      messages: lost === 0 ? [] : [`${lost} of CloudFront's invalidations are not known there any more.`],
      more: pending.length > 0 || lost > 0 || !isLast,
    }
  }

  /** One batch that isn't through yet: those before it answer at once that they are, by their reference. */
  async function beginNext(
    batches: readonly (readonly Address[])[],
    page: EraseRequest,
    signal: AbortSignal,
  ): Promise<Pick<ErasePage, 'removed' | 'pending' | 'more' | 'messages'>> {
    const refused: Address[] = []
    for (const batch of batches) {
      const begun: Invalidation[] = []
      const bad = await sendSplit(batch, async (some) => {
        const paths = some.map(({ text }) => text)
        begun.push(await api.create(referenceOf(page.runId, paths), paths, signal))
      })
      refused.push(...bad)
      const pending = pendingOf(begun)
      if (pending.length > 0)
        return { removed: {}, pending, more: true, messages: refusedMessages('CloudFront', refused) }
    }
    return { removed: {}, pending: [], more: false, messages: refusedMessages('CloudFront', refused) }
  }

  return {
    store,
    capabilities: {
      bulk: 1000,
      ratePerMinute: 60,
      reversible: false,
      verifiable: edge !== null,
      sideEffects: [
        'the next visitor of each path gets it from the origin, and the caches keep it again: erase the origin first',
        'what browsers and other caches on the way keep is not reached',
        'each path above 1,000 a month is billed; a path with a star counts as one',
        ...(edge === null
          ? ['nothing is read back: only that invalidations of the paths were completed']
          : ['reading back asks for each path, from one place in the network only']),
      ],
      irreversibleAfter: 'the call',
      settleSeconds: 60,
      follows: 'CloudFront 2020-05-31',
    },
    async probe(plan, signal) {
      if (edge !== null) requireReadable(plan)
      addressesOf([], plan)
      await api.completed(1, signal)
    },
    async locate(subjects, plan, signal) {
      const { all } = addressesOf(subjects, plan)
      if (edge === null) return { counts: countByPlace(all) }
      requireReadable(plan)
      return { counts: countByPlace([...(await stillServed(edge, all, signal))]) }
    },
    async erase(subjects, plan, page, signal): Promise<ErasePage> {
      signal.throwIfAborted()
      const { all, messages } = addressesOf(subjects, plan)
      const batches = batchesOf(all, page.limit)
      const { jobs = [] } = page
      const did =
        jobs.length > 0 ? await lookAt(jobs, batches, signal) : await beginNext(batches, page, signal)
      return { ...did, retained: [], messages: [...messages, ...did.messages] }
    },
    async verify(subjects, plan, signal): Promise<Verification[]> {
      const { all, bySubject } = addressesOf(subjects, plan)
      if (edge !== null) requireReadable(plan)
      const left =
        edge === null
          ? await notInvalidated(all, signal)
          : new Set([...(await stillServed(edge, all, signal))].map(({ text }) => text))
      return bySubject.map((addresses) => {
        const there = (addresses ?? []).filter(({ text }) => left.has(text))
        return { absent: addresses !== null && there.length === 0, left: countByPlace(there), retained: [] }
      })
    },
  }

  /** Says nothing of what was cached since: that is why such a store is not verifiable. */
  async function notInvalidated(all: readonly Address[], signal: AbortSignal): Promise<Set<string>> {
    const left = new Set(all.map(({ text }) => text))
    if (left.size === 0) return left
    for (const id of await api.completed(RECENT, signal)) {
      const invalidation = await api.get(id, signal)
      for (const path of invalidation?.paths ?? []) left.delete(path)
      if (left.size === 0) break
    }
    return left
  }
}

function pendingOf(invalidations: readonly Invalidation[]): ErasePage['pending'] {
  return invalidations
    .filter(({ completed }) => !completed)
    .map(({ id }) => ({ job: id, pollAfterSeconds: POLL_SECONDS }))
}

function requireReadable({ places }: CloudfrontPlan): void {
  const wild = places.find(({ template }) => isWildcard(template))
  if (wild !== undefined)
    throw new LetheError('E_CONFIG', {
      message: `The path of ${wild.name} ends with a star: nobody can ask for all that begins so.`,
      next: 'Name each file of the place, or leave verify_urls away.',
    })
}
