/** A request and its legs in the words of whoever answers for it: what is so, what comes next, and whether anybody has to act. */
import {
  endedLegs,
  isStronger,
  type Asking,
  type ErasureRequest,
  type Leg,
} from '../../../lib/record/requests/index.ts'
import { instant } from '../../standstill.ts'

/** What the request itself doesn't know. */
export interface Around {
  /** Why nothing of its kind goes on; null: it does. */
  standstill: string | null
  /** Of records, with what the policy says of each now. */
  classes: readonly { name: string; decision: 'erase' | 'retain' | 'ask' }[]
  /** What was asked for besides and joined it. */
  askings: readonly Asking[]
  /** Stores whose sessions the cut of access ends for good. */
  ended: readonly string[]
}

/** Stands where only the reader knows what to say. */
const WHY = '--reason "WHY"'
const METHODS = '(METHOD: signed-in-session, emailed-link, staff-check or representative)'

/** What somebody asked for, with its grace. */
export function kindInWords({ kind, hasGrace }: Pick<ErasureRequest, 'kind' | 'hasGrace'>): string {
  if (kind === 'article-17') return 'an Art. 17 request'
  if (kind === 'retention') return "the end of a policy's retention period"
  return hasGrace ? 'an account closure' : 'an account closure without grace'
}

/** What happens next, in a sentence or two; each command is whole, but for words in capitals. */
export function nextOf(request: ErasureRequest, legs: readonly Leg[], around: Around): string {
  const next = standOf(request, legs, around)
  const waiting = around.askings.find((one) => isStronger(one, request))
  return request.finishedAt !== null || waiting === undefined
    ? next
    : `${next}\nIt was joined on ${day(waiting.receivedAt)} by ${kindInWords(waiting)}, which waits for an identity: lethe erasure confirm ${request.id} --method METHOD ${WHY} ${METHODS}`
}

function standOf(request: ErasureRequest, legs: readonly Leg[], around: Around): string {
  const { id, waitingFor } = request
  const goesOn = around.standstill ?? 'A worker takes it up next.'
  const also = around.standstill === null ? '' : ` ${around.standstill}`
  if (request.overCeiling && waitingFor === 'ceiling')
    return `Its actor made too many requests in a day: somebody else approves it: lethe erasure approve ${id} ${WHY}`
  const braked = brakeOf(request)
  if (braked !== null && request.finishedAt === null) return `${braked}${also}`
  switch (request.state) {
    case 'received':
      return request.identityMethod === null
        ? `The person's identity has to be confirmed: lethe erasure confirm ${id} --method METHOD ${WHY} ${METHODS}`
        : goesOn
    case 'referred':
      return `The controller has to give its instruction: lethe erasure instruct ${id} --reference REFERENCE ${WHY}`
    case 'confirmed':
      return waitingFor === 'assessment' ? assessment(id, around.classes) : goesOn
    case 'assessed':
      if (waitingFor?.startsWith('access:') === true)
        return `Access could not be cut: ${waitingFor.slice(7)} refuses the change of this person's rows. Mend the rule or the row; it is tried again every minute.${also}`
      return waitingFor === 'access'
        ? `Access could not be cut yet: a store whose sessions have to end did not answer or refused, or another session has locked the row (the worker's log names it). It is tried again every minute.${also}`
        : goesOn
    case 'access-cut':
    case 'planned':
      return goesOn
    case 'grace':
      if (!request.hasGrace) return goesOn
      return `Access is cut; nothing is erased before ${day(request.graceUntil)}. Until then it can be cancelled.${also}`
    case 'erasing':
    case 'verifying':
      return working(request, legs, around.standstill)
    case 'needs-attention':
      return attention(request, legs)
    case 'on-hold':
      return `A legal hold keeps it; it goes on by itself once the hold is released. Which one: lethe erasure plan --subject ${request.subjectKind} --key KEY. The answer stays due.${also}`
    case 'refused':
      return `It was refused: ${request.refusalGround ?? ''}.${afterCut(request, around.ended)}`
    case 'cancelled':
      if (request.letGo !== null)
        return `Its policy let the person go before anything was erased: ${letGoWords(request.letGo)}.${afterCut(request, around.ended)}`
      return `It was taken back before anything was erased.${afterCut(request, around.ended)}`
    case 'completed':
      return request.nobody
        ? 'Nothing of this person was found in the own store. Nothing is left to do.'
        : 'Every place was read back, and nothing is left. Nothing is left to do.'
    case 'completed-with-retained':
      return 'What could go is gone, and read back. What stays stands below with its ground and its end. Nothing is left to do.'
    default:
      return `Ended, but not everything is gone: ${legs
        .filter(({ state }) => state === 'accepted-as-failed')
        .map(({ store }) => store)
        .join(', ')} was accepted as it is by a named person.`
  }
}

/** What of its policy keeps it back; null: nothing does. */
function brakeOf({ id, waitingFor }: ErasureRequest): string | null {
  if (waitingFor === 'policy-paused')
    return 'The policy that began it is paused: lethe retention list names it; lethe retention resume POLICY lets it go on.'
  if (waitingFor === 'policy-disarmed')
    return `The policy that began it was disarmed or changed when a part of the person was gone already. Arm that version again, or what is left stays, and you answer for it: lethe erasure accept ${id} STORE ${WHY}`
  if (waitingFor?.startsWith('policy:') === true)
    return `The policy that began it waits (${waitingFor.slice(7)}), as its sweep would; it goes on by itself.`
  if (waitingFor === 'policy-unknown')
    return `What its policy asks can't be asked any more: the tables or the record changed. Look at the person, then: lethe erasure cancel ${id} ${WHY}`
  if (waitingFor?.startsWith('came-back:') === true)
    return `Its policy no longer asks for it (${letGoWords(waitingFor.slice(10))}), but a part of the person is gone already; nothing more is erased. See below where, and for each store that is open: lethe erasure accept ${id} STORE ${WHY}`
  return null
}

function letGoWords(reason: string): string {
  if (reason === 'not-due') return 'the person came back, and is not due'
  if (reason === 'disarmed') return 'the policy was disarmed or changed'
  return reason
}

/** The command keeps what it names: whoever copies it without a thought destroys nothing. */
function assessment(id: string, classes: Around['classes']): string {
  const asked = classes.filter(({ decision }) => decision === 'ask')
  const given = (asked.length === 0 ? classes : asked).map(
    ({ name, decision }) => `${name}=${decision === 'ask' ? 'retain' : decision}`,
  )
  const command = `lethe erasure assess ${id} --class ${given.join(' ')} ${WHY}`
  if (classes.length === 0)
    return 'It waits for a decision about classes of records that the configuration no longer has: put them back, or cancel it and ask again.'
  return asked.length === 0
    ? `The policy has changed meanwhile and decides about every class; a named person says so: ${command}`
    : `A named person decides what becomes of ${asked.map(({ name }) => name).join(', ')}; with erase instead of retain it goes: ${command}`
}

/** Access came back; what ended with it did not. */
function afterCut({ accessCutAt }: ErasureRequest, ended: readonly string[]): string {
  if (accessCutAt === null) return ''
  const gone =
    ended.length === 0 ? '' : ` The sessions that the cut of access ended are gone (${ended.join(', ')}).`
  return ` Sign-in works again.${gone}`
}

function working(
  { id, waitingFor }: ErasureRequest,
  legs: readonly Leg[],
  standstill: string | null,
): string {
  const also = standstill === null ? '' : ` ${standstill}`
  if (waitingFor === 'tombstone')
    return `What there is to erase is erased; its tombstone could not be written (the log says why), and is tried again each minute.${also}`
  if (waitingFor === 'answer')
    return `All that is left is the answer to the person; once it is delivered, its channel is emptied too.${also}`
  const open = legs.filter(({ state }) => !endedLegs.includes(state))
  const stuck = open.filter((leg) => leg.nextAt === null)
  const rest = open.filter((leg) => leg.nextAt !== null)
  const alone = stuck.length === 0 ? '; nobody has to do anything' : ''
  return [
    ...(stuck.length === 0 ? [] : [`Somebody decides about ${names(stuck)}: ${choice(id, stuck)}`]),
    ...(rest.length === 0
      ? []
      : [`Open still: ${names(rest)}. ${standstill ?? `It goes on by itself${alone}.`}`]),
  ].join('\n')
}

function attention({ id, subjectKind, waitingFor }: ErasureRequest, legs: readonly Leg[]): string {
  const retry = `lethe erasure retry ${id} ${WHY}`
  if (waitingFor === 'plan-changed')
    return `The map or the database changed after it was planned. See what would go (lethe erasure plan --subject ${subjectKind} --key KEY), then: ${retry}`
  if (waitingFor?.startsWith('unusable:') === true) {
    const store = waitingFor.slice(9)
    const leg = legs.find((one) => one.store === store)
    const why =
      leg?.errorCode == null ? 'as it is configured there' : `there: ${failure({ ...leg, attempt: 0 })}`
    return `The worker can't call store ${store} ${why}. Nothing was erased anywhere. Mend that where the worker runs and start it again, then: ${retry}\nOr what is at ${store} stays, and you answer for it: lethe erasure accept ${id} ${store} ${WHY}`
  }
  if (waitingFor?.startsWith('cancel:') === true)
    return `The application took it back, and that can't be followed: ${waitingFor.slice(7)}. Nothing is erased meanwhile. Mend that; the cancel is tried again by itself within five minutes.\nTo erase it all the same: ${retry}`
  if (waitingFor?.startsWith('identifier:') === true) {
    const [, name = '', sqlstate = ''] = waitingFor.split(':')
    const at = name === 'contact' ? `contact` : `identifiers.${name}`
    return `The expression subjects.${subjectKind}.${at} of the map fails on this person's row (SQLSTATE ${sqlstate}). Nothing was erased. Mend the expression (and start the workers again) or the row, then: ${retry}`
  }
  if (waitingFor === 'unverified-assessment')
    return `What stays and what goes of this person's classes of records is not what a verified person decided, who may today: the worker's log says why. Nothing was erased. If somebody changed the control database, it is an incident. Take it back (lethe erasure cancel ${id} ${WHY}), then ask again and assess it anew.`
  if (waitingFor === 'map-findings')
    return `What was decided to stay does not fit the map (lethe doctor names it): mend the map, start the workers again, then: ${retry}`
  if (waitingFor?.startsWith('unknown-key:') === true)
    return `It was written down with a keystore that the workers don't have (its key is ${waitingFor.slice(12)}). Put that key's keystore where the workers look (LETHE_KEYSTORE) and start them again, then: ${retry}\nOr take it back with that keystore (LETHE_KEYSTORE=FILE lethe erasure cancel ${id} ${WHY}) and ask again with the workers' own.`
  if (waitingFor?.startsWith('minimum:') === true)
    return `The law keeps rows in ${waitingFor.slice(8)}, and with them the whole person. Refuse it with that ground: lethe erasure refuse ${id} --ground "GROUND" ${WHY}\nOr wait until its time is over, then: ${retry}`
  const stuck = legs.filter(
    (leg) => leg.nextAt === null && (leg.state === 'failed' || leg.state === 'accepted'),
  )
  return `Trying again did not help at ${names(stuck)}: ${choice(id, stuck)}`
}

/** Without a store, all that wait for a person are begun anew. */
function choice(id: string, stuck: readonly Leg[]): string {
  const accept = stuck.map(({ store }) => `lethe erasure accept ${id} ${store} ${WHY}`)
  return `mend it, then: lethe erasure retry ${id} ${WHY}\nOr what is there stays, and you answer for it: ${accept.join('\n  ')}`
}

function names(legs: readonly Leg[]): string {
  return legs.map(({ store }) => store).join(', ')
}

/** How a leg stands: a line, and one for each thing that stays. */
export function wordsOf(leg: Leg, now: Date): string[] {
  const kept = leg.retained.map(
    ({ place, count, ground, until }) =>
      `${number(count)} in ${place}${until === null ? '' : ` until ${until.slice(0, 10)}`}: ${ground}`,
  )
  return [
    [standing(leg), caught(leg), after(leg, now)].filter((part) => part !== '').join('; '),
    ...kept,
    ...stayed(leg, leg.pseudonymised, 'no longer naming the person'),
    ...stayed(leg, leg.detached, 'with the link to the person cut'),
  ]
}

/** Rows that stay are not among those that were removed. */
function stayed({ shared }: Leg, counts: Leg['pseudonymised'], how: string): string[] {
  const whose = shared > 1 ? ` (of ${shared} persons together)` : ''
  return Object.entries(counts).map(([place, count]) => `${number(count)} in ${place} kept, ${how}${whose}`)
}

function standing(leg: Leg): string {
  switch (leg.state) {
    case 'not-needed':
      return 'nothing of this person leads here'
    case 'pending':
      if (leg.errorCode !== null) return `not begun: ${failure(leg)}`
      return leg.requestedAt === null ? 'not begun' : 'begun, not finished'
    case 'waiting':
      return 'asked; the other side works on it'
    case 'accepted':
      return leg.errorCode === null
        ? 'the other side says it is done; not read back yet'
        : `the other side says it is done, and could not be read back: ${failure(leg)}`
    case 'verified':
      if (leg.kind === 'search') return 'searched: found nowhere'
      return Object.keys({ ...leg.pseudonymised, ...leg.detached }).length === 0
        ? 'gone: read back'
        : 'read back: nothing names or leads to the person any more:'
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

function after(leg: Leg, now: Date): string {
  if (leg.state !== 'waiting' && leg.state !== 'failed' && leg.state !== 'accepted') return ''
  if (leg.nextAt === null) return 'waits for a person'
  const at = leg.nextAt <= now ? 'as soon as a worker takes it up' : instant(leg.nextAt)
  return leg.state === 'failed' ? `tried again ${at}` : `looked at again ${at}`
}

function failure({
  errorCode,
  errorMessage,
  attempt,
}: Pick<Leg, 'errorCode' | 'errorMessage' | 'attempt'>): string {
  const words = (errorMessage ?? 'it failed').replace(/\.$/u, '')
  return `${words} (${errorCode ?? 'E_INTERNAL'}${attempt > 1 ? `, ${attempt} attempts` : ''})`
}

function number(count: number): string {
  return count.toLocaleString('en-GB')
}

function day(at: Date | null): string {
  return at === null ? 'its end' : at.toISOString().slice(0, 10)
}
