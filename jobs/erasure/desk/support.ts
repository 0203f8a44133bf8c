/** What people decide about a request. Each is recorded with who decided and what they signed, in the transaction of its effect. */
import type { Transaction } from '../../../lib/base/db/index.ts'
import { restoreAccess, type SavedRow } from '../../../lib/data/rows/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import { authorise, type Attested, type DecisionVerb } from '../../../lib/people/identity/index.ts'
import { reasonOf } from '../../../lib/record/decisions/index.ts'
import {
  askingOf,
  askingsOf,
  begunIn,
  decideRequest,
  forgetSealed,
  getRequest,
  hasBegun,
  isLastDecision,
  isWhole,
  legsOf,
  moveRequests,
  openSecrets,
  raiseWaiting,
  settleLeg,
  updateRequest,
  type Asking,
  type ErasureRequest,
  type Leg,
  type PersonalMethod,
  type RequestDecisionVerb,
} from '../../../lib/record/requests/index.ts'
import type { Context } from '../../context.ts'
import { queueAnswers } from '../cascade/answers.ts'
import { revoke } from '../cascade/ledger.ts'
import { subjectOf } from '../plans.ts'
import { kindInWords } from './words.ts'

/** Who decides: a person with a signed statement, or an application by its login. */
export type By = { attested: Attested } | { actor: string; method: string }

/**
 * The person is who they say they are. Repeated by the same method it changes nothing; what joined and waited for it raises the
 * request now. `asking`: an application's id, which speaks of its own asking only. Throws E_NOT_FOUND, E_ILLEGAL_TRANSITION.
 */
export async function confirmRequest(
  context: Context,
  id: string,
  method: PersonalMethod,
  by: By,
  asking: string | null = null,
): Promise<void> {
  await decide(context, id, 'confirm', by, { data: { method } }, async (tx, request, actor) => {
    if (request.finishedAt !== null) throw illegal(request, 'confirmed')
    if (request.identityMethod !== null) {
      const { ceiling } = context.config.file.erasure
      if (await raiseWaiting(tx, request, asking, { method, by: actor }, ceiling)) return undefined
      if (request.identityMethod === method) return 'unchanged'
      throw new LetheError('E_ILLEGAL_TRANSITION', {
        message: `The identity of request ${id} is confirmed already: ${request.identityMethod}, by ${request.identityBy ?? 'nobody known'}.`,
        facts: { request: id, state: request.state },
      })
    }
    // Where identity had to be asked for, the month runs from the answer.
    await updateRequest(
      tx,
      id,
      `identity_method = $2, identity_at = clock_timestamp(), identity_by = $3, confirm_hash = NULL, clock_from = clock_timestamp(),
       due_at = clock_timestamp() + interval '1 month', next_at = CASE WHEN over_ceiling THEN next_at ELSE clock_timestamp() END`,
      [method, actor],
    )
    return undefined
  })
}

/** Over the ceiling of its actor: it may go on. Throws E_ROLE_MISSING for that actor: a ceiling that one lifts oneself is none. */
export async function approveRequest(context: Context, id: string, by: By): Promise<void> {
  await decide(context, id, 'approve', by, {}, async (tx, request, actor) => {
    if (request.finishedAt !== null) throw illegal(request, 'approved')
    if (!request.overCeiling) return 'unchanged'
    const raisers = (await askingsOf(tx, id)).filter(({ raised }) => raised).map((one) => one.actor)
    if ([request.actor, ...raisers].includes(actor))
      throw new LetheError('E_ROLE_MISSING', {
        message: `${actor} made request ${id}: somebody else approves what goes beyond the ceiling.`,
        facts: { request: id },
      })
    await updateRequest(tx, id, `over_ceiling = false, waiting_for = NULL, next_at = clock_timestamp()`, [])
    return undefined
  })
}

/** The controller's reference of its instruction. */
export async function instructRequest(
  context: Context,
  id: string,
  reference: string,
  by: By,
): Promise<void> {
  await decide(context, id, 'instruct', by, { data: { reference } }, async (tx, request, actor) => {
    if (request.finishedAt !== null) throw illegal(request, 'instructed')
    await updateRequest(tx, id, `instruction = $2`, [reference])
    await moveRequests(tx, 'instruct', [id], { actor })
  })
}

/** What becomes of each class of records that asks a person. Throws E_USAGE for a class that isn't one of them. */
export async function assessRequest(
  context: Context,
  id: string,
  decisions: Readonly<Record<string, 'erase' | 'retain'>>,
  by: By,
): Promise<void> {
  const { classes } = context.config.file.erasure
  for (const [name, decision] of Object.entries(decisions)) {
    const rule = classes[name]
    if (rule?.decision !== 'ask' && rule?.decision !== decision)
      throw new LetheError('E_USAGE', {
        message:
          rule === undefined
            ? `The configuration has no class ${name}.`
            : `The policy decides about class ${name}: ${rule.decision}.`,
      })
  }
  const missing = Object.entries(classes).filter(
    ([name, { decision }]) => decision === 'ask' && decisions[name] === undefined,
  )
  if (missing.length > 0)
    throw new LetheError('E_USAGE', {
      message: `Nothing was decided about: ${missing.map(([name]) => name).join(', ')}.`,
      next: `Add to --class: ${missing.map(([name]) => `${name}=retain`).join(' ')} (or =erase).`,
    })
  const retained = Object.entries(classes)
    .filter(([name, rule]) => (decisions[name] ?? rule.decision) === 'retain')
    .map(([name]) => name)
    .sort()
  await decide(context, id, 'assess', by, { data: { ...decisions } }, async (tx, request, actor) => {
    if (request.state !== 'confirmed') throw illegal(request, 'assessed')
    await updateRequest(tx, id, `retained_classes = $2::text[]`, [retained])
    await moveRequests(tx, 'assess', [id], { actor })
  })
}

/** By two further months at most, once, and within the first month (Art. 12(3)). */
export async function extendRequest(context: Context, id: string, by: By): Promise<void> {
  await decide(context, id, 'extend', by, {}, async (tx, request) => {
    if (request.finishedAt !== null) throw illegal(request, 'extended')
    if (request.extendedAt !== null)
      throw new LetheError('E_ILLEGAL_TRANSITION', {
        message: `Request ${id} was extended before; the law allows it once.`,
        next: look(id),
      })
    const done = await updateRequest(
      tx,
      id,
      `extended_at = clock_timestamp(), due_at = clock_from + interval '3 months', warned = '{}'`,
      [],
      `clock_timestamp() < due_at`,
    )
    const reason = 'attested' in by ? reasonOf(by.attested.statement) : 'more time is needed'
    const extended = await getRequest(tx, id)
    if (done)
      await queueAnswers(context, tx, 'extension', [request], () =>
        Promise.resolve({
          request: id,
          received: request.receivedAt,
          due: request.dueAt,
          extended: extended.dueAt,
          reason,
        }),
      )
    if (!done)
      throw new LetheError('E_ILLEGAL_TRANSITION', {
        message: `Request ${id} was due on ${request.dueAt.toISOString().slice(0, 10)}; an extension has to be told within the month.`,
        next: look(id),
      })
  })
}

/** Throws E_ILLEGAL_TRANSITION once access was cut, but where the law keeps the person, and once a call has gone out. */
export async function refuseRequest(context: Context, id: string, ground: string, by: By): Promise<void> {
  await decide(context, id, 'refuse', by, { data: { ground } }, async (tx, request, actor) => {
    const change = { set: 'refusal_ground = $7', values: [ground] }
    const begun = await hasBegun(tx, id)
    const moved = begun ? [] : await moveRequests(tx, 'refuse', [id], { actor }, change)
    if (moved.length === 0) throw illegal(request, 'refused')
    await queueAnswers(context, tx, 'refusal', [request], () =>
      Promise.resolve({ request: id, received: request.receivedAt, grounds: [ground] }),
    )
    await letStay(tx, context, request)
  })
}

/**
 * As long as nothing was destroyed; access comes back. The request's row is locked meanwhile: a worker that is about to begin
 * finds it cancelled. `asking`: an application's id; where others asked for more than it did, it doesn't take that back. Throws
 * E_ILLEGAL_TRANSITION.
 */
export async function cancelRequest(
  context: Context,
  id: string,
  by: By,
  asking: string | null = null,
): Promise<void> {
  await decide(context, id, 'cancel', by, {}, async (tx, request, actor) => {
    if (request.state === 'cancelled') return 'unchanged'
    const own = asking === null ? undefined : await askingOf(tx, asking)
    if (own !== undefined && !isWhole(own, request)) throw notTheirs(own, request)
    const begun = await begunIn(tx, id)
    if (begun.length > 0)
      throw new LetheError('E_ILLEGAL_TRANSITION', {
        message: `Request ${id} can't be cancelled any more: its erasure has begun (${begun.join(', ')}), and what is gone does not come back.`,
        next: look(id),
        facts: { request: id, state: request.state, begun },
      })
    const moved = await moveRequests(tx, 'cancel', [id], { actor })
    if (moved.length === 0) throw illegal(request, 'cancelled')
    await letStay(tx, context, request)
    return undefined
  })
}

/** Somebody else asked for what the request is now, and has not taken it back. */
function notTheirs(own: Asking, request: ErasureRequest): LetheError {
  return new LetheError('E_ILLEGAL_TRANSITION', {
    message: `What was asked for as ${own.id} was ${kindInWords(own)}; request ${request.id}, which it is part of, is ${kindInWords(request)}, and is not taken back with it.`,
    left: 'Nothing was changed.',
    next: `Whoever asked for that takes it back, or staff for them: lethe erasure cancel ${request.id}.`,
    facts: { request: request.id, state: request.state },
  })
}

/** The ledger says nothing of them any more, they sign in again, and what led to them is forgotten. */
export async function letStay(tx: Transaction, context: Context, request: ErasureRequest): Promise<void> {
  if (request.sealed === null) return
  const { key, keys = [key], access = [] } = openSecrets(context.keystore, request)
  await revoke(tx, context, request, keys)
  if (access.length > 0) await giveBackAccess(context, request, access)
  await forgetSealed(tx, [request.id])
}

async function giveBackAccess(
  context: Context,
  request: ErasureRequest,
  access: readonly SavedRow[],
): Promise<void> {
  const target = await context.target(request.store)
  const rules = subjectOf(context, request.subjectKind).access
  await target.transaction((tx) => restoreAccess(tx, rules, access))
}

/**
 * One leg is begun anew, at once. Without a store it is every leg that waits for a person, and the request itself goes on
 * after what stopped it: a map that changed is planned again. Throws E_NOT_FOUND, E_ILLEGAL_TRANSITION.
 */
export async function retryLeg(context: Context, id: string, store: string | null, by: By): Promise<void> {
  const about = store === null ? {} : { object: store }
  await decide(context, id, 'retry', by, about, async (tx, request, actor) => {
    if (store !== null) {
      await settleLeg(tx, id, store, 'pending')
      await goOn(tx, request, actor)
      return
    }
    const stuck = (await legsOf(tx, [id])).filter(waitsForPerson)
    for (const leg of stuck) await settleLeg(tx, id, leg.store, 'pending')
    if (stuck.length > 0 && request.state !== 'needs-attention') {
      await goOn(tx, request, actor)
      return
    }
    if (request.state !== 'needs-attention') throw illegal(request, 'retried as a whole')
    if (request.waitingFor === 'plan-changed') await moveRequests(tx, 'replan', [id], { actor })
    else await moveRequests(tx, 'resume', [id], { actor })
  })
}

function waitsForPerson({ state, nextAt }: Leg): boolean {
  return nextAt === null && (state === 'failed' || state === 'accepted')
}

/** What could not be erased there stays, and a named person answers for it. */
export async function acceptLeg(context: Context, id: string, store: string, by: By): Promise<void> {
  await decide(context, id, 'accept', by, { object: store }, async (tx, request, actor) => {
    await settleLeg(tx, id, store, 'accepted-as-failed')
    await goOn(tx, request, actor)
  })
}

async function goOn(tx: Transaction, request: ErasureRequest, actor: string): Promise<void> {
  if (request.state === 'needs-attention') await moveRequests(tx, 'resume', [request.id], { actor })
  else await updateRequest(tx, request.id, `next_at = clock_timestamp()`, [])
}

const decisionOf: Readonly<Record<RequestDecisionVerb, DecisionVerb>> = {
  request: 'erasure.request',
  confirm: 'erasure.confirm',
  approve: 'erasure.approve',
  assess: 'erasure.assess',
  instruct: 'erasure.instruct',
  extend: 'erasure.extend',
  refuse: 'erasure.refuse',
  accept: 'erasure.accept',
  retry: 'erasure.retry',
  cancel: 'erasure.cancel',
}

async function decide(
  context: Context,
  id: string,
  verb: RequestDecisionVerb,
  by: By,
  about: { object?: string; data?: Readonly<Record<string, string | null>> },
  // 'unchanged': it was so before, and nothing is recorded
  effect: (tx: Transaction, request: ErasureRequest, actor: string) => Promise<'unchanged' | void>,
): Promise<void> {
  if ('attested' in by) authorise(context.config.file, by.attested.identity, decisionOf[verb])
  await context.control.transaction(async (tx) => {
    const request = await getRequest(tx, id, { lock: true })
    const decision = { requestId: id, verb, ...about }
    await decideRequest(
      tx,
      by,
      async (actor) => ((await effect(tx, request, actor)) === 'unchanged' ? null : decision),
      async (statement) => ((await isLastDecision(tx, decision, statement)) ? { made: null } : null),
    )
  })
}

function illegal(request: ErasureRequest, what: string): LetheError {
  return new LetheError('E_ILLEGAL_TRANSITION', {
    message: `Request ${request.id} is ${request.state}; it can't be ${what} any more.`,
    next: look(request.id),
    facts: { request: request.id, state: request.state },
  })
}

function look(id: string): string {
  return `Look at it: lethe erasure status ${id}.`
}
