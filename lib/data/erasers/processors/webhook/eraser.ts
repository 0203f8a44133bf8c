/** A team's own service that erases when it is told to by a signed POST. */
import { newId } from '../../../../base/clock/index.ts'
import type { Eraser, ErasePage, Retained, SubjectRef, Verification } from '../../eraser.ts'
import type { HttpAnswer } from '../../../../base/calls/index.ts'
import { sentOf, signedPosts, type Sending, type SentSubject, type SignedOptions } from '../signed.ts'
import {
  checkPlaces,
  eraseAnswer,
  locateAnswer,
  parseAnswer,
  probeAnswer,
  PROTOCOL,
  strangeAnswer,
  verifyAnswer,
  type Event,
  type KeptAnswer,
} from './protocol.ts'

export interface WebhookEraserOptions extends SignedOptions {
  /** What the service says of itself, since nobody else knows; the safest by default. */
  declared?: {
    settleSeconds?: number
    ratePerMinute?: number | null
    sideEffects?: readonly string[]
    irreversibleAfter?: string
  }
}

export interface WebhookPlan extends Sending {
  /** Every place that an answer may name. */
  places: readonly string[]
}

/** Subjects in one call. */
const BULK = 100

/** Throws E_CONFIG for a secret that is too short and an address that may not be called. */
export function webhookEraser(options: WebhookEraserOptions): Eraser<WebhookPlan> {
  const { store, declared = {} } = options
  const post = signedPosts('The processor', options)

  /** Each call is a message of its own. */
  async function tell(event: Event, data: object, signal: AbortSignal): Promise<HttpAnswer> {
    const message = { type: event, data: { protocol: PROTOCOL, ...data } }
    return post(`msg_${newId()}`, event.replace('lethe.', ''), message, signal)
  }

  return {
    store,
    capabilities: {
      bulk: BULK,
      ratePerMinute: declared.ratePerMinute ?? null,
      reversible: false,
      verifiable: true,
      sideEffects: [
        'the service gets the identifiers that the map names for it',
        'what it says of itself, also when it reads back, is its own word',
        ...(declared.sideEffects ?? []),
      ],
      irreversibleAfter: declared.irreversibleAfter ?? 'the call',
      settleSeconds: declared.settleSeconds ?? 0,
      follows: `runbooks/webhook-processor.md, protocol ${PROTOCOL}`,
    },
    async probe(plan, signal) {
      const body = await tell('lethe.probe', { identifiers: plan.sends, places: plan.places }, signal)
      parseAnswer(probeAnswer, body, store, 'lethe.probe')
    },
    async locate(subjects, plan, signal) {
      const event = 'lethe.locate'
      const sent = send(subjects, plan)
      if (sent.length === 0) return { counts: {} }
      const { counts } = parseAnswer(
        locateAnswer,
        await tell(event, { subjects: sent }, signal),
        store,
        event,
      )
      checkPlaces(
        { places: Object.keys(counts), texts: [] },
        { store, event, places: plan.places, subjects: sent },
      )
      return { counts: some(counts) }
    },
    async erase(subjects, plan, page, signal): Promise<ErasePage> {
      signal.throwIfAborted()
      const event = 'lethe.erase'
      const sent = send(subjects, plan)
      if (sent.length === 0) return { removed: {}, retained: [], pending: [], messages: [], more: false }
      const data = { run: page.runId, limit: page.limit, jobs: page.jobs ?? [], subjects: sent }
      const answer = parseAnswer(eraseAnswer, await tell(event, data, signal), store, event)
      checkPlaces(
        {
          places: [...Object.keys(answer.removed), ...answer.retained.map(({ place }) => place)],
          texts: [...answer.retained.map(({ ground }) => ground), ...Object.keys(answer.refused)],
        },
        { store, event, places: plan.places, subjects: sent },
      )
      return {
        removed: some(answer.removed),
        retained: retainedOf(answer.retained),
        pending: answer.pending.map(({ job, poll_after_seconds: seconds }) => ({
          job,
          pollAfterSeconds: seconds,
        })),
        messages: Object.entries(some(answer.refused)).map(
          ([reason, count]) =>
            `${count} subject${count === 1 ? ' was' : 's were'} refused by ${store} (${reason}).`,
        ),
        more: answer.more || answer.pending.length > 0,
      }
    },
    async verify(subjects, plan, signal): Promise<Verification[]> {
      const event = 'lethe.verify'
      const known = subjects.map((subject) => sentOf(subject, plan))
      const sent = known.filter((subject) => subject !== null)
      if (sent.length === 0) return subjects.map(() => ({ absent: true, left: {}, retained: [] }))
      const answer = parseAnswer(verifyAnswer, await tell(event, { subjects: sent }, signal), store, event)
      if (answer.subjects.length !== sent.length)
        throw strangeAnswer(store, event, 'has not one finding for each subject')
      const findings = answer.subjects.values()
      return known.map((subject) => {
        const found = subject === null ? undefined : findings.next().value
        if (subject === null || found === undefined) return { absent: true, left: {}, retained: [] }
        checkPlaces(
          {
            places: [...Object.keys(found.left), ...found.retained.map(({ place }) => place)],
            texts: found.retained.map(({ ground }) => ground),
          },
          { store, event, places: plan.places, subjects: sent },
        )
        const left = some(found.left)
        return { absent: Object.keys(left).length === 0, left, retained: retainedOf(found.retained) }
      })
    },
  }
}

function send(subjects: readonly SubjectRef[], plan: WebhookPlan): SentSubject[] {
  return subjects.map((subject) => sentOf(subject, plan)).filter((subject) => subject !== null)
}

function some(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0))
}

function retainedOf(kept: KeptAnswer): Retained[] {
  return kept.map(({ place, count, ground, until }) => ({ place, count, ground, until }))
}
