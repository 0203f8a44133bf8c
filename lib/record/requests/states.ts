/**
 * The one table of legal state changes of an erasure request. Every change in lib/record/requests names its verb here, and the
 * statement that makes it takes its source states from this table, so nothing else can happen.
 */
export const requestStates = [
  'received',
  'referred',
  'confirmed',
  'assessed',
  'access-cut',
  'grace',
  'planned',
  'erasing',
  'verifying',
  'needs-attention',
  'on-hold',
  'completed',
  'completed-with-retained',
  'completed-with-left',
  'refused',
  'cancelled',
] as const
export type RequestState = (typeof requestStates)[number]

export const finalRequestStates: readonly RequestState[] = [
  'completed',
  'completed-with-retained',
  'completed-with-left',
  'refused',
  'cancelled',
]

interface Transition {
  from: readonly RequestState[]
  to: RequestState | 'resume'
  sentence: string
}

/** Before the first destructive call: the person may still change their mind. */
const reversible = [
  'received',
  'referred',
  'confirmed',
  'assessed',
  'access-cut',
  'grace',
  'planned',
] as const
const working = ['erasing', 'verifying'] as const

export const requestTransitions = {
  refer: {
    from: ['received'],
    to: 'referred',
    sentence: 'The team is a processor and has no instruction of the controller for this person.',
  },
  instruct: {
    from: ['referred'],
    to: 'received',
    sentence: 'The controller gave its instruction.',
  },
  confirm: {
    from: ['received'],
    to: 'confirmed',
    sentence: 'The person is who they say they are, or may speak for them.',
  },
  assess: {
    from: ['confirmed'],
    to: 'assessed',
    sentence: 'A named person, or the policy, decided for each class of records: erase, retain or refuse.',
  },
  cut: {
    from: ['assessed'],
    to: 'access-cut',
    sentence: 'Nobody signs in as this person any more; what was changed for that can be given back.',
  },
  wait: {
    from: ['access-cut'],
    to: 'grace',
    sentence: 'The grace period runs; a cancel gives access back.',
  },
  plan: {
    from: ['access-cut', 'grace'],
    to: 'planned',
    sentence: 'What leads to the person is collected and sealed; each place has its leg.',
  },
  erase: {
    from: ['planned'],
    to: 'erasing',
    sentence: 'The ledger has its entries; calls that destroy may go out.',
  },
  verify: {
    from: ['erasing'],
    to: 'verifying',
    sentence: 'Every place has accepted; what is left to do is reading back.',
  },
  reopen: {
    from: ['verifying'],
    to: 'erasing',
    sentence: 'Reading back found what was reported gone.',
  },
  complete: {
    from: ['verifying', 'erasing'],
    to: 'completed',
    sentence: 'Every place was read back, and nothing is left.',
  },
  'complete-with-retained': {
    from: ['verifying', 'erasing'],
    to: 'completed-with-retained',
    sentence: 'Every place was read back; what stays, stays on a ground and until a date.',
  },
  'complete-with-left': {
    from: ['verifying', 'erasing'],
    to: 'completed-with-left',
    sentence: 'A place could not be erased in, and a named person accepted that.',
  },
  attend: {
    from: [...reversible, ...working],
    to: 'needs-attention',
    sentence: 'Something needs a person: the request says what.',
  },
  resume: {
    from: ['needs-attention', 'on-hold'],
    to: 'resume',
    sentence: 'What stood in the way is gone; it goes on where it stopped.',
  },
  replan: {
    from: ['needs-attention', 'on-hold'],
    to: 'access-cut',
    sentence: 'The map or the rows may have changed since; it is planned anew.',
  },
  hold: {
    from: ['assessed', 'access-cut', 'grace', 'planned', ...working, 'needs-attention'],
    to: 'on-hold',
    sentence: 'A legal hold keeps the data; the answer to the person stays due.',
  },
  refuse: {
    from: ['received', 'referred', 'confirmed', 'needs-attention'],
    to: 'refused',
    sentence: 'The request is refused on a ground; the answer names it and where to complain.',
  },
  cancel: {
    // from erasing only as long as no call that destroys has begun (hasBegun, under the request's lock)
    from: [...reversible, 'erasing', 'on-hold', 'needs-attention'],
    to: 'cancelled',
    sentence: 'The person, or staff for them, took it back before anything was destroyed.',
  },
  'give-grace': {
    from: ['planned', 'erasing'],
    to: 'access-cut',
    sentence:
      'The person closed their account themselves before anything was destroyed, so their grace period runs.',
  },
  'let-go': {
    from: [...reversible, 'erasing', 'on-hold', 'needs-attention'],
    to: 'cancelled',
    sentence:
      'The policy that began it no longer asks for it, and nothing was destroyed: the person came back, say.',
  },
} as const satisfies Record<string, Transition>

export type RequestVerb = keyof typeof requestTransitions

export const legStates = [
  'not-needed',
  'pending',
  'waiting',
  'accepted',
  'verified',
  'retained',
  'told',
  'failed',
  'accepted-as-failed',
] as const
export type LegState = (typeof legStates)[number]

/** Nothing more is done about such a leg. */
export const endedLegs: readonly LegState[] = [
  'not-needed',
  'verified',
  'retained',
  'told',
  'accepted-as-failed',
]

/** In the words that support reads. */
export const legSentences: Readonly<Record<LegState, string>> = {
  'not-needed': 'nothing of this person leads here',
  pending: 'not begun, or begun and not finished',
  waiting: "waits for the other side's own job",
  accepted: 'accepted; not read back yet',
  verified: 'read back: absent',
  retained: 'read back: what stays, stays on a ground',
  told: 'told of the erasure; nothing is read back there',
  failed: 'failed; tried again',
  'accepted-as-failed': 'failed, and a named person accepted that',
}
