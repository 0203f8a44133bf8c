/** What support sees of a request: in plain words, what is done, what waits and until when, what failed, what stays and why. */
import { databaseNow } from '../../lib/db/index.ts'
import {
  answersOf,
  decisionsOf,
  getRequest,
  legSentences,
  legsOf,
  listRequests,
  type ErasureRequest,
  type Leg,
  type RequestFilter,
  type StoredDecision,
} from '../../lib/requests/index.ts'
import type { Context } from '../context.ts'

export interface RequestStatus {
  request: Omit<ErasureRequest, 'sealed' | 'sealedKeyId' | 'subjectHash' | 'confirmHash' | 'cancelHash'>
  /** What happens next, in a sentence. */
  next: string
  /** Until the answer is due; below 0: overdue. */
  daysLeft: number
  legs: (Leg & { words: string })[]
  decisions: StoredDecision[]
  /** What the person was told, and what waits to be. */
  answers: Awaited<ReturnType<typeof answersOf>>
}

/** Throws E_NOT_FOUND. */
export async function requestStatus(context: Context, id: string): Promise<RequestStatus> {
  const { control } = context
  const request = await getRequest(control, id)
  const [legs, decisions, now] = [
    await legsOf(control, [id]),
    await decisionsOf(control, [id]),
    await databaseNow(control),
  ]
  const told = legs.map((leg) => ({ ...leg, words: wordsOf(leg) }))
  return {
    request: shown(request),
    next: nextOf(request, legs),
    daysLeft: daysLeft(request, now),
    legs: told,
    decisions,
    answers: await answersOf(control, id),
  }
}

export interface ListedRequest {
  id: string
  subjectKind: string
  kind: string
  state: string
  waitingFor: string | null
  receivedAt: Date
  dueAt: Date
  daysLeft: number | null
}

export async function listStatus(context: Context, filter: RequestFilter): Promise<ListedRequest[]> {
  const requests = await listRequests(context.control, filter)
  const now = await databaseNow(context.control)
  return requests.map((request) => ({
    id: request.id,
    subjectKind: request.subjectKind,
    kind: request.kind,
    state: request.state,
    waitingFor: request.waitingFor,
    receivedAt: request.receivedAt,
    dueAt: request.dueAt,
    daysLeft: request.finishedAt === null ? daysLeft(request, now) : null,
  }))
}

function shown(request: ErasureRequest): RequestStatus['request'] {
  const {
    sealed: _sealed,
    sealedKeyId: _keyId,
    subjectHash: _hash,
    confirmHash: _confirm,
    cancelHash: _cancel,
    ...rest
  } = request
  return rest
}

function daysLeft({ dueAt }: ErasureRequest, now: Date): number {
  return Math.floor((dueAt.getTime() - now.getTime()) / 86_400_000)
}

function nextOf(request: ErasureRequest, legs: readonly Leg[]): string {
  const { id, waitingFor } = request
  switch (request.state) {
    case 'received':
      if (request.overCeiling)
        return `Its actor made too many requests in a day: somebody approves it (lethe erasure approve ${id}).`
      return request.identityMethod === null
        ? `The person's identity has to be confirmed (lethe erasure confirm ${id} --method …).`
        : 'A worker takes it up next.'
    case 'referred':
      return `The controller has to give its instruction (lethe erasure instruct ${id} --reference …).`
    case 'confirmed':
      return waitingFor === 'assessment'
        ? `A named person decides about each class of records (lethe erasure assess ${id} --class …).`
        : 'A worker takes it up next.'
    case 'assessed':
      return waitingFor === 'access'
        ? 'A store whose sessions have to end did not answer; it is asked again every minute (lethe doctor).'
        : 'A worker takes it up next.'
    case 'access-cut':
    case 'planned':
      return 'A worker takes it up next.'
    case 'grace':
      return `Access is cut; nothing is erased before ${day(request.graceUntil)}. Until then it can be cancelled.`
    case 'erasing':
    case 'verifying': {
      if (waitingFor === 'tombstone')
        return `What there is to erase is erased; its tombstone could not be written (the log says why), and is tried again each minute.`
      const open = legs.filter((leg) => ['pending', 'waiting', 'failed', 'accepted'].includes(leg.state))
      return `Still open: ${open.map((leg) => `${leg.store} (${legSentences[leg.state]}${leg.nextAt === null ? '' : `, looked at again ${instant(leg.nextAt)}`})`).join('; ') || 'nothing'}.`
    }
    case 'needs-attention':
      return attention(request, legs)
    case 'on-hold':
      return 'A legal hold keeps it; it goes on by itself once the hold is released. The answer stays due.'
    case 'refused':
      return `It was refused: ${request.refusalGround ?? ''}.`
    case 'cancelled':
      return 'It was taken back before anything was erased.'
    default:
      return request.nobody ? 'Nothing of this person was found in the own store.' : 'Nothing is left to do.'
  }
}

function attention({ id, waitingFor }: ErasureRequest, legs: readonly Leg[]): string {
  if (waitingFor === 'plan-changed')
    return `The map or the database changed after it was planned: look at the plan (lethe erasure plan), then lethe erasure retry ${id}.`
  if (waitingFor?.startsWith('unusable:') === true) {
    const store = waitingFor.slice(9)
    return `Store ${store} can't be called as it is configured (lethe doctor says why), and nothing was erased anywhere: mend it, then lethe erasure retry ${id}; or accept ${id} ${store}, and what is there stays.`
  }
  if (waitingFor === 'map-findings')
    return `What was decided to stay does not fit the map (lethe doctor names it): mend the map, start the workers again, then lethe erasure retry ${id}.`
  if (waitingFor?.startsWith('minimum:') === true)
    return `The law keeps rows in ${waitingFor.slice(8)}, and with them the whole person: refuse it with that ground, or wait and retry.`
  const stuck = legs.filter(
    (leg) => leg.nextAt === null && (leg.state === 'failed' || leg.state === 'accepted'),
  )
  return `Trying again did not help at ${stuck.map(({ store }) => store).join(', ')}: lethe erasure retry ${id} STORE, or accept ${id} STORE.`
}

function wordsOf(leg: Leg): string {
  const parts: string[] = [legSentences[leg.state]]
  if (leg.state === 'waiting' && leg.job !== null) parts.push(`job ${leg.job.split('\n').join(', ')}`)
  if (leg.errorCode !== null && leg.state === 'failed')
    parts.push(`${leg.errorCode} after ${leg.attempt} attempt${leg.attempt === 1 ? '' : 's'}`)
  if (leg.reopened > 0) parts.push(`found again ${leg.reopened} time${leg.reopened === 1 ? '' : 's'}`)
  if (leg.state === 'waiting' || leg.state === 'failed' || leg.state === 'accepted')
    parts.push(leg.nextAt === null ? 'waits for a person' : `next ${instant(leg.nextAt)}`)
  for (const kept of leg.retained)
    parts.push(
      `${kept.count} in ${kept.place} ${kept.count === 1 ? 'stays' : 'stay'}${kept.until === null ? '' : ` until ${kept.until.slice(0, 10)}`}: ${kept.ground}`,
    )
  return parts.join('; ')
}

function instant(at: Date): string {
  return `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

function day(at: Date | null): string {
  return at === null ? 'its end' : at.toISOString().slice(0, 10)
}
