/** What the members of a receipt are called, on the page and in the terminal alike. */
import type { Outcome, Receipt, ReceiptLeg } from './schema.ts'

export const kinds: Readonly<Record<Receipt['kind'], string>> = {
  'account-closure': 'account closure',
  'article-17': 'request for erasure (Art. 17 GDPR)',
  retention: 'end of the retention period',
}

export const outcomes: Readonly<Record<Outcome, { short: string; long: string }>> = {
  completed: {
    short: 'Erased',
    long: 'Every store named here was asked to erase and has said yes, and every recipient was told; rows that stay without naming the data subject stand under a heading of their own; where a time stands under “read back”, it was searched afterwards and nothing was left.',
  },
  'completed-with-retained': {
    short: 'Erased, except for what has to be kept',
    long: 'Everything was erased that may be erased. Some of it is kept, each part on the ground and until the day named below.',
  },
  'completed-with-left': {
    short: 'Ended with something not erased',
    long: 'Something could not be erased or made sure of, and a person accepted that by name; or a recipient could not be told. It stands below.',
  },
  'nothing-found': {
    short: 'Nothing found',
    long: 'Nothing of this data subject was found in the stores and at the recipients named here.',
  },
  refused: { short: 'Refused', long: 'The request was refused on the ground below.' },
  cancelled: { short: 'Cancelled', long: 'The request was taken back before anything was erased.' },
}

export const states: Readonly<Record<ReceiptLeg['state'], string>> = {
  'not-needed': 'nothing to erase',
  verified: 'verified absent',
  retained: 'retained in part',
  declared: 'declared: nothing is called there',
  accepted: 'accepted, not read back',
  'accepted-as-failed': 'NOT ERASED, accepted by a person',
}

export const decisions: Readonly<Record<Receipt['decisions'][number]['decision'], string>> = {
  erase: 'erase',
  retain: 'keep',
  refuse: 'refuse',
}

export const bases: Readonly<Record<NonNullable<ReceiptLeg['backup']>['basis'], string>> = {
  declared: 'what the configuration declares',
  measured: 'the backups that were there',
}

/** Where a leg has no instant: why. */
export function withoutInstant({ state }: ReceiptLeg, what: 'requested' | 'accepted' | 'verified'): string {
  if (state === 'not-needed') return 'not needed'
  if (state === 'declared' || what === 'requested') return 'nothing is called'
  return what === 'accepted' ? 'not accepted' : 'not read back'
}

/** Places that hold something, in the order of canonical JSON: the same page before the file is written and after it is read. */
export function places(counts: ReceiptLeg['counts']): [place: string, count: number][] {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
}

/** What became of items, each under its own heading: what stays is never called erased. */
export const fates = {
  counts: { title: 'Erased', intro: 'Removed: it is not there any more.' },
  pseudonymised: {
    title: 'Kept, and no longer naming the person',
    intro: 'Stays, and what named the data subject in it was removed or replaced.',
  },
  detached: {
    title: 'Kept, with the link to the person cut',
    intro: 'Stays as it is, and leads to the data subject no longer.',
  },
} as const satisfies Partial<Record<keyof ReceiptLeg, { title: string; intro: string }>>

export const accessEnded = {
  title: 'Ended when access was cut',
  intro: 'Sessions and tokens that went before the erasure began.',
} as const

/** Whose items were counted, and whether all of them were. */
export type Counted = Pick<ReceiptLeg, 'sharedWith'> & Partial<Pick<ReceiptLeg, 'atLeast'>>

/** `4 items`, or whose they were where a call was for several. */
export function itemsWord({ sharedWith, atLeast = false }: Counted, count: number): string {
  const items = `${atLeast ? 'at least ' : ''}${count.toLocaleString('en-GB')} ${count === 1 ? 'item' : 'items'}`
  return sharedWith === 1 ? items : `${items} of ${sharedWith.toLocaleString('en-GB')} subjects together`
}

/** `2026-11-21 03:30 UTC`: the same in every country. */
export function instantText(iso: string): string {
  return `${new Date(iso).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}
