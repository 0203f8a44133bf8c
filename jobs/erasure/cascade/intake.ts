/** Requests that applications wrote in their own transactions, copied into the record. Idempotent: a request's id is the application's. */
import { z } from 'zod'
import { wallClock } from '../../../lib/base/clock/index.ts'
import { isOfOneRow, refuserOf } from '../../../lib/base/db/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { errorFields } from '../../../lib/base/log/index.ts'
import {
  askingsOf,
  createRequests,
  deferIntake,
  getRequest,
  intakeKinds,
  isOpenIntake,
  joinedBy,
  markTaken,
  moveRequests,
  openIntake,
  personalMethods,
  personalRequesters,
  type ErasureRequest,
  type IntakeRow,
  type Limits,
  type NewRequest,
} from '../../../lib/record/requests/index.ts'
import type { Context } from '../../context.ts'
import type { GivenKey } from '../../../lib/data/rows/index.ts'
import { canonicalSubjects } from '../../hold-key.ts'
import { isToken } from './answers.ts'
import { rootFor } from '../plans.ts'
import { cancelRequest, confirmRequest } from '../desk/support.ts'

const PAGE = 500

const asked = z.object({
  kind: z.enum(intakeKinds),
  requester: z.enum(personalRequesters),
  identity: z.enum(personalMethods).optional(),
  immediate: z.boolean(),
  ground: z.string().optional(),
  instruction: z.string().optional(),
})
const about = z.object({
  request: z.uuid(),
  identity: z.enum(personalMethods).optional(),
  token: z.string().optional(),
})
/** What an application got wrong, or what came too late; anything else is no reason to lose what a person asked for. */
const finalCodes: ReadonlySet<string> = new Set(['E_NOT_FOUND', 'E_IDENTIFIER', 'E_ILLEGAL_TRANSITION'])

export interface Taken {
  requests: number
  joined: number
  confirmed: number
  cancelled: number
  /** Rows that can't be followed for what they say: their code stands beside them, and they are not looked at again. */
  refused: number
}

/** What became of rows that were not followed: codes by the row's id. */
interface Passed {
  /** No later try could follow them either. */
  refused: Map<string, string>
  /** What stands in the way may pass. */
  deferred: Map<string, string>
}

/**
 * What one store's applications have asked for since. A row is marked taken once the record has it. One that can't be followed
 * now, or all of one kind of subject, stays with a code, is tried again later, and holds up no other. `early`: those too whose
 * time has not come. Throws only what concerns every row, such as a database that is away.
 */
export async function takeIntake(context: Context, store: string, early = false): Promise<Taken> {
  const target = await context.target(store)
  const taken: Taken = { requests: 0, joined: 0, confirmed: 0, cancelled: 0, refused: 0 }
  const tried: string[] = []
  for (;;) {
    const rows = await openIntake(target, PAGE, tried, early)
    if (rows.length === 0) return taken
    const passed: Passed = { refused: new Map(), deferred: new Map() }
    for (const some of inOrder(rows)) {
      await takeRequests(context, store, some, taken, passed)
      for (const one of some) if (one.verb !== 'request') await takeChange(context, store, one, taken, passed)
    }
    taken.refused += passed.refused.size
    await deferIntake(target, passed.deferred)
    tried.push(...passed.deferred.keys())
    const done = rows.flatMap(({ id }) => (passed.deferred.has(id) ? [] : [id]))
    await markTaken(target, done, passed.refused)
  }
}

/** Requests go together, then what is said of them; but nobody joins a request that was taken back before they asked. */
function inOrder(rows: readonly IntakeRow[]): IntakeRow[][] {
  const parts: IntakeRow[][] = [[]]
  rows.forEach((one, place) => {
    if (one.verb === 'request' && rows[place - 1]?.verb === 'cancel') parts.push([])
    parts.at(-1)?.push(one)
  })
  return parts
}

async function takeRequests(
  context: Context,
  store: string,
  rows: readonly IntakeRow[],
  taken: Taken,
  passed: Passed,
): Promise<void> {
  const kinds = Map.groupBy(
    rows.filter(({ verb }) => verb === 'request'),
    ({ subject_kind: kind }) => kind ?? '',
  )
  for (const [kind, some] of kinds) {
    const wanted: Wanted[] = []
    try {
      const keys = await keysOf(context, store, kind, some)
      some.forEach((one, place) => {
        try {
          wanted.push({ one, request: newRequest(context, store, kind, one, keys[place]) })
        } catch (error) {
          pass(context, store, one, error, passed)
        }
      })
    } catch (error) {
      // what is wrong with one kind of subject, such as its map, is no matter of the others
      for (const one of some) pass(context, store, one, error, passed)
      continue
    }
    await create(context, store, wanted, taken, passed)
  }
}

interface Wanted {
  one: IntakeRow
  request: NewRequest
}

/** All at once; a row that the record does not take is found by halves. */
async function create(
  context: Context,
  store: string,
  wanted: readonly Wanted[],
  taken: Taken,
  passed: Passed,
): Promise<void> {
  if (wanted.length === 0) return
  try {
    const created = await context.control.transaction(
      (tx) =>
        createRequests(
          tx,
          context.keystore,
          wanted.map(({ request }) => request),
          limitsOf(context),
        ),
      { retry: true },
    )
    for (const { joined } of created) taken[joined ? 'joined' : 'requests'] += 1
  } catch (error) {
    const [only] = wanted
    if (isForEverybody(error)) throw error
    if (wanted.length === 1 && only !== undefined) return pass(context, store, only.one, error, passed)
    const half = Math.ceil(wanted.length / 2)
    await create(context, store, wanted.slice(0, half), taken, passed)
    await create(context, store, wanted.slice(half), taken, passed)
  }
}

/** Of the rows, in their order; an error for each that names nobody who could be looked for. */
async function keysOf(
  context: Context,
  store: string,
  kind: string,
  rows: readonly IntakeRow[],
): Promise<(GivenKey | LetheError)[]> {
  const { subjects } = context.config.file
  if (!Object.hasOwn(subjects, kind) || subjects[kind]?.store !== store) {
    const unknown = new LetheError('E_NOT_FOUND', { message: `Store ${store} has no subject ${kind}.` })
    return rows.map(() => unknown)
  }
  const target = await context.target(store)
  // a person's month runs whatever the map says: only destruction waits for a sound plan
  const plan = await rootFor(context, store, kind)
  return canonicalSubjects(
    target,
    plan,
    rows.map(({ root_key: key }) => key ?? []),
  )
}

/** Throws what can't be followed. */
function newRequest(
  context: Context,
  store: string,
  kind: string,
  one: IntakeRow,
  key: GivenKey | LetheError | undefined,
): NewRequest {
  if (key === undefined || key instanceof LetheError)
    throw key ?? new LetheError('E_INTERNAL', { message: 'A request has no key.' })
  const given = asked.parse(one.data)
  return {
    subjectKind: kind,
    store,
    key: key.key,
    written: key.written,
    kind: given.kind,
    ground: given.ground ?? groundOf(given.kind),
    requester: given.requester,
    actor: `app:${one.actor}`,
    origin: 'sql',
    intakeId: one.id,
    receivedAt: one.at,
    grace: graceOf(context, given.kind, given.immediate),
    identity: given.identity === undefined ? null : { method: given.identity, by: `app:${one.actor}` },
    instruction: given.instruction ?? null,
  }
}

async function takeChange(
  context: Context,
  store: string,
  one: IntakeRow,
  taken: Taken,
  passed: Passed,
): Promise<void> {
  let request: ErasureRequest | null = null
  try {
    const { request: id, identity, token } = about.parse(one.data)
    if (passed.deferred.has(id)) return defer(one, 'waits-for-request', passed)
    request = await getRequest(context.control, await joinedBy(context.control, id))
    // an application speaks of its own store's only
    if (request.store !== store)
      throw new LetheError('E_NOT_FOUND', { message: `Store ${store} has no erasure request ${id}.` })
    requireToken(request, one.verb, identity ?? null, token ?? null)
    const actor = `app:${one.actor}`
    if (one.verb === 'cancel') {
      if (one.attempts > 0) await requireNotAskedSince(context, request, one.at)
      await cancelRequest(context, request.id, { actor, method: 'sql' }, id)
      taken.cancelled += 1
    } else {
      await confirmRequest(context, request.id, identity ?? 'signed-in-session', { actor, method: 'sql' }, id)
      taken.confirmed += 1
    }
  } catch (error) {
    if (request === null && (await isAskedStill(context, store, one, passed)))
      return defer(one, 'waits-for-request', passed)
    pass(context, store, one, error, passed)
    if (one.verb === 'cancel' && request !== null)
      await setAside(context, request, passed.deferred.get(one.id) ?? null)
  }
}

/** The request that it is about waits itself, for what concerns its own row or kind. */
async function isAskedStill(
  context: Context,
  store: string,
  one: IntakeRow,
  passed: Passed,
): Promise<boolean> {
  const { success, data } = about.safeParse(one.data)
  if (!success || passed.refused.has(data.request)) return false
  return isOpenIntake(await context.target(store), data.request)
}

/** Who took a request back is not erased for that it can't be followed yet: it comes before a person, until it was. */
async function setAside(context: Context, request: ErasureRequest, why: string | null): Promise<void> {
  const by = { actor: 'lethe' }
  if (why !== null)
    await moveRequests(context.control, 'attend', [request.id], by, {
      next: `'infinity'`,
      waitingFor: `cancel:${why}`,
    })
  else if (request.waitingFor?.startsWith('cancel:') === true)
    await moveRequests(context.control, 'resume', [request.id], by)
}

/** A cancel that waited takes nothing back that was asked for after it. */
async function requireNotAskedSince(context: Context, request: ErasureRequest, at: Date): Promise<void> {
  const since = (await askingsOf(context.control, request.id)).some(({ receivedAt }) => receivedAt > at)
  if (!since) return
  throw new LetheError('E_ILLEGAL_TRANSITION', {
    message: `Request ${request.id} was asked for again after it was taken back.`,
    facts: { request: request.id, state: request.state },
  })
}

/** A link counts once, until it expires, and only with the token that was sent. */
function requireToken(
  request: ErasureRequest,
  verb: IntakeRow['verb'],
  identity: string | null,
  token: string | null,
): void {
  if (verb === 'confirm' && identity !== 'emailed-link') return
  if (verb === 'cancel' && token === null) return
  const hash = verb === 'confirm' ? request.confirmHash : request.cancelHash
  const expired = verb === 'confirm' && request.confirmUntil !== null && request.confirmUntil < wallClock()
  if (token !== null && !expired && isToken(token, hash)) return
  throw new LetheError('E_IDENTIFIER', {
    message: `The link of request ${request.id} is not the one that was sent, was used, or has expired.`,
    facts: { request: request.id },
  })
}

/** The row is passed over: refused for good, or tried again later. Throws what concerns every row. */
function pass(context: Context, store: string, one: IntakeRow, error: unknown, passed: Passed): void {
  if (isForEverybody(error)) throw error
  const final = error instanceof LetheError ? finalCodes.has(error.code) : error instanceof z.ZodError
  const fields = { intake: one.id, store, ...errorFields(error) }
  if (final) {
    passed.refused.set(one.id, error instanceof LetheError ? error.code : 'E_PAYLOAD')
    context.log.error(fields, 'what an application asked for can not be followed')
  } else {
    const code = error instanceof LetheError ? error.code : 'E_INTERNAL'
    defer(one, isOfOneRow(error) ? `${code}: ${refuserOf(error)}` : code, passed)
    context.log.error(fields, 'what an application asked for can not be followed now; it is tried again')
  }
}

function defer(one: IntakeRow, code: string, { deferred }: Passed): void {
  deferred.set(one.id, code)
}

const everybodys: ReadonlySet<string> = new Set([
  'E_CLOCK_SKEW',
  'E_DATABASE_LOGIN',
  'E_DATABASE_UNAVAILABLE',
  'E_FENCED',
  'E_SCHEMA_NEW',
  'E_SCHEMA_OLD',
])

function isForEverybody(error: unknown): boolean {
  return error instanceof LetheError && everybodys.has(error.code)
}

/** What a request names where nobody said more. */
export function groundOf(kind: 'account-closure' | 'article-17'): string {
  return kind === 'article-17' ? 'art-17-1' : 'account-closed'
}

export function graceOf(
  { config }: Pick<Context, 'config'>,
  kind: 'account-closure' | 'article-17',
  immediate: boolean,
): string {
  return immediate || kind === 'article-17' ? '0' : config.file.erasure.grace
}

export function limitsOf({ config }: Pick<Context, 'config'>): Limits {
  const { ceiling, slowest_leg: slowest, keep_identifiers: keep } = config.file.erasure
  return { ceiling, slowest, keep }
}
