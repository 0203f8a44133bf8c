/** The PostgreSQL engine that runs a deletion plan: batches, the population of a proposal, one subject. */
import './errors.ts'

export type { Guard, BatchOutcome, Batch, BatchHooks, BatchRoot, Subject } from './batch/batch.ts'
export { runBatch } from './batch/execute.ts'
export { firstReason, fullGuard, type FullGuard, mergedCondition } from './batch/guard.ts'
export { HOLDS_VERSION, projectedVersion, replaceHolds, takeHoldLock } from './batch/holds.ts'
export { keptByDecision, keptIsDue } from './batch/kept.ts'
export { projectStop, stopped } from './batch/stops.ts'
export { holdProgress, raiseFence, batchesAfter, readProgress, type Progress } from './batch/progress.ts'
export { rootTable, rootKeyText } from './batch/root-sql.ts'
export { expandSubjects } from './batch/subjects.ts'
export type { Retained, Verification } from './batch/verification.ts'
export { locateRows, verifyKeys, weighRoots } from './batch/verify.ts'
export { drainPopulation, type DrainOptions, type DrainStep } from './population/drain.ts'
export { exemptedCondition, exemptPopulation } from './population/exemptions.ts'
export {
  forgetPopulation,
  nextRoots,
  populationHash,
  populationStates,
  remainingRoots,
  storeDue,
  type Pass,
} from './population/population.ts'
export { readBackErased } from './population/readback.ts'
export { readSignals, type Signals } from './population/signals.ts'
export { batchSize, type BatchSize } from './population/sizing.ts'
export { startThrottle, type Throttle } from './population/throttle.ts'
export { tidy } from './population/tidy.ts'
export {
  beginWarning,
  dueWarnings,
  settleWarning,
  unwarnedCondition,
  type DueWarning,
} from './population/warnings.ts'
export { markPopulation, whyNot } from './population/why-not.ts'
export { cutAccess, readAccess, restoreAccess, type SavedRow } from './subject/access.ts'
export { forecast, type Fate } from './subject/fates.ts'
export { freeTextColumns, searchable, searchFreeText } from './subject/free-text.ts'
export { heldAmong, isHold, isWhole } from './subject/held.ts'
export {
  collectIdentifiers,
  findByIdentifier,
  type Collected,
  headsOf,
  type Wanted,
} from './subject/identifiers.ts'
export { isUnfit, lookUpKeys, type GivenKey } from './subject/keys.ts'
export { sharedValues } from './subject/shared-identifiers.ts'
export { tryTombstone, writeTombstones } from './subject/tombstones.ts'
