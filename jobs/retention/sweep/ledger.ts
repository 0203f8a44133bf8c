/** A sweep's part of the erasure ledger: the scope that was approved, and who stays after all. */
import type { RootKey } from '../../../lib/data/deletion/index.ts'
import type { Database } from '../../../lib/base/db/index.ts'
import { expandSubjects, remainingRoots } from '../../../lib/data/rows/index.ts'
import { openScope, type ErasureScope, type Leaving } from '../../../lib/record/erasures/index.ts'
import type { Claim, Run } from '../../../lib/record/ledger/index.ts'
import type { Proposal } from '../../../lib/record/proposals/index.ts'
import type { Context } from '../../context.ts'
import { openLedger } from '../../erasure-ledger.ts'
import type { DeletionPlan } from '../../../lib/data/deletion/index.ts'

interface Scoped {
  context: Context
  run: Run
  plan: DeletionPlan
  proposal: Proposal
}

/** What the ledger is told of subjects of this sweep. */
export function leaving(work: Scoped, keys: readonly RootKey[]): Leaving {
  return { scope: scopeOf(work), home: work.plan.store, keys }
}

/**
 * Voids the entries of whoever stayed: skipped, blocked, locked, or never reached. Those in state removing have lost rows
 * and keep theirs. `claim`: the run's own, or that of the sweep that settles for a run that was lost. Idempotent; a crash
 * between an entry and its batch ends here.
 */
export async function voidRemaining(work: Scoped & { claim: Claim; target: Database }): Promise<number> {
  const { target, plan, proposal } = work
  const ledger = openLedger(work.context)
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
      const keys = subjects.flatMap((subject) => [...subject.keys])
      voided += await ledger.withdraw(work.claim, leaving(work, keys))
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
