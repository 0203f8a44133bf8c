/** What support sees of a request: in plain words, what is done, what waits and until when, what failed, what stays and why. */
import { databaseNow } from '../../../lib/base/db/index.ts'
import {
  answersOf,
  askingsOf,
  countListed,
  decisionsOf,
  getRequest,
  legsOf,
  listRequests,
  type Asking,
  type ErasureRequest,
  type Leg,
  type RequestFilter,
  type StoredDecision,
} from '../../../lib/record/requests/index.ts'
import type { Context } from '../../context.ts'
import { standstillOf, type Standstill } from '../../standstill.ts'
import { kindInWords, nextOf, wordsOf } from './words.ts'

export interface RequestStatus {
  request: Omit<ErasureRequest, 'sealed' | 'sealedKeyId' | 'subjectHash' | 'confirmHash' | 'cancelHash'>
  /** What happens next, in a sentence. */
  next: string
  /** Nothing of this kind of subject goes on, and why; null where it does. */
  standstill: Standstill | null
  /** Until the answer is due; below 0: overdue. */
  daysLeft: number
  /** `words`: how it stands; `lines`: the same, a line each. */
  legs: (Leg & { words: string; lines: string[] })[]
  /** Where more than one asked, or it was raised: everything that was asked for, the oldest first. */
  askings: (Asking & { words: string })[]
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
  const standstill = request.finishedAt === null ? await standstillOf(context, request.subjectKind) : null
  const { classes } = context.config.file.erasure
  const askings = await askingsOf(control, id)
  const told = legs.map((leg) => {
    const lines = wordsOf(leg, now)
    return { ...leg, words: lines.join('; '), lines }
  })
  return {
    request: shown(request),
    next: nextOf(request, legs, {
      standstill: standstill?.words ?? null,
      classes: Object.entries(classes).map(([name, { decision }]) => ({ name, decision })),
      askings,
      ended: endedBy(context, request),
    }),
    standstill,
    daysLeft: daysLeft(request, now),
    legs: told,
    askings: askings.map((one) => ({ ...one, words: kindInWords(one) })),
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

/** The longest page: with more the memory of a list would grow with it. */
const PAGE = 500

/** How many there are, and the first `limit` of them a page at a time. */
export async function listPages(
  context: Context,
  filter: Omit<RequestFilter, 'after'>,
): Promise<{ total: number; pages: AsyncIterable<ListedRequest[]> }> {
  return { total: await countListed(context.control, filter), pages: pagesOf(context, filter) }
}

async function* pagesOf(context: Context, filter: RequestFilter): AsyncGenerator<ListedRequest[]> {
  let left = filter.limit ?? Infinity
  let after: string | undefined
  while (left > 0) {
    const limit = Math.min(left, PAGE)
    const page = await listStatus(context, { ...filter, limit, ...(after === undefined ? {} : { after }) })
    if (page.length > 0) yield page
    if (page.length < limit) return
    left -= page.length
    after = page.at(-1)?.id
  }
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

/** What the cut of access ends for good, by the map: tables of sessions, and other stores. */
function endedBy({ config }: Context, { subjectKind }: ErasureRequest): string[] {
  const { subjects } = config.file
  if (!Object.hasOwn(subjects, subjectKind)) return []
  const { delete: rows = [], stores = [] } = subjects[subjectKind]?.access ?? {}
  return [...rows.map(({ table }) => table), ...stores]
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
