/** A request and its legs in the words of whoever answers for it: what is so, what comes next, and whether anybody has to act. */
import { endedLegs, type ErasureRequest, type Leg } from '../../lib/requests/index.ts'

/** What happens next, in a sentence or two. */
export function nextOf(request: ErasureRequest, legs: readonly Leg[]): string {
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
    case 'verifying':
      return working(request, legs)
    case 'needs-attention':
      return attention(request, legs)
    case 'on-hold':
      return 'A legal hold keeps it; it goes on by itself once the hold is released. The answer stays due.'
    case 'refused':
      return `It was refused: ${request.refusalGround ?? ''}.`
    case 'cancelled':
      return 'It was taken back before anything was erased.'
    case 'completed':
      return request.nobody
        ? 'Nothing of this person was found in the own store. Nothing is left to do.'
        : 'Every place was read back, and nothing is left. Nothing is left to do.'
    case 'completed-with-retained':
      return 'Gone, and read back. What had to stay stands below with its ground and its end. Nothing is left to do.'
    default:
      return `Ended, but not everything is gone: ${legs
        .filter(({ state }) => state === 'accepted-as-failed')
        .map(({ store }) => store)
        .join(', ')} was accepted as it is by a named person.`
  }
}

function working({ id, waitingFor }: ErasureRequest, legs: readonly Leg[]): string {
  if (waitingFor === 'tombstone')
    return 'What there is to erase is erased; its tombstone could not be written (the log says why), and is tried again each minute.'
  if (waitingFor === 'answer')
    return 'All that is left is the answer to the person; once it is delivered, its channel is emptied too.'
  const open = legs.filter(({ state }) => !endedLegs.includes(state))
  const stuck = open.filter((leg) => leg.nextAt === null)
  const names = (some: readonly Leg[]) => some.map(({ store }) => store).join(', ')
  const rest = open.filter((leg) => leg.nextAt !== null)
  return [
    ...(stuck.length === 0
      ? []
      : [
          `Somebody decides about ${names(stuck)}: lethe erasure retry ${id} STORE, or lethe erasure accept ${id} STORE.`,
        ]),
    ...(rest.length === 0
      ? []
      : [
          `Open still: ${names(rest)}. It goes on by itself${stuck.length === 0 ? '; nobody has to do anything' : ''}.`,
        ]),
  ].join(' ')
}

function attention({ id, waitingFor }: ErasureRequest, legs: readonly Leg[]): string {
  if (waitingFor === 'plan-changed')
    return `The map or the database changed after it was planned: look at the plan (lethe erasure plan), then lethe erasure retry ${id}.`
  if (waitingFor?.startsWith('unusable:') === true) {
    const store = waitingFor.slice(9)
    return `Store ${store} can't be called as it is configured (lethe doctor says why), and nothing was erased anywhere: mend it, then lethe erasure retry ${id}; or lethe erasure accept ${id} ${store}, and what is there stays.`
  }
  if (waitingFor === 'map-findings')
    return `What was decided to stay does not fit the map (lethe doctor names it): mend the map, start the workers again, then lethe erasure retry ${id}.`
  if (waitingFor?.startsWith('minimum:') === true)
    return `The law keeps rows in ${waitingFor.slice(8)}, and with them the whole person: refuse it with that ground, or wait and retry.`
  const stuck = legs.filter(
    (leg) => leg.nextAt === null && (leg.state === 'failed' || leg.state === 'accepted'),
  )
  return `Trying again did not help at ${stuck.map(({ store }) => store).join(', ')}: lethe erasure retry ${id} STORE, or lethe erasure accept ${id} STORE.`
}

/** How a leg stands: a line, and one for each thing that stays. */
export function wordsOf(leg: Leg): string[] {
  const kept = leg.retained.map(
    ({ place, count, ground, until }) =>
      `${number(count)} in ${place}${until === null ? '' : ` until ${until.slice(0, 10)}`}: ${ground}`,
  )
  return [[standing(leg), caught(leg), after(leg)].filter((part) => part !== '').join('; '), ...kept]
}

function standing(leg: Leg): string {
  switch (leg.state) {
    case 'not-needed':
      return 'nothing of this person leads here'
    case 'pending':
      return leg.attempt === 0 ? 'not begun' : 'begun, not finished'
    case 'waiting':
      return 'asked; the other side works on it'
    case 'accepted':
      return leg.errorCode === null
        ? 'the other side says it is done; not read back yet'
        : `the other side says it is done, and could not be read back: ${failure(leg)}`
    case 'verified':
      return leg.kind === 'search' ? 'searched: found nowhere' : 'gone: read back'
    case 'retained':
      return leg.kind === 'declared'
        ? 'no interface reaches it; its owner says when it is gone:'
        : 'gone: read back, except for what has to stay:'
    case 'told':
      return 'told'
    case 'failed':
      return leg.errorCode === 'E_STILL_THERE' ? stillThere(leg) : `NOT DONE: ${failure(leg)}`
    default:
      return 'NOT GONE: a named person answers for it'
  }
}

function stillThere({ kind, remains }: Leg): string {
  const found = Object.entries(remains)
    .map(([place, count]) => `${number(count)} in ${place}`)
    .join(', ')
  return kind === 'search'
    ? `an identifier of this person still stands in a text: ${found}`
    : `NOT GONE: it was said to be done, and reading back found ${found}`
}

/** That it lied stays on record when it has mended. */
function caught({ state, reopened }: Leg): string {
  return reopened === 0 || state === 'failed'
    ? ''
    : `said so ${reopened === 1 ? 'once' : `${reopened} times`} before, when it was not true`
}

function after(leg: Leg): string {
  if (leg.state !== 'waiting' && leg.state !== 'failed' && leg.state !== 'accepted') return ''
  if (leg.nextAt === null) return 'waits for a person'
  const at = instant(leg.nextAt)
  return leg.state === 'failed' ? `tried again ${at}` : `looked at again ${at}`
}

function failure({ errorCode, errorMessage, attempt }: Leg): string {
  const words = (errorMessage ?? 'it failed').replace(/\.$/u, '')
  return `${words} (${errorCode ?? 'E_INTERNAL'}${attempt > 1 ? `, ${attempt} attempts` : ''})`
}

function number(count: number): string {
  return count.toLocaleString('en-GB')
}

function instant(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

function day(at: Date | null): string {
  return at === null ? 'its end' : at.toISOString().slice(0, 10)
}
