export type * from './eraser.ts'
export type {
  Batch,
  BatchHooks,
  BatchOutcome,
  BatchRoot,
  Guard,
  RowCounts,
  Subject,
} from './stores/postgres/batch.ts'
export { runBatch } from './stores/postgres/execute.ts'
export { mergedCondition } from './stores/postgres/guard.ts'
export { holdsCondition, shareHoldLock, takeHoldLock } from './stores/postgres/holds.ts'
export { keptCondition, keptIsDue, keptRootsDue } from './stores/postgres/kept.ts'
export {
  nextRoots,
  populationStates,
  remainingRoots,
  type Pass,
  type PopulationRoot,
} from './stores/postgres/population.ts'
export {
  batchesAfter,
  raiseFence,
  readProgress,
  type Progress,
  type StoredTargetBatch,
} from './stores/postgres/progress.ts'
export { expandSubjects, prepareSubjects } from './stores/postgres/subjects.ts'
