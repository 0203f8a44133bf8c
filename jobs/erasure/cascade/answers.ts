/**
 * What the person is told (Art. 12): that the request came in, how to confirm it or take it back, that it takes longer, why
 * not, and what was done. A message is written whole when its occasion comes, sealed, and gone once it is delivered.
 */
import { createHash } from 'node:crypto'
import { renderAnswer, type AnswerFacts } from '../../../lib/people/answers/index.ts'
import { randomSecret } from '../../../lib/base/clock/index.ts'
import { databaseNow, isOfOneRow, type Queryable } from '../../../lib/base/db/index.ts'
import { errorFields } from '../../../lib/base/log/index.ts'
import { collectIdentifiers } from '../../../lib/data/rows/index.ts'
import {
  addAnswers,
  beginAnswer,
  dueAnswers,
  markAnswered,
  openSecrets,
  settleAnswer,
  skipAnswers,
  updateRequest,
  type AnswerKind,
  type DueAnswer,
  type ErasureRequest,
  type Leg,
  type NewAnswer,
} from '../../../lib/record/requests/index.ts'
import type { Context } from '../../context.ts'
import { planFor, subjectOf, wantedOf } from '../plans.ts'
import { isRecipient, recipientsOf } from '../desk/recipients.ts'

const AT_ONCE = 50
/** First wait after a failed delivery in seconds, doubled with each, and how many are tried. */
const RETRY = { first: 60, most: 10 }
const LINK_DAYS = 7

/** Retention is no request of the person's: it is told about by warnings before, not by answers. */
function isAnswered(request: ErasureRequest): boolean {
  return request.kind !== 'retention' && request.requester !== 'policy'
}

/**
 * One answer for each of these requests, where there is a channel and an address to send it to; once a request and kind.
 * `db`: whoever holds their rows.
 */
export async function queueAnswers<K extends AnswerKind>(
  context: Context,
  db: Queryable,
  kind: K,
  requests: readonly ErasureRequest[],
  factsOf: (request: ErasureRequest) => Promise<AnswerFacts[K] | null>,
): Promise<void> {
  const wanted = requests.filter(isAnswered)
  if (wanted.length === 0) return
  if (context.notifier.channel === 'log') return skipAnswers(db, kind, wanted)
  const contacts = await contactsOf(context, wanted)
  const answers: NewAnswer[] = []
  for (const request of wanted) {
    const to = contacts.get(request.id)
    const facts = to === undefined ? null : await factsOf(request)
    if (to === undefined || facts === null) continue
    const { subject, text } = renderAnswer(kind, facts, context.config.file.erasure.answers)
    answers.push({ requestId: request.id, subjectKind: request.subjectKind, kind, to, subject, text })
  }
  await addAnswers(db, context.keystore, answers)
}

async function contactsOf(
  context: Context,
  requests: readonly ErasureRequest[],
): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  const unread: { request: ErasureRequest; key: readonly string[] }[] = []
  for (const request of requests) {
    if (request.sealed === null) continue
    const secrets = openSecrets(context.keystore, request)
    if (secrets.contact === undefined) unread.push({ request, key: secrets.key })
    else if (secrets.contact !== null) found.set(request.id, secrets.contact)
  }
  const [first] = unread
  if (first === undefined) return found
  const { subjectKind, store } = first.request
  const subject = subjectOf(context, subjectKind)
  if (subject.contact === undefined) return found
  const target = await context.target(store)
  const plan = await planFor(context, store, subjectKind)
  const read = async (some: readonly (typeof unread)[number][]): Promise<void> => {
    try {
      const keys = some.map(({ key }) => key)
      const wanted = { identifiers: {}, contact: wantedOf(subject).contact }
      const collected = await collectIdentifiers(target, plan, keys, wanted)
      for (const [place, { request }] of some.entries()) {
        const contact = collected[place]?.contact ?? null
        if (contact !== null) found.set(request.id, contact)
      }
    } catch (error) {
      if (!isOfOneRow(error)) throw error
      // who has no address is not told now, and comes before a person when their identifiers are collected
      const half = Math.ceil(some.length / 2)
      if (some.length === 1)
        context.log.error(
          { requests: some.map(({ request }) => request.id), ...errorFields(error) },
          'the expression of the contact fails on a row',
        )
      else {
        await read(some.slice(0, half))
        await read(some.slice(half))
      }
    }
  }
  await read(unread)
  return found
}

/** It came in; and where nobody knows yet whether it was the person, the link by which they say so. */
export async function acknowledge(context: Context, requests: readonly ErasureRequest[]): Promise<void> {
  await queueAnswers(context, context.control, 'acknowledgement', requests, (request) =>
    Promise.resolve({ request: request.id, received: request.receivedAt, due: request.dueAt }),
  )
  const page = context.config.file.erasure.links.confirm
  const unknown = requests.filter(
    (request) => request.identityMethod === null && request.confirmHash === null,
  )
  if (page === undefined || unknown.length === 0) return
  const now = await databaseNow(context.control)
  const expires = new Date(now.getTime() + LINK_DAYS * 86_400_000)
  await queueAnswers(context, context.control, 'confirm', unknown, async (request) => {
    const token = newToken()
    await updateRequest(context.control, request.id, 'confirm_hash = $2, confirm_until = $3', [
      hashOf(token),
      expires,
    ])
    return { request: request.id, link: linkTo(page, request.id, token), expires }
  })
}

/** Access is cut and the grace period runs: how to take it back. */
export async function offerCancel(context: Context, requests: readonly ErasureRequest[]): Promise<void> {
  const page = context.config.file.erasure.links.cancel
  if (page === undefined) return
  const now = await databaseNow(context.control)
  await queueAnswers(context, context.control, 'cancel', requests, async (request) => {
    if (request.graceUntil === null) return null
    const token = newToken()
    await updateRequest(context.control, request.id, 'cancel_hash = $2', [hashOf(token)])
    return {
      request: request.id,
      link: linkTo(page, request.id, token),
      accessCut: now,
      graceUntil: request.graceUntil,
    }
  })
}

/** What was done. Returns those whom nobody is told of: the channel need not wait for an answer. */
export async function answerCompletion(
  context: Context,
  requests: readonly ErasureRequest[],
  legs: ReadonlyMap<string, readonly Leg[]>,
): Promise<string[]> {
  const now = await databaseNow(context.control)
  const told = new Set<string>()
  await queueAnswers(context, context.control, 'completion', requests, (request) => {
    told.add(request.id)
    return Promise.resolve(completionOf(context, request, legs.get(request.id) ?? [], now))
  })
  return requests.filter(({ id }) => !told.has(id)).map(({ id }) => id)
}

function completionOf(
  context: Context,
  request: ErasureRequest,
  legs: readonly Leg[],
  now: Date,
): AnswerFacts['completion'] {
  const { backups } = context.config.file.erasure
  const days = Math.max(0, ...legs.map(({ store }) => backups[store] ?? 0))
  return {
    request: request.id,
    received: request.receivedAt,
    finished: now,
    receipt: request.id,
    erased: legs.filter(isErased).map(({ store }) => `Your data in ${store}`),
    pseudonymised: legs.flatMap(({ store, pseudonymised, detached, retained }) =>
      Object.keys({ ...pseudonymised, ...detached })
        .filter((name) => !retained.some(({ place }) => place === name))
        .map((place) => `${store}: ${place}`),
    ),
    retained: legs.flatMap((leg) =>
      leg.retained.map(({ place, ground, until }) => ({
        what: `${leg.store}: ${place}`,
        ground,
        until: until === null ? null : new Date(until),
      })),
    ),
    left: legs
      .filter((leg) => !isRecipient(leg) && leg.state === 'accepted-as-failed')
      .map(({ store }) => store),
    backup: days === 0 ? null : { until: new Date(now.getTime() + days * 86_400_000) },
    recipients: recipientsOf(context, legs),
  }
}

/** What only stays, without a name or in somebody's word, is nothing that was erased. */
function isErased({ kind, state, counts, pseudonymised, detached }: Leg): boolean {
  if (kind === 'declared' || kind === 'search') return false
  const gone = Object.keys(counts).length > 0
  if (state === 'verified') return gone || Object.keys({ ...pseudonymised, ...detached }).length === 0
  return state === 'retained' && gone
}

/** Delivers what is due of this kind of subject; returns how many were delivered. */
export async function deliverAnswers(
  context: Context,
  subjectKind: string,
  signal: AbortSignal,
): Promise<number> {
  let delivered = 0
  for (;;) {
    const due = await dueAnswers(context.control, context.keystore, subjectKind, AT_ONCE)
    for (const answer of due) {
      signal.throwIfAborted()
      if (await deliver(context, answer)) delivered += 1
    }
    if (due.length < AT_ONCE) return delivered
  }
}

async function deliver(context: Context, answer: DueAnswer): Promise<boolean> {
  const { control, notifier } = context
  await beginAnswer(control, answer)
  const { to, subject, text } = answer.message
  const { delivered, errorCode, retryAfterSeconds } = await notifier.deliver({
    to,
    subject,
    body: text,
    type: `erasure.${answer.kind}`,
    id: `${answer.requestId}-${answer.kind}`,
  })
  const attempt = answer.attempt + 1
  if (delivered) await settleAnswer(control, answer, { state: 'delivered', errorCode: null })
  else if (errorCode === 'E_NOTIFY_LOG') await settleAnswer(control, answer, { state: 'not-sent', errorCode })
  else if (attempt >= RETRY.most || errorCode === 'E_NOTIFY_REFUSED')
    await settleAnswer(control, answer, { state: 'failed', errorCode: errorCode ?? null })
  else {
    const after = Math.max(retryAfterSeconds ?? 0, RETRY.first * 2 ** (attempt - 1))
    await settleAnswer(control, answer, {
      state: 'waiting',
      errorCode: errorCode ?? 'E_NOTIFY_UNAVAILABLE',
      after,
    })
    return false
  }
  if (answer.kind === 'completion') await markAnswered(control, [answer.requestId])
  return delivered
}

/** Whether this is the token whose hash is kept. */
export function isToken(token: string, hash: Buffer | null): boolean {
  return hash !== null && hashOf(token).equals(hash)
}

function newToken(): string {
  return randomSecret(32).toString('base64url')
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

function linkTo(page: string, request: string, token: string): URL {
  return new URL(page.replaceAll('{request}', request).replaceAll('{token}', token))
}
