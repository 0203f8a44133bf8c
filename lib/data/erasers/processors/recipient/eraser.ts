/** Someone the data was disclosed to is told of the erasure (Art. 19 GDPR): one signed notice for each person, and nothing is read back. */
import { createHmac } from 'node:crypto'
import { canonicalJson } from '../../../../base/canonical/index.ts'
import type { Eraser, SubjectRef } from '../../eraser.ts'
import { sentOf, signedPosts, type Sending, type SignedOptions } from '../signed.ts'

export interface RecipientOptions extends SignedOptions {
  ratePerMinute?: number | null
  /** A secret of this store alone: a notice's id tells nobody whose it is. */
  requestKey: string
}

export type RecipientPlan = Sending

/** Notices under way at once. */
const BULK = 20

/** Throws E_CONFIG for a secret that is too short and an address that may not be called. */
export function recipientEraser(options: RecipientOptions): Eraser<RecipientPlan> {
  const { store, requestKey } = options
  const post = signedPosts('The recipient', options)
  // who was told by this eraser: where one notice of a call fails, the call is repeated in halves
  const told = new Set<string>()

  async function notify(subject: SubjectRef, plan: RecipientPlan, request: string, signal: AbortSignal) {
    const sent = sentOf(subject, plan)
    const id = noticeId(requestKey, request, subject)
    if (sent === null || told.has(id)) return
    await post(id, 'notify', { type: 'lethe.notify', data: { protocol: 1, ...sent } }, signal)
    told.add(id)
  }

  return {
    store,
    capabilities: {
      bulk: BULK,
      ratePerMinute: options.ratePerMinute ?? null,
      reversible: false,
      verifiable: false,
      sideEffects: [
        'the recipient gets the identifiers that the map names for it',
        'it is told, and nothing is read back: what it does then is its own duty',
      ],
      irreversibleAfter: 'the notice',
      settleSeconds: 0,
      follows: 'runbooks/recipients.md, protocol 1',
    },
    // a notice that is a trial would be taken for a notice
    probe: (_plan, signal) => {
      signal.throwIfAborted()
      return Promise.resolve()
    },
    locate: () => Promise.resolve({ counts: {} }),
    async erase(subjects, plan, { requests = [] }, signal) {
      signal.throwIfAborted()
      const tried = await Promise.allSettled(
        subjects.map((subject, place) => notify(subject, plan, requests[place] ?? '', signal)),
      )
      for (const one of tried) if (one.status === 'rejected') throw one.reason
      return { removed: {}, retained: [], pending: [], messages: [], more: false }
    },
    verify: (subjects, plan) =>
      Promise.resolve(
        subjects.map((subject) => ({ absent: sentOf(subject, plan) === null, left: {}, retained: [] })),
      ),
  }
}

/** The same for the same request and person, however often it is tried and by whom: the recipient drops what it has had. */
function noticeId(key: string, request: string, { kind, key: subject }: SubjectRef): string {
  return `msg_${createHmac('sha256', key)
    .update(canonicalJson({ request, kind, subject: [...subject] }))
    .digest('base64url')}`
}
