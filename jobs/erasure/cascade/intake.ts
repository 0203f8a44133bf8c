/** Requests that applications wrote in their own transactions, copied into the record. Idempotent: a request's id is the application's. */
import { z } from 'zod'
import { wallClock } from '../../../lib/base/clock/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { errorFields } from '../../../lib/base/log/index.ts'
import {
  createRequests,
  getRequest,
  intakeKinds,
  joinedBy,
  markTaken,
  openIntake,
  personalMethods,
  personalRequesters,
  type ErasureRequest,
  type IntakeRow,
  type Limits,
  type NewRequest,
} from '../../../lib/record/requests/index.ts'
import type { Context } from '../../context.ts'
import { canonicalSubjects, type SubjectKey } from '../../hold-key.ts'
import { isToken } from './answers.ts'
import { planFor } from '../plans.ts'
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

/** What one store's applications have asked for since. A row is marked taken once the record has it. */
export async function takeIntake(context: Context, store: string): Promise<Taken> {
  const target = await context.target(store)
  const taken: Taken = { requests: 0, joined: 0, confirmed: 0, cancelled: 0, refused: 0 }
  for (;;) {
    const rows = await openIntake(target, PAGE)
    if (rows.length === 0) return taken
    const refused: Refused = new Map()
    for (const some of inOrder(rows)) {
      await takeRequests(context, store, some, taken, refused)
      for (const one of some)
        if (one.verb !== 'request') await takeChange(context, store, one, taken, refused)
    }
    taken.refused += refused.size
    await markTaken(
      target,
      rows.map(({ id }) => id),
      refused,
    )
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

/** Codes by the row's id. */
type Refused = Map<string, string>

async function takeRequests(
  context: Context,
  store: string,
  rows: readonly IntakeRow[],
  taken: Taken,
  refused: Refused,
): Promise<void> {
  const wanted: NewRequest[] = []
  const kinds = Map.groupBy(
    rows.filter(({ verb }) => verb === 'request'),
    ({ subject_kind: kind }) => kind ?? '',
  )
  for (const [kind, some] of kinds) {
    const keys = await keysOf(context, store, kind, some)
    some.forEach((one, place) => {
      try {
        wanted.push(newRequest(context, store, kind, one, keys[place]))
      } catch (error) {
        refuse(context, store, one, error, refused)
      }
    })
  }
  if (wanted.length === 0) return
  const created = await context.control.transaction(
    (tx) => createRequests(tx, context.keystore, wanted, limitsOf(context)),
    { retry: true },
  )
  for (const { joined } of created) taken[joined ? 'joined' : 'requests'] += 1
}

/** Of the rows, in their order; an error for each that names nobody who could be looked for. */
async function keysOf(
  context: Context,
  store: string,
  kind: string,
  rows: readonly IntakeRow[],
): Promise<(SubjectKey | LetheError)[]> {
  const { subjects } = context.config.file
  if (!Object.hasOwn(subjects, kind) || subjects[kind]?.store !== store) {
    const unknown = new LetheError('E_NOT_FOUND', { message: `Store ${store} has no subject ${kind}.` })
    return rows.map(() => unknown)
  }
  const target = await context.target(store)
  const plan = await planFor(context, store, kind)
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
  key: SubjectKey | LetheError | undefined,
): NewRequest {
  if (key === undefined || key instanceof LetheError)
    throw key ?? new LetheError('E_INTERNAL', { message: 'A request has no key.' })
  const given = asked.parse(one.data)
  return {
    subjectKind: kind,
    store,
    ...key,
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
  refused: Refused,
): Promise<void> {
  try {
    const { request: id, identity, token } = about.parse(one.data)
    const request = await getRequest(context.control, await joinedBy(context.control, id))
    // an application speaks of its own store's only
    if (request.store !== store)
      throw new LetheError('E_NOT_FOUND', { message: `Store ${store} has no erasure request ${id}.` })
    requireToken(request, one.verb, identity ?? null, token ?? null)
    const actor = `app:${one.actor}`
    if (one.verb === 'cancel') {
      await cancelRequest(context, request.id, { actor, method: 'sql' }, id)
      taken.cancelled += 1
    } else {
      await confirmRequest(context, request.id, identity ?? 'signed-in-session', { actor, method: 'sql' }, id)
      taken.confirmed += 1
    }
  } catch (error) {
    refuse(context, store, one, error, refused)
  }
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

/** A row that no later try could follow either; whatever may pass is thrown, and the row stays to be taken. */
function refuse(context: Context, store: string, one: IntakeRow, error: unknown, refused: Refused): void {
  const final = error instanceof LetheError ? finalCodes.has(error.code) : error instanceof z.ZodError
  if (!final) throw error
  refused.set(one.id, error instanceof LetheError ? error.code : 'E_PAYLOAD')
  context.log.error(
    { intake: one.id, store, ...errorFields(error) },
    'what an application asked for can not be followed',
  )
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
