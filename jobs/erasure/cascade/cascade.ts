/**
 * The erasure cascade: one run for each kind of subject that has something due. It takes what applications asked for, brings
 * each request forward, works off the legs of all of them together, reads back, and waits for what is due next.
 */
import { z } from 'zod'
import { monotonicMs } from '../../../lib/base/clock/index.ts'
import { total } from '../../../lib/base/counts/index.ts'
import { databaseNow } from '../../../lib/base/db/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import {
  createRun,
  recordStep,
  stoppedScopes,
  wakeRun,
  type Run,
  type StoppedScope,
} from '../../../lib/record/ledger/index.ts'
import { bucketCopyStatus } from '../../../lib/record/erasures/index.ts'
import {
  countDue,
  countRequests,
  countStuckLegs,
  dueRequests,
  hasIntake,
  kindsDue,
  nextDue,
  openSecrets,
  warnDue,
  type ErasureRequest,
  type RequestState,
} from '../../../lib/record/requests/index.ts'
import type { Context } from '../../context.ts'
import type { JobKind, StepResult } from '../../kind.ts'
import { CASCADE } from '../../standstill.ts'
import { advance } from './advance.ts'
import { deliverAnswers } from './answers.ts'
import { settle } from './finish.ts'
import { readable } from './going.ts'
import { withoutHolds } from './held.ts'
import { policyOf, unbraked, withoutGrace } from '../brakes/policy.ts'
import { lookAgain } from '../../stops.ts'
import { openHouse, unlessBucketIsAway, type House } from './house.ts'
import type { Person } from '../../../lib/data/erasers/index.ts'
import { takeIntake } from './intake.ts'
import { workLegs } from './lanes.ts'
import { planFor, subjectOf } from '../plans.ts'

const payload = z.strictObject({ subject: z.string() })
const BULK = 1000
const working: readonly RequestState[] = ['erasing', 'verifying']
/** A run that failed for good is followed by another after this: a map with findings would fail every few seconds. */
const RETRY_SECONDS = 300
/** How often the dispatcher looks whether a map that stops requests fits again. */
const LOOK_MS = 15_000
/** A run doesn't stay for longer than this: the dispatcher starts another when something falls due. */
const LONGEST_WAIT_MS = 3_600_000
/** How soon a bucket that was away is asked again. */
const BUCKET_MS = 60_000

/** Nothing is destroyed after these. */
const forEverybody: ReadonlySet<string> = new Set(['E_FENCED', 'E_MAP_FINDINGS'])

export const cascade: JobKind = {
  kind: CASCADE,
  queue: 'erasure',
  payload,
  maxAttempts: 8,
  scope: (given) => payload.parse(given).subject,
  step,
  observe,
}

async function step(context: Context, run: Run, signal: AbortSignal): Promise<StepResult> {
  const { control } = context
  const { subject: kind } = payload.parse(run.payload)
  // first, so that a request stands in the record although a store of the map can't be opened
  const taken = await takeIntake(context, subjectOf(context, kind).store)
  const counters = { legs: run.counters['legs'] ?? 0, ended: run.counters['ended'] ?? 0 }
  const house = await openHouse(context, run, kind, signal)
  try {
    const failures: unknown[] = []
    // What one part meets holds up no other: it is thrown once each had its turn.
    const inTurn = async <T>(none: T, act: () => Promise<T>): Promise<T> => {
      try {
        return await act()
      } catch (error) {
        signal.throwIfAborted()
        if (error instanceof LetheError && forEverybody.has(error.code)) throw error
        failures.push(error)
        return none
      }
    }
    const moved = await inTurn(0, () => advance(house))
    const { legs, further } = await inTurn({ legs: 0, further: 0 }, async () => {
      const due = await readable(house, await dueRequests(control, kind, working, BULK))
      return workLegs(house, await personsOf(house, due))
    })
    const ended = await inTurn(0, async () => settle(house, await dueRequests(control, kind, working, BULK)))
    const told = await inTurn(0, () => deliverAnswers(context, kind, signal))
    counters.legs += legs
    counters.ended += ended
    await recordStep(control, run, {
      name: 'cascade',
      note: `${taken.requests} taken in, ${moved} moved, ${legs} legs, ${ended} ended`,
      counters,
      // a leg that fails each time is none
      progress: total({ ...taken, moved, further, ended, told }) > 0,
    })
    if (failures.length > 0) throw failures[0]
    // what people took back meanwhile
    await unlessBucketIsAway(house, () => house.ledger.catchUp())
  } finally {
    await house.close()
  }
  const next = await nextDue(control, kind)
  const now = await databaseNow(control)
  if (house.bucketAway) return { kind: 'wait', for: 'bucket', until: new Date(now.getTime() + BUCKET_MS) }
  if (next !== null && next <= now && [...house.stopped].some((store) => concerns(house, store)))
    return { kind: 'wait', for: 'stopped', until: await lookAgain(context) }
  if (next === null) return { kind: 'done', outcome: outcomeOf(counters) }
  if (next <= now) return { kind: 'more' }
  return next.getTime() - now.getTime() > LONGEST_WAIT_MS
    ? { kind: 'done', outcome: outcomeOf(counters) }
    : { kind: 'wait', for: 'next-leg', until: next }
}

/** What all of the run did, in a word for lists; how much of it stands in its counters. */
function outcomeOf({ legs, ended }: { legs: number; ended: number }): string {
  if (ended > 0) return 'requests-ended'
  return legs > 0 ? 'requests-worked' : 'nothing-due'
}

function concerns({ subject, places }: House, store: string): boolean {
  return store === subject.store || places.some((place) => place.store === store)
}

/** A hold or a brake that was set meanwhile stops what has not gone yet. */
async function personsOf(house: House, requests: readonly ErasureRequest[]): Promise<Map<string, Person>> {
  const free = await unbraked(house, await withoutHolds(house, await withoutGrace(house, requests)))
  const policies = await policyOf(house, free)
  return new Map(
    free.map((request) => {
      const policy = policies.get(request.id)
      const secrets = openSecrets(house.context.keystore, request)
      return [
        request.id,
        {
          requestId: request.id,
          keys: secrets.keys ?? [secrets.key],
          identifiers: secrets.identifiers ?? {},
          retained: request.retainedClasses ?? [],
          ...(policy === undefined ? {} : { policy }),
        },
      ]
    }),
  )
}

/** A run for this kind of subject goes on at once, or begins. */
export async function ensureCascade(context: Context, kind: string): Promise<string> {
  const made = await createRun(context.control, {
    kind: cascade.kind,
    queue: cascade.queue,
    scope: kind,
    payload: { subject: kind },
    maxAttempts: cascade.maxAttempts,
    createdBy: 'lethe',
  })
  if (!('existing' in made)) return made.id
  await wakeRun(context.control, made.existing.id)
  return made.existing.id
}

/** The dispatcher's part: whoever has something due gets a run, and due dates are warned of. */
async function observe(context: Context): Promise<void> {
  const { control, config, log } = context
  const kinds = new Set(await kindsDue(control))
  // A store that is away is the doctor's matter, and no reason to leave the others' requests.
  for (const [kind, { store }] of Object.entries(config.file.subjects))
    if (
      !kinds.has(kind) &&
      (await context
        .target(store)
        .then(hasIntake)
        .catch(() => false))
    )
      kinds.add(kind)
  const stopped = new Map(
    (await stoppedScopes(control, CASCADE, { after: RETRY_SECONDS, role: cascade.queue })).map((one) => [
      one.scope,
      one,
    ]),
  )
  for (const kind of kinds) {
    const why = stopped.get(kind)
    if (why === undefined || (await isWorthATry(context, why))) await ensureCascade(context, kind)
  }
  for (const { id, days } of await warnDue(control))
    log.warn({ request: id, days }, 'an erasure request is due soon')
  await measure(context)
}

const looks = new WeakMap<Context, Map<string, number>>()

/**
 * A table or column that was in the way is gone again: seen by a plan, since a run that only fails leaves a trace each time. What
 * applications ask for meanwhile is worth one too: it is taken in before anything fails.
 */
async function isWorthATry(context: Context, { scope: kind, code }: StoppedScope): Promise<boolean> {
  if (code !== 'E_MAP_FINDINGS') return false
  const looked = looks.get(context) ?? new Map<string, number>()
  looks.set(context, looked)
  if (monotonicMs() - (looked.get(kind) ?? -Infinity) < LOOK_MS) return false
  looked.set(kind, monotonicMs())
  const { store } = subjectOf(context, kind)
  return planFor(context, store, kind).then(
    () => true,
    async () =>
      context
        .target(store)
        .then(hasIntake)
        .catch(() => false),
  )
}

/** Metrics: states and names of stores only. */
async function measure({ control, config, metrics }: Context): Promise<void> {
  metrics.erasureRequests.reset()
  for (const { state, count } of await countRequests(control)) metrics.erasureRequests.set({ state }, count)
  const { overdue, withinDay, withinFiveDays } = await countDue(control)
  metrics.erasureDueNow.set(overdue + withinDay)
  metrics.erasureDueSoon.set(overdue + withinDay + withinFiveDays)
  metrics.erasureLegsStuck.reset()
  for (const { store, count } of await countStuckLegs(control)) metrics.erasureLegsStuck.set({ store }, count)
  metrics.erasureStoppedSeconds.reset()
  const now = await databaseNow(control)
  for (const { scope, since } of await stoppedScopes(control, CASCADE))
    metrics.erasureStoppedSeconds.set({ subject: scope }, (now.getTime() - since.getTime()) / 1000)
  const copied = config.file.locked_bucket !== undefined
  metrics.erasureLedgerBehindSeconds.set(copied ? (await bucketCopyStatus(control)).oldestSeconds : 0)
}
