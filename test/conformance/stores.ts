/**
 * Every store that the conformance suite runs against, and what it lacks with the reason: the suite makes no case about
 * that. What a store has, its fixture must provide, and nothing else: the fixture's type is computed from this table.
 */
import type { EraseRequest, SubjectRef } from '../../lib/data/erasers/index.ts'

/** What only some stores can do. */
export interface Abilities {
  /** Lets jobs that run on the other side come to their end. */
  settle(): Promise<void>
  /** Makes an item of this subject one that must be kept until a date. */
  retain(subject: SubjectRef): Promise<void>
  /** A request whose holder has been overtaken. */
  overtaken(): Promise<EraseRequest>
}
export type Ability = keyof Abilities
export const abilities = ['settle', 'retain', 'overtaken'] as const satisfies readonly Ability[]

interface Store {
  /** Its folder in lib/erasers. */
  eraser: `${'stores' | 'processors'}/${string}`
  lacks: Readonly<Partial<Record<Ability, string>>>
}

const nothingPending = 'A call returns once the items are gone: no job is ever pending.'
const noFence = 'It knows no fence. A late call removes only what is to be removed anyway.'
const cacheKeepsNothing = 'A cache keeps nothing on a ground: the origin does.'
const keepsNothing = 'It keeps no item until a date: the eraser never reports one as retained.'

export const stores = {
  'for PostgreSQL': { eraser: 'stores/postgres', lacks: { settle: nothingPending } },
  'for Redis': {
    eraser: 'stores/redis',
    lacks: { settle: nothingPending, retain: keepsNothing, overtaken: noFence },
  },
  'for S3': { eraser: 'stores/s3', lacks: { settle: nothingPending, overtaken: noFence } },
  'for DynamoDB': {
    eraser: 'stores/dynamodb',
    lacks: { settle: nothingPending, retain: keepsNothing, overtaken: noFence },
  },
  'for OpenSearch': {
    eraser: 'stores/opensearch',
    lacks: {
      settle: 'Its tasks end by themselves, in a real cluster: the suite looks at them until they have.',
      retain: keepsNothing,
      overtaken: noFence,
    },
  },
  'for keys in AWS KMS': { eraser: 'stores/keys', lacks: { settle: nothingPending, overtaken: noFence } },
  'for keys in Akeyless': { eraser: 'stores/keys', lacks: { settle: nothingPending, overtaken: noFence } },
  'for keys in OpenBao': {
    eraser: 'stores/keys',
    lacks: {
      settle: nothingPending,
      retain: 'A key is destroyed at once: there is no waiting period that keeps it until a date.',
      overtaken: noFence,
    },
  },
  'for CloudFront': {
    eraser: 'processors/cloudfront',
    lacks: { retain: cacheKeepsNothing, overtaken: noFence },
  },
  'for Cloudflare': {
    eraser: 'processors/cloudflare',
    lacks: {
      settle: 'A purge is over with the call. A pending job is only where the next call goes on.',
      retain: cacheKeepsNothing,
      overtaken: noFence,
    },
  },
  'for OpenDSR': {
    eraser: 'processors/opendsr',
    lacks: {
      retain: 'The protocol has no answer that says what is kept, or until when.',
      overtaken: noFence,
    },
  },
  'for PostHog': {
    eraser: 'processors/posthog',
    lacks: {
      settle: 'Events go at a weekend, under no job that could be asked for: reading back finds them.',
      retain: keepsNothing,
      overtaken: noFence,
    },
  },
  'for Salesforce': {
    eraser: 'processors/salesforce',
    lacks: { settle: nothingPending, overtaken: noFence },
  },
  'for SendGrid': {
    eraser: 'processors/sendgrid',
    lacks: {
      retain: 'What a suppression list keeps has no end date. Its own tests cover that.',
      overtaken: noFence,
    },
  },
  'for Stripe': {
    eraser: 'processors/stripe',
    lacks: {
      settle: 'A customer is deleted by the call. Redaction jobs have their own tests.',
      retain: 'What stays of a deleted customer has no end date. Its own tests cover that.',
      overtaken: noFence,
    },
  },
  'for Supabase Auth, by id': {
    eraser: 'processors/supabase',
    lacks: { settle: nothingPending, retain: keepsNothing, overtaken: noFence },
  },
  'for Supabase Auth, by address': {
    eraser: 'processors/supabase',
    lacks: { settle: nothingPending, retain: keepsNothing, overtaken: noFence },
  },
  'for a processor of our own': {
    eraser: 'processors/webhook',
    lacks: {
      settle: 'This one answers when it is done. The next entry is one that works on after its answer.',
      overtaken: noFence,
    },
  },
  'for a processor of our own that works on after its answer': {
    eraser: 'processors/webhook',
    lacks: { overtaken: noFence },
  },
} as const satisfies Record<string, Store>

export type StoreName = keyof typeof stores
/** What this store has, and its fixture must provide. */
export type Has<N extends StoreName> = Exclude<Ability, keyof (typeof stores)[N]['lacks']>

/** Erasers that the suite can't run against, with the reason and the file that tests them instead. */
export const untested: Readonly<Record<string, { why: string; insteadIn: string }>> = {
  'processors/recipient': {
    why: 'It is told of an erasure and erases nothing itself: there is nothing to locate or to read back.',
    insteadIn: 'integration/lib/data/erasers/processors/recipient.test.ts',
  },
  'stores/declared': {
    why: 'Nothing is called: the data is gone at the date that its owner answers for.',
    insteadIn: 'integration/jobs/erasure/receipt.test.ts',
  },
}

export function lacks(name: StoreName): Store['lacks'] {
  return stores[name].lacks
}
