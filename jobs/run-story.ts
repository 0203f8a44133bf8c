/** A run's whole story, for `lethe runs show`: what each room of the record has of it. */
import type { Database } from '../lib/base/db/index.ts'
import { occurrenceOf } from '../lib/base/schedule/index.ts'
import { eventsOf, type RunEvent } from '../lib/record/evidence/index.ts'
import { runRecord, type RunRecord } from '../lib/record/ledger/index.ts'
import { scopesOf, type RunScope } from '../lib/record/erasures/index.ts'
import {
  approvalsOfRun,
  proposalsOfRun,
  type RunApproval,
  type RunProposal,
} from '../lib/record/proposals/index.ts'

export interface RunStory extends RunRecord {
  events: RunEvent[]
  proposals: RunProposal[]
  approvals: RunApproval[]
  scopes: RunScope[]
  occurrence: { scheduleId: string; at: Date } | null
}

/** Reads one consistent snapshot. Throws E_NOT_FOUND. */
export async function runStory(control: Database, id: string): Promise<RunStory> {
  return control.transaction(
    async (tx) => {
      const { run, steps, batches, batchCount } = await runRecord(tx, id)
      const events = await eventsOf(tx, id)
      return {
        run,
        steps,
        events,
        batches,
        batchCount,
        proposals: await proposalsOfRun(tx, id),
        approvals: await approvalsOfRun(tx, id),
        scopes: await scopesOf(tx, id),
        occurrence: await occurrenceOf(tx, id),
      }
    },
    { isolation: 'repeatable read', readOnly: true, retry: true },
  )
}
