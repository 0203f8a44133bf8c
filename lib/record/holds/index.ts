/** Legal holds, and their projection into the targets. */
export { holdKinds, holdLevels, type NewHold } from './hold.ts'
export { countHolds, holdsInForce, holdsOnSubject, insertHold, listHolds, markReleased } from './holds.ts'
export {
  isPaused,
  listStops,
  pausePolicy,
  resumePolicy,
  resumeStore,
  stoppedStores,
  stopStore,
  type Stop,
} from './stops.ts'
export { ensureHolds, refuseHoldsBehind } from './in-force.ts'
export { projectHolds } from './project.ts'
