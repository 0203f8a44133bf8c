/**
 * A sweep's entries in the erasure ledger: before a batch begins, whom it may remove is durable in the control database, and
 * in the locked bucket where there is one; whoever stays after all is voided by a further entry, which goes the same way.
 */
import type { RootKey } from '../../lib/data/deletion/index.ts'
import type { Database } from '../../lib/base/db/index.ts'
import { expandSubjects, remainingRoots } from '../../lib/data/rows/index.ts'
import {
  journalErasures,
  journalOlder,
  journalVoids,
  openScope,
  voidErasures,
  writeErasures,
  type Claim,
  type ErasureScope,
  type Run,
} from '../../lib/record/ledger/index.ts'
import type { Proposal } from '../../lib/record/proposals/index.ts'
import type { Context } from '../context.ts'
import { openJournal } from '../journal.ts'
import type { PolicyPlan } from './plan.ts'

interface Scoped {
  context: Context
  run: Run
  plan: PolicyPlan
  proposal: Proposal
}

interface Entering extends Scoped {
  /** Who writes: the run itself, or the sweep that settles for one that was lost. */
  claim: Claim
}

export interface SweepLedger {
  /** Durable on return, wherever it has to be. Idempotent. Throws E_FENCED, E_BUCKET_UNAVAILABLE, E_BUCKET_LOCK. */
  enter(keys: readonly RootKey[]): Promise<void>
  /**
   * Durable in the control database on return; the bucket has it before it has anything that follows. Idempotent. Returns how
   * many entries were voided. Throws E_FENCED.
   */
  withdraw(keys: readonly RootKey[]): Promise<number>
  /** Resolves once the bucket has everything. Throws E_BUCKET_UNAVAILABLE, E_BUCKET_LOCK. */
  catchUp(): Promise<void>
  close(): void
}

export async function openLedger(work: Entering): Promise<SweepLedger> {
  const { context, claim, plan } = work
  const { control, vault } = context
  const scope = { ...scopeOf(work), id: await openedScope(work) }
  const journal = openJournal(context)
  if (journal !== null) await journalOlder(control, claim)
  const hashes = (keys: readonly RootKey[], keyId: string) =>
    keys.map((key) => vault.subjectHash(plan.store, plan.subject, key, keyId))
  return {
    async enter(keys) {
      const keyId = vault.currentKeyId
      const entries = hashes(keys, keyId).map((hash) => ({ hash, keyId }))
      if (journal === null) await writeErasures(control, claim, scope.id, entries)
      else await journal.bring(await journalErasures(control, claim, scope, entries))
    },
    async withdraw(keys) {
      // the entry may stand under a key from before a rotation
      const given = vault.keyIds.flatMap((keyId) => hashes(keys, keyId))
      if (journal === null) return voidErasures(control, claim, scope.id, given)
      const entries = await journalVoids(control, claim, scope, given)
      journal.leave(entries)
      return entries.written
    },
    catchUp: async () => journal?.catchUp(),
    close: () => journal?.close(),
  }
}

/**
 * Voids the entries of whoever stayed: skipped, blocked, locked, or never reached. Those in state removing have lost rows
 * and keep theirs. Idempotent; a crash between an entry and its batch ends here.
 */
export async function voidRemaining(work: Entering & { target: Database }): Promise<number> {
  const { target, plan, proposal } = work
  const ledger = await openLedger(work)
  try {
    let after = -1n
    let voided = 0
    for (;;) {
      const page = await remainingRoots(target, proposal.id, after)
      const newest = page.at(-1)
      if (newest === undefined) return voided
      after = newest.ordinal
      const staying = page.filter((root) => root.state !== 'removing')
      const subjects = await expandSubjects(target, plan, staying)
      voided += await ledger.withdraw(subjects.flatMap((subject) => [...subject.keys]))
    }
  } finally {
    ledger.close()
  }
}

/** The id of the run's scope. Throws E_SCOPE_CHANGED. */
export async function openedScope(work: Scoped): Promise<string> {
  return openScope(work.context.control, scopeOf(work))
}

/** Under the map and plan that were approved: nothing executes under others, and what was written must be found again. */
function scopeOf({ run, plan, proposal }: Scoped): ErasureScope {
  return {
    runId: run.id,
    store: plan.store,
    subjectKind: plan.subject,
    mapVersion: proposal.mapVersion,
    planHash: proposal.planHash,
  }
}
