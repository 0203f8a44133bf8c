/** Legal holds, and their projection into the targets. */
export { holdKinds, holdLevels, type NewHold } from './hold.ts'
export { countHolds, holdsInForce, holdsOnSubject, insertHold, listHolds, markReleased } from './holds.ts'
export { projectHolds } from './project.ts'
