/**
 * One interface for everything that holds personal data: a store of the team's own or a third-party processor. To a
 * cascade they are the same. Every eraser passes the conformance suite in test/conformance/eraser.ts.
 */

/** A data subject inside one eraser: its kind and key, as the team's own root table spells it. Never logged, never put in Redis. */
export interface SubjectRef {
  kind: string
  key: readonly string[]
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
}

export interface Located {
  /** Items found, by place (table, bucket, list). */
  counts: Readonly<Record<string, number>>
}

export interface Retained {
  place: string
  count: number
  ground: string
  /** ISO instant; null: until nothing names it any more. */
  until: string | null
}

/** A job that runs on the other side and is looked at again later. */
export interface Pending {
  job: string
  pollAfterSeconds: number
}

export interface ErasePage {
  /** Items removed, pseudonymised or detached, by place. */
  removed: Readonly<Record<string, number>>
  retained: readonly Retained[]
  pending: readonly Pending[]
  /** Plain sentences for support staff; no personal data. */
  messages: readonly string[]
  /** Whether another call is needed for the same subjects. */
  more: boolean
}

export interface Verification {
  absent: boolean
  /** What is still there, by place; empty when absent. */
  left: Readonly<Record<string, number>>
  retained: readonly Retained[]
}

/** `P` is the eraser's own plan: a DeletionPlan for PostgreSQL. */
export interface Eraser<P> {
  readonly store: string
  readonly capabilities: Capabilities
  /** Reads only. */
  locate(subjects: readonly SubjectRef[], plan: P, signal: AbortSignal): Promise<Located>
  /** May be called twice with the same subjects: the second call removes nothing and says so. */
  erase(subjects: readonly SubjectRef[], plan: P, page: EraseRequest, signal: AbortSignal): Promise<ErasePage>
  /** Reads back; never trusts what `erase` said. */
  verify(subjects: readonly SubjectRef[], plan: P, signal: AbortSignal): Promise<Verification>
}

/** Who erases: the fence is checked in the store's own transaction where it has one. */
export interface EraseRequest {
  runId: string
  fence: bigint
  /** Items at most in this call; what is left is reported by `more`. */
  limit: number
}
