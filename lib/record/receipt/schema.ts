/**
 * What is left of an erasure request: what was asked of whom, what each of them said, what was read back, what stays and
 * why. It outlives the data and is shown to strangers, so it names nobody: the subject is a keyed hash, an operator the name
 * that the configuration gives them.
 */
import { z } from 'zod'
import { total } from '../../base/counts/index.ts'
import { counts, hash, instant, line, token } from './atoms.ts'

const retained = z.strictObject({
  place: line,
  count: z.int().positive(),
  ground: line,
  /** Null: for as long as the ground lasts. */
  until: instant.nullable(),
})

const leg = z.strictObject({
  store: token,
  kind: token,
  location: line.nullable(),
  /** Null: nothing is called there. */
  requested: instant.nullable(),
  /** When the other side said yes: not the same as gone. */
  accepted: instant.nullable(),
  /** When reading back found nothing more that should be gone. */
  verified: instant.nullable(),
  /** `declared`: no interface reaches it; who answers for it has said when it is gone. */
  state: z.enum(['not-needed', 'verified', 'retained', 'declared', 'accepted', 'accepted-as-failed']),
  /** Who said so, and in `retained` of what and until when. */
  declaredBy: line.nullable(),
  /** Items that are gone. An item stands in one of these three. */
  counts,
  /** Items that stay and name the data subject no longer. */
  pseudonymised: counts,
  /** Items that stay as they are, but for their link to the data subject, which was cut. */
  detached: counts,
  /** Subjects of the call that these three are of; 1: this one alone. */
  sharedWith: z.int().positive(),
  /** A call ended without an answer, and what it removed is not counted: there were at least so many. */
  atLeast: z.boolean(),
  retained: z.array(retained),
  /** Still there and should not be. */
  left: counts,
  /** Who let the request end although this leg failed; `statement`: SHA-256 of what they signed. */
  acceptedBy: z.strictObject({ name: token, statement: hash }).nullable(),
  /** Null: no backup holds it. `until` null: nobody can say how long. */
  backup: z.strictObject({ until: instant.nullable(), basis: z.enum(['declared', 'measured']) }).nullable(),
  sideEffects: z.array(line),
})

export const receiptSchema = z
  .strictObject({
    lethe: z.literal(1),
    type: z.literal('erasure-receipt'),
    request: z.uuid(),
    kind: z.enum(['account-closure', 'article-17', 'retention']),
    ground: line,
    /** Who asked, by role or case number; never by name. */
    requester: token,
    subject: z.strictObject({ kind: token, hash, keyId: token }),
    /** How it was made sure that the request is the subject's own; null: nobody had to. */
    identity: z.strictObject({ method: token, at: instant }).nullable(),
    received: instant,
    /** The last day to answer. */
    due: instant,
    /** The last day after an extension; null: there was none. */
    extended: instant.nullable(),
    finished: instant,
    outcome: z.enum([
      'completed',
      'completed-with-retained',
      'completed-with-left',
      'nothing-found',
      'refused',
      'cancelled',
    ]),
    refusal: z.strictObject({ ground: line }).nullable(),
    /** Version of the data map, and hash of the plan. */
    map: token,
    plan: token,
    decisions: z.array(
      z.strictObject({
        /** The class of data decided on. */
        class: line,
        decision: z.enum(['erase', 'retain', 'refuse']),
        ground: line.nullable(),
        until: instant.nullable(),
        by: token,
      }),
    ),
    /** What went before the erasure, when access was cut: sessions, tokens. By store. */
    accessEnded: z.array(z.strictObject({ store: token, counts, sharedWith: z.int().positive() })),
    legs: z.array(leg),
    /** Whom the erasure was passed on to (Art. 19); `told` null: not reached. */
    recipients: z.array(z.strictObject({ name: line, told: instant.nullable() })),
    /** Entries of the erasure ledger, and objects of the bucket that hold them. */
    ledger: z.strictObject({ entries: z.int().nonnegative(), objects: z.int().nonnegative() }),
  })
  .superRefine((receipt, context) => {
    for (const { path, message } of contradictions(receipt))
      context.addIssue({ code: 'custom', path, message })
  })

export type Receipt = z.infer<typeof receiptSchema>
export type ReceiptLeg = Receipt['legs'][number]
export type Outcome = Receipt['outcome']

interface Contradiction {
  path: (string | number)[]
  message: string
}

/** A receipt that contradicts itself is not signed: one word for what is gone and for what stays would be the old lie. */
function contradictions(receipt: Receipt): Contradiction[] {
  const found: Contradiction[] = []
  const demand = (ok: boolean, path: Contradiction['path'], message: string) => {
    if (!ok) found.push({ path, message })
  }
  const { outcome, refusal, legs, recipients, accessEnded } = receipt
  for (const [i, leg] of legs.entries())
    for (const [message, ok] of legRules(leg)) demand(ok, ['legs', i], message)
  const kept = legs.some((leg) => leg.retained.length > 0)
  const failed =
    legs.some(({ state }) => state === 'accepted-as-failed') || recipients.some(({ told }) => told === null)
  demand((outcome === 'refused') === (refusal !== null), ['refusal'], 'goes with the outcome refused')
  demand(
    outcome !== 'completed' || (!kept && !failed),
    ['outcome'],
    'is completed although something is retained or left, or somebody was not told',
  )
  demand(
    outcome !== 'completed-with-retained' || (kept && !failed),
    ['outcome'],
    'is completed-with-retained although nothing is retained, or something is left',
  )
  demand(
    outcome !== 'completed-with-left' || failed,
    ['outcome'],
    'is completed-with-left although every leg came to its end and everybody was told',
  )
  demand(
    outcome !== 'nothing-found' ||
      (!kept && !failed && !legs.some((leg) => ownItems(leg) > 0) && !accessEnded.some(isOwn)),
    ['outcome'],
    'is nothing-found although something was found',
  )
  return found
}

/** What has to hold for a leg in its state, and whether it does. */
function legRules(leg: ReceiptLeg): [string, boolean][] {
  const { state, requested, verified, accepted, acceptedBy, declaredBy, retained, left } = leg
  const clean = total(left) === 0
  const rules: [string, boolean][] = [
    [
      'acceptedBy goes with the state accepted-as-failed',
      (state === 'accepted-as-failed') === (acceptedBy !== null),
    ],
    ['declaredBy goes with the state declared', (state === 'declared') === (declaredBy !== null)],
    ['has no instant at which it was asked', requested !== null || state === 'declared'],
    ['something is left, and nobody accepted that', clean || state === 'accepted-as-failed'],
  ]
  if (state === 'verified')
    rules.push(
      ['is verified without an instant', verified !== null],
      ['is verified and retains something', retained.length === 0],
    )
  if (state === 'retained') rules.push(['retains nothing', retained.length > 0])
  if (state === 'accepted')
    rules.push(
      ['is accepted without an instant', accepted !== null],
      ['is accepted and was verified', verified === null],
    )
  if (state === 'not-needed')
    rules.push([
      'was not needed, but removed or retains something',
      ownItems(leg) === 0 && retained.length === 0,
    ])
  if (state === 'declared')
    rules.push(
      [
        'is only declared, and was asked, accepted or read back',
        requested === null && accepted === null && verified === null,
      ],
      [
        'is only declared, and does not say what is there until when',
        retained.length > 0 && ownItems(leg) === 0,
      ],
    )
  return rules
}

/** Items that were surely this subject's: a call for several doesn't say whose they were. */
function ownItems({ counts, pseudonymised, detached, sharedWith }: ReceiptLeg): number {
  return sharedWith === 1 ? total(counts) + total(pseudonymised) + total(detached) : 0
}

function isOwn({ counts, sharedWith }: Receipt['accessEnded'][number]): boolean {
  return sharedWith === 1 && total(counts) > 0
}
