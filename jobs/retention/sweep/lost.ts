/**
 * A run that ended without closing its record: its worker was lost, or its databases were away, until no attempt was left.
 * Its ledger may name subjects who never went, and its population's keys still stand in the target. The policy's next
 * sweep settles for it before it proposes.
 */
import { summed, total } from '../../../lib/base/counts/index.ts'
import { forgetPopulation, readBackErased } from '../../../lib/data/rows/index.ts'
import { appendEvent } from '../../../lib/record/evidence/index.ts'
import { getRun, recordStep, type Claim } from '../../../lib/record/ledger/index.ts'
import { markVerified } from '../../../lib/record/erasures/index.ts'
import { lostProposals, setProposalState, type Proposal } from '../../../lib/record/proposals/index.ts'
import { catchUp, type Work } from './execute.ts'
import { openedScope, voidRemaining } from './ledger.ts'

const PAGE = 2_000

/** Idempotent, and a crash in the middle leaves the rest to the next sweep. Throws E_FENCED. */
export async function settleLost(work: Omit<Work, 'run' | 'proposal'>): Promise<void> {
  const { context, policy, plan } = work
  for (const proposal of await lostProposals(context.control, policy.name, plan.store)) {
    const run = await getRun(context.control, proposal.runId)
    await settle({ ...work, run, proposal })
  }
}

async function settle(work: Work): Promise<void> {
  const { context, run, claim, target, plan, proposal } = work
  // Above every claim the run ever had: a worker that wakes up late finds itself refused.
  await catchUp(work, run.fence + 1n)
  const left = await readBackAll(work)
  const began = proposal.state === 'approved'
  const voided = began ? await voidRemaining(work) : 0
  const scope = began ? await openedScope(work) : null
  await recordStep(context.control, claim, settled(claim, proposal), async (tx) => {
    await setProposalState(tx, proposal.id, 'cancelled')
    await appendEvent(tx, { runId: run.id, type: 'proposal.cancelled', data: { proposal: proposal.id } })
    if (scope === null) return
    if (voided > 0)
      await appendEvent(tx, { runId: run.id, type: 'erasure.voided', data: { scope, count: voided } })
    await appendEvent(tx, { runId: run.id, type: 'erasure.verified', data: { store: plan.store, left } })
    if (total(left) === 0) await markVerified(tx, scope)
  })
  await forgetPopulation(target, proposal.id)
}

function settled(claim: Claim, proposal: Proposal) {
  return { name: 'settle-lost', note: `run ${proposal.runId}, whose record run ${claim.id} closes` }
}

/** Rows still there of those it removed, by table; normally none. */
async function readBackAll({ target, plan, proposal }: Work): Promise<Record<string, number>> {
  let left: Record<string, number> = {}
  let after = -1n
  for (;;) {
    const page = await readBackErased(target, plan, proposal.id, { after, limit: PAGE })
    if (page.checked === 0) return left
    left = summed([left, page.left])
    after = page.to
  }
}
