/** What one batch is given and what it reports. One batch is one transaction in the target database. */
import type { RootKey } from '../../deletion/index.ts'
import type { Queryable, Transaction } from '../../../base/db/index.ts'

export interface BatchRoot {
  /** Its place in the approved population; any number that is unique in the batch where there is no proposal. */
  ordinal: bigint
  key: RootKey
}

/** A root with the rows that were merged into it: one data subject, decided and erased as one. */
export interface Subject {
  /** Of the root, and of merged rows that stood in the population themselves. */
  ordinals: readonly bigint[]
  /** The root's own key first. */
  keys: readonly RootKey[]
}

/**
 * Decides about a root row (alias root) at the moment of destruction. `$1`, `$2`, … in the texts are `values`. Legal
 * holds and legal minimums are always checked and don't belong here.
 */
export interface Guard {
  /** The row is due. Evaluated before anything of the subject goes, for the root but not for rows merged into it. */
  due: string
  /** Conditions under which the row must stay, in the order in which their reasons are reported. */
  clear: readonly { reason: string; sql: string }[]
  values: readonly unknown[]
}

export interface Batch {
  runId: string
  fence: bigint
  /** Counts up by one for each batch of the run (see readProgress). */
  number: bigint
  /** Whose population is kept in step, in the same transaction; null: there is none (an erasure request, a replay). */
  proposalId: string | null
  roots: readonly BatchRoot[]
  /** Classes of records that stay by decision of the request behind this batch, and that its plan retains. */
  retained?: readonly string[]
  /** null: whoever asks has decided already; holds and minimums still count. */
  guard: Guard | null
  /** Wait for locks (bounded) instead of passing locked roots over. */
  wait: boolean
  /** Not null: one subject, of which this many rows go at most in this transaction. */
  pieceRows: number | null
  /** Secret of keyed pseudonyms (keystore.pseudonymKey); needed only where the plan has such a step. */
  pseudonymKey?: string
  /** A lock that another session holds is waited for this long; default 200 ms, with `wait` 2 s. */
  lockTimeoutMs?: number
  /** A batch that has to look for the subject that blocks it stops looking after this long; default 400 ms. */
  searchMs?: number
}

export interface BatchHooks {
  /**
   * Called with the keys of every candidate, before anything is destroyed: resolves when their ledger entries are
   * durable. Not called again for subjects that `prepareSubjects` has made ready.
   */
  beforeDestruction(keys: readonly RootKey[]): Promise<void>
  /**
   * Asked once a try of a batch, under the locks on its roots, before the first row of a subject that has not begun goes:
   * what it throws undoes the batch. `beside` sees what is committed by now, which the batch's own snapshot may not.
   */
  lastLook?(beside: Queryable): Promise<void>
  /** Runs in the batch's transaction after its own records are written. */
  inTransaction?(tx: Transaction, outcome: BatchOutcome): Promise<void>
}

export type RowCounts = Record<string, number>

export interface BatchOutcome {
  number: bigint
  /** Rows by table (`schema.table`), each by what became of it in the end: one that let go of another and went is removed. */
  removed: RowCounts
  pseudonymised: RowCounts
  detached: RowCounts
  /** Rows that statements changed or removed: the work that was done. */
  rows: number
  /** Ordinals of subjects that are gone; those whose root had to stay are also in `kept`. */
  done: bigint[]
  kept: { ordinal: bigint; until: Date | null }[]
  skipped: { ordinal: bigint; reason: string }[]
  locked: bigint[]
  /** A constraint's name, or the function that raised it with its SQLSTATE: never a value. */
  blocked: { ordinal: bigint; constraint: string }[]
  /** Not decided in this batch, still pending: the search for a blocking subject took its time. */
  deferred: bigint[]
  /** Subjects that an oversized removal has begun and not finished. */
  removing: bigint[]
  /** Keys with a ledger entry that did not go after all: to be voided. In memory only. */
  notErased: RootKey[]
  /** Keys that went, to be read back. In memory only. */
  erased: RootKey[]
  durationMs: number
  /** From the first row lock to the end of the commit. */
  lockMs: number
  /** The same batch must be run again, under the next number: a piece of a subject is left. */
  more: boolean
}
