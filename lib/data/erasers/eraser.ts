/**
 * One interface for everything that holds personal data: a store of the team's own or a third-party processor. To a
 * cascade they are the same. Every eraser passes the conformance suite in test/conformance/eraser.ts.
 */
import type { Identifiers } from '../datamap/index.ts'
import type { Retained, Verification } from '../rows/index.ts'

export type { Retained, Verification }

/** A data subject inside one eraser: its kind and key, as the team's own root table spells it. Never logged, never put in Redis. */
export interface SubjectRef {
  kind: string
  key: readonly string[]
  /** What leads to the subject outside its own rows, by name; `{}` where nothing is known. */
  identifiers: Identifiers
}

export interface Capabilities {
  /** Subjects that one call takes at most. */
  bulk: number
  /** Calls per minute that the other side allows; null: no limit of its own. */
  ratePerMinute: number | null
  reversible: boolean
  verifiable: boolean
  sideEffects: readonly string[]
  /** From when on the effect can't be undone, in words: "commit", "30 days after the call". */
  irreversibleAfter: string
  /** How long after a call the other side may still show what has gone; nothing is read back before. */
  settleSeconds: number
  /** The interface's version that this was written for ("SendGrid v3, 2026-01"); null: a store with a protocol of its own. */
  follows: string | null
}

export interface Located {
  /** Items found, by place (table, bucket, list). */
  counts: Readonly<Record<string, number>>
}

/** A job that runs on the other side for all subjects of the call, and is looked at again later (`EraseRequest.jobs`). */
export interface Pending {
  /** The vendor's own id; holds no identity. */
  job: string
  pollAfterSeconds: number
}

export interface ErasePage {
  /** Items that are gone, by place. An item is counted in one of these three at most; where the last two are absent, they are none. */
  removed: Readonly<Record<string, number>>
  /** Items that stay and name the subject no longer, by place. */
  pseudonymised?: Readonly<Record<string, number>>
  /** Items that stay as they are, but for their link to the subject, which was cut, by place. */
  detached?: Readonly<Record<string, number>>
  retained: readonly Retained[]
  /** Subjects of the call (by number, from 0) of whom something was refused, and by what (a constraint, a trigger's function): no values. */
  refused?: readonly { subject: number; by: string }[]
  pending: readonly Pending[]
  /** Plain sentences for support staff; no personal data. */
  messages: readonly string[]
  /** Subjects whose conditions turned: nothing of them was touched. Absent: none. */
  leftAlone?: number
  /** Whether another call is needed for the same subjects. */
  more: boolean
}

/** `P` is the eraser's own plan: a DeletionPlan for PostgreSQL. */
export interface Eraser<P> {
  readonly store: string
  readonly capabilities: Capabilities
  /** Reads only; throws where a later call could not work: no answer, a right or a feature missing, an account without it. */
  probe(plan: P, signal: AbortSignal): Promise<void>
  /** Reads only. */
  locate(subjects: readonly SubjectRef[], plan: P, signal: AbortSignal): Promise<Located>
  /** May be called twice with the same subjects: the second call removes nothing and says so. */
  erase(subjects: readonly SubjectRef[], plan: P, page: EraseRequest, signal: AbortSignal): Promise<ErasePage>
  /**
   * Reads back; never trusts what `erase` said. One finding a subject, in their order. Who can't be looked at (E_IDENTIFIER,
   * E_STORE_REFUSED) is not absent; it is thrown where that is so of all of them, as for one who is asked for alone.
   */
  verify(subjects: readonly SubjectRef[], plan: P, signal: AbortSignal): Promise<Verification[]>
}

/** Who erases: the fence is checked in the store's own transaction where it has one. */
export interface EraseRequest {
  runId: string
  fence: bigint
  /** Items at most in this call; what is left is reported by `more`. */
  limit: number
  /** Jobs that an earlier call for these subjects left pending: looked at, not started anew. */
  jobs?: readonly string[]
  /** Whose erasure it is: the request of each subject, in their order, the same at every try. */
  requests?: readonly string[]
}
