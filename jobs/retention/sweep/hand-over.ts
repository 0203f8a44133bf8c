/**
 * A subject who is also in other stores is not deleted by the sweep: each approved one becomes an erasure request, and the
 * cascade carries it through all of them. Who is handed over is looked at again first, as a batch would look.
 */
import { z } from 'zod'
import { markPopulation, nextRoots, whyNot } from '../../../lib/data/rows/index.ts'
import { recordStep } from '../../../lib/record/ledger/index.ts'
import { createRequests, type NewRequest } from '../../../lib/record/requests/index.ts'
import { approvalOf, keepGuard } from '../../../lib/record/proposals/index.ts'
import type { StepResult } from '../../kind.ts'
import type { Cursor } from './cursor.ts'
import type { Work } from './execute.ts'
import { guardFor } from '../rules.ts'

const PAGE = 1000
/** What the population and the report call it. */
export const HANDED_OVER = 'handed-over'

/** Whether the policy's subjects go through the cascade. */
export function handsOver({ context, policy }: Pick<Work, 'context' | 'policy'>): boolean {
  const subject = policy.subject === undefined ? undefined : context.config.file.subjects[policy.subject]
  return (subject?.other_stores.length ?? 0) > 0
}

/**
 * One page; `done`: nobody is left. Killed between the requests and the marks, the page is handed over again: whoever has an
 * open request joins it.
 */
export async function handOver(work: Work, cursor: Cursor): Promise<StepResult | 'done'> {
  const { context, run, claim, policy, plan, proposal, target } = work
  const page = await nextRoots(target, proposal.id, 'light', {
    maxRows: Number.MAX_SAFE_INTEGER,
    after: -1n,
    limit: PAGE,
  })
  if (page.length === 0) return 'done'
  const keys = page.map((root) => root.key)
  const guard = guardFor(policy, plan, proposal.cutoff.toISOString())
  const reasons = await whyNot(target, plan, guard, keys)
  const going = page.filter((_, place) => reasons[place] === null)
  const approval = await approvalOf(context.control, proposal.id)
  const requests = going.map((root): NewRequest => ({
    subjectKind: plan.subject,
    store: plan.store,
    key: root.key,
    kind: 'retention',
    ground: `policy:${policy.name}`,
    requester: 'policy',
    actor: `policy:${policy.name}`,
    origin: 'sweep',
    grace: '0',
    identity: { method: 'policy', by: approval?.actor ?? 'policy' },
    instruction: `proposal:${proposal.id}`,
    proposalId: proposal.id,
  }))
  const { slowest_leg: slowest, keep_identifiers: keep, ceiling } = context.config.file.erasure
  const handed = z.number().parse(run.counters[HANDED_OVER] ?? 0) + going.length
  await recordStep(
    context.control,
    claim,
    { name: 'hand-over', note: `${going.length} subjects`, counters: { [HANDED_OVER]: handed }, cursor },
    async (tx) => {
      // asked again by whoever carries it out, as it was approved
      await keepGuard(tx, proposal.id, { due: guard.due, clear: [...guard.clear] })
      if (requests.length > 0)
        await createRequests(tx, context.keystore, requests, { slowest, keep, ceiling })
    },
  )
  await markPopulation(
    target,
    proposal.id,
    page.map((root, place) => ({ ordinal: root.ordinal, reason: reasons[place] ?? HANDED_OVER })),
  )
  return { kind: 'more' }
}
