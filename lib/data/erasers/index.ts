export type * from './eraser.ts'
export type { Pace } from './pace.ts'
export { openStore, type OpenedStore } from './open.ts'
export type { StoreTools } from './open-tools.ts'
export { Findings } from './findings.ts'
export {
  expand,
  isBounded,
  namesIn,
  ofNobody,
  partsOf,
  type Identified,
  type Identifiers,
} from './identifiers.ts'
export type { Batch, BatchHooks, BatchOutcome, BatchRoot, Guard, Subject } from './stores/postgres/batch.ts'
export { runBatch } from './stores/postgres/execute.ts'
export { firstReason, fullGuard, mergedCondition, type FullGuard } from './stores/postgres/guard.ts'
export { holdsCondition, takeHoldLock } from './stores/postgres/holds.ts'
export { forecast, type Fate } from './stores/postgres/fates.ts'
export { keptByDecision, keptCondition, keptIsDue } from './stores/postgres/kept.ts'
export { nextRoots, populationStates, remainingRoots, type Pass } from './stores/postgres/population.ts'
export { batchesAfter, raiseFence, readProgress, type Progress } from './stores/postgres/progress.ts'
export {
  collectIdentifiers,
  findByIdentifier,
  headsOf,
  type Collected,
  type Wanted,
} from './stores/postgres/identifiers.ts'
export { cutAccess, readAccess, restoreAccess, type SavedRow } from './stores/postgres/access.ts'
export { tryTombstone, writeTombstones } from './stores/postgres/tombstones.ts'
export { markPopulation, whyNot } from './stores/postgres/why-not.ts'
export { freeTextColumns, searchable, searchFreeText } from './stores/postgres/free-text.ts'
export { heldAmong } from './stores/postgres/held.ts'
export { expandSubjects } from './stores/postgres/subjects.ts'
export { drainPopulation, type DrainOptions, type DrainStep } from './stores/postgres/drain.ts'
export { rootKeyText, rootTable } from './stores/postgres/root-sql.ts'
export { postgresCapabilities, postgresEraser } from './stores/postgres/eraser.ts'
export { readSignals, type Signals } from './stores/postgres/signals.ts'
export { batchSize, type BatchSize } from './stores/postgres/sizing.ts'
export { startThrottle, type Throttle } from './stores/postgres/throttle.ts'
export { tidy } from './stores/postgres/tidy.ts'
export { locateRows, verifyKeys, weighRoots } from './stores/postgres/verify.ts'
export { readBackErased } from './stores/postgres/readback.ts'
