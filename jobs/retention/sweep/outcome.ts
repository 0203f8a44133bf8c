/** Gathers a run's report from the ledger's counters, the proposal and what is left of the population. */
import { databaseNow } from '../../../lib/base/db/index.ts'
import { populationStates } from '../../../lib/data/rows/index.ts'
import { batchCounters, countBatches } from '../../../lib/record/ledger/index.ts'
import { countLiveErasures } from '../../../lib/record/erasures/index.ts'
import { approvalOf, storeReport, type StoredReport } from '../../../lib/record/proposals/index.ts'
import type { Cursor } from './cursor.ts'
import type { Work } from './execute.ts'
import { openedScope } from './ledger.ts'
import { effectivePeriod } from '../policy.ts'

/** Idempotent until the population is forgotten. Returns what it stored. */
export async function writeReport(work: Work, cursor: Cursor, outcome: string): Promise<StoredReport> {
  const { context, run, policy, plan, proposal, target } = work
  const { control } = context
  const counters = await batchCounters(control, run.id)
  const states = await populationStates(target, proposal.id)
  const approval = await approvalOf(control, proposal.id)
  const executed = Object.keys(counters).length > 0
  const { period, clamped } = effectivePeriod(policy)
  const reasons = (state: string): Record<string, number> =>
    Object.fromEntries(
      states
        .filter((entry) => entry.state === state)
        .map((entry) => [entry.reason ?? 'unknown', entry.count]),
    )
  const count = (state: string) =>
    states.filter((entry) => entry.state === state).reduce((sum, entry) => sum + entry.count, 0)
  const report: StoredReport = {
    format: 'lethe-retention-report-1',
    run: run.id,
    policy: policy.name,
    policyVersion: proposal.policyVersion,
    recordsClass: policy.records_class,
    store: plan.store,
    outcome,
    mapVersion: proposal.mapVersion,
    planHash: proposal.planHash,
    proposal: proposal.id,
    cutoff: proposal.cutoff.toISOString(),
    period,
    clamped,
    oldest: proposal.oldest?.toISOString() ?? null,
    newest: proposal.newest?.toISOString() ?? null,
    population: proposal.population,
    proposedRows: proposal.rows,
    excluded: proposal.excluded,
    limits: proposal.limits,
    approval:
      approval === null
        ? null
        : {
            outcome: approval.outcome,
            actor: approval.actor,
            method:
              approval.appraisalId === null ? approval.method : `standing appraisal, ${approval.method}`,
            statement: approval.statement,
            at: approval.at.toISOString(),
            overrides: approval.overrides,
          },
    subjects: {
      erased: counters['subjects'] ?? 0,
      kept: counters['kept'] ?? 0,
      skipped: reasons('skipped'),
      locked: count('locked'),
      blocked: reasons('blocked'),
    },
    rows: {
      removed: named(counters, 'removed.'),
      pseudonymised: named(counters, 'pseudonymised.'),
      detached: named(counters, 'detached.'),
    },
    batches: await countBatches(control, run.id),
    throttledSeconds: cursor.throttled,
    verification: executed ? { checked: cursor.checked, left: cursor.left } : null,
    tidied: cursor.tidied,
    ledgerEntries: executed ? await countLiveErasures(control, await openedScope(work)) : 0,
    startedAt: (run.startedAt ?? run.createdAt).toISOString(),
    finishedAt: (await databaseNow(control)).toISOString(),
    notCovered: [...plan.notCovered],
  }
  await storeReport(control, report)
  return report
}

/** The counters under a prefix, without it. */
export function named(counters: Readonly<Record<string, number>>, prefix: string): Record<string, number> {
  return Object.fromEntries(
    Object.entries(counters)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, count]) => [name.slice(prefix.length), count]),
  )
}
