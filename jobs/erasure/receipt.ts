/** Receipts: what each request asked for, what was accepted, read back, kept and left; signed with the evidence log's key. */
import { logKeys } from '../../lib/record/evidence/index.ts'
import { canonicalHash } from '../../lib/base/canonical/index.ts'
import { summed, total } from '../../lib/base/counts/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import { databaseNow } from '../../lib/base/db/index.ts'
import { bucketCopyStatus } from '../../lib/record/erasures/index.ts'
import { signReceipt, toLine, type Receipt, type ReceiptLeg } from '../../lib/record/receipt/index.ts'
import {
  decisionsOf,
  receiptOf,
  storeReceipts,
  type ErasureRequest,
  type Leg,
  type StoredDecision,
} from '../../lib/record/requests/index.ts'
import type { Context } from '../context.ts'
import { ids } from './going.ts'
import type { House } from './house.ts'
import { isRecipient, recipientsOf } from './recipients.ts'

/** Requests without a log of their own are signed under this name. */
const UNNAMED = 'lethe'

/** Signs and keeps one for each request; the same request again gives another instant, and replaces it. */
export async function issueReceipts(
  house: House,
  requests: readonly ErasureRequest[],
  legs: ReadonlyMap<string, readonly Leg[]>,
): Promise<void> {
  const { context, claim } = house
  const { signer } = keysOf(context)
  const [now, journal, made] = [
    await databaseNow(context.control),
    // without a bucket nothing is in one, however many objects wait for it
    context.config.file.locked_bucket === undefined
      ? { objects: 0, waiting: 0 }
      : await bucketCopyStatus(context.control),
    Map.groupBy(await decisionsOf(context.control, ids(requests)), ({ requestId }) => requestId),
  ]
  const receipts = requests.map((request) => {
    const own = legs.get(request.id) ?? []
    const decisions = made.get(request.id) ?? []
    const receipt = receiptFor(house, request, own, decisions, now, journal.objects - journal.waiting)
    return { requestId: request.id, text: signReceipt(receipt, signer), hash: canonicalHash(receipt) }
  })
  await storeReceipts(context.control, claim, receipts)
}

/** The text of a request's receipt. Throws E_NOT_FOUND. */
export async function readReceipt(context: Context, requestId: string): Promise<string> {
  const text = await receiptOf(context.control, requestId)
  if (text !== null) return text
  throw new LetheError('E_NOT_FOUND', {
    message: `Request ${requestId} has no receipt: it has not been carried through.`,
    next: `See \`lethe erasure status ${requestId}\`.`,
  })
}

function keysOf({ config, keystore }: Context) {
  const { evidence } = config.file
  return logKeys(
    evidence?.origin ?? UNNAMED,
    keystore,
    evidence?.key === undefined ? null : config.secret(evidence.key),
  )
}

function receiptFor(
  house: House,
  request: ErasureRequest,
  legs: readonly Leg[],
  decisions: readonly StoredDecision[],
  now: Date,
  objects: number,
): Receipt {
  const { file } = house.context.config
  const told = legs
    .filter((leg) => !isRecipient(leg))
    .map((leg) => receiptLeg(house, request, leg, decisions))
  const recipients = recipientsOf(house.context, legs)
  const retains = told.some((leg) => leg.retained.length > 0)
  const failed =
    told.some(({ state }) => state === 'accepted-as-failed') || recipients.some((one) => one.told === null)
  const ended = Object.entries(request.accessEnded)
  const found =
    ended.length > 0 ||
    told.some((leg) => leg.atLeast) ||
    told.some((leg) => [leg.counts, leg.pseudonymised, leg.detached].some((one) => total(one) > 0))
  const outcome = failed
    ? 'completed-with-left'
    : retains
      ? 'completed-with-retained'
      : request.nobody && !found
        ? 'nothing-found'
        : 'completed'
  return {
    lethe: 1,
    type: 'erasure-receipt',
    request: request.id,
    kind: request.kind,
    ground: toLine(request.ground),
    requester: request.requester,
    subject: {
      kind: request.subjectKind,
      hash: request.subjectHash.toString('hex'),
      keyId: request.keyId,
    },
    identity:
      request.identityMethod === null
        ? null
        : {
            method: request.identityMethod,
            at: (request.identityAt ?? request.receivedAt).toISOString(),
          },
    received: request.receivedAt.toISOString(),
    due: request.dueAt.toISOString(),
    extended: request.extendedAt === null ? null : request.dueAt.toISOString(),
    finished: now.toISOString(),
    outcome,
    refusal: null,
    map: request.mapVersion ?? 'unknown',
    plan: request.planHash ?? 'unknown',
    decisions: (request.retainedClasses ?? []).map((name) => {
      const by = decisions.findLast(({ verb, data }) => verb === 'assess' && data[name] === 'retain')
      const ground = file.erasure.classes[name]?.ground
      return {
        class: name,
        decision: 'retain' as const,
        ground: ground === undefined ? null : toLine(ground),
        until: null,
        by: by?.actor ?? 'policy',
      }
    }),
    accessEnded: ended.map(([store, { counts, shared }]) => ({ store, counts, sharedWith: shared })),
    legs: told,
    recipients: recipients.map(({ name, told: at }) => ({ name, told: at?.toISOString() ?? null })),
    ledger: { entries: told.filter(({ kind }) => kind !== 'search').length, objects },
  }
}

function receiptLeg(
  house: House,
  request: ErasureRequest,
  leg: Leg,
  decisions: readonly StoredDecision[],
): ReceiptLeg {
  const store = house.context.config.file.stores[leg.store]
  const accepted = decisions.findLast(({ verb, object }) => verb === 'accept' && object === leg.store)
  const state = stateOf(leg)
  const declaredBy = state === 'declared' && store?.kind === 'declared' ? store.owner : null
  const keeps = house.context.config.file.erasure.backups[leg.store]
  const from = leg.verifiedAt ?? leg.acceptedAt ?? request.receivedAt
  return {
    store: leg.store,
    kind: leg.kind,
    location: store?.location === undefined ? null : toLine(store.location),
    requested: state === 'declared' ? null : (leg.requestedAt ?? request.receivedAt).toISOString(),
    accepted: leg.acceptedAt?.toISOString() ?? null,
    verified: leg.verifiedAt?.toISOString() ?? null,
    state,
    declaredBy,
    counts: state === 'not-needed' ? {} : inLines(leg.counts),
    pseudonymised: state === 'not-needed' ? {} : inLines(leg.pseudonymised),
    detached: state === 'not-needed' ? {} : inLines(leg.detached),
    sharedWith: leg.shared,
    atLeast: leg.interrupted && state !== 'not-needed',
    retained: leg.retained
      .filter(({ count }) => count > 0)
      .map((kept) => ({ ...kept, place: toLine(kept.place), ground: toLine(kept.ground) })),
    left: state === 'accepted-as-failed' ? inLines(leg.remains) : {},
    acceptedBy:
      state === 'accepted-as-failed'
        ? {
            name: accepted?.actor ?? 'configuration',
            statement: accepted?.statement ?? canonicalHash(leg.messages),
          }
        : null,
    backup:
      keeps === undefined || state === 'not-needed'
        ? null
        : { until: plusDays(from, keeps).toISOString(), basis: 'declared' },
    sideEffects:
      house.places.find((place) => place.store === leg.store)?.capabilities.sideEffects.map(toLine) ?? [],
  }
}

function stateOf({ kind, state }: Leg): ReceiptLeg['state'] {
  if (state === 'retained' && kind === 'declared') return 'declared'
  return state === 'verified' || state === 'retained' || state === 'not-needed' ? state : 'accepted-as-failed'
}

function inLines(counts: Readonly<Record<string, number>>): Record<string, number> {
  return summed(Object.entries(counts).map(([place, count]) => ({ [toLine(place)]: count })))
}

function plusDays(from: Date, days: number): Date {
  return new Date(from.getTime() + days * 86_400_000)
}
