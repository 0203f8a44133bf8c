import './errors.ts'

export { checkErasure, erasureSchema, type ErasureEntry } from './schema.ts'
/** Erasure requests: their record, their states and their legs. All SQL on these tables stands here. */
export {
  endedLegs,
  finalRequestStates,
  legStates,
  requestStates,
  requestTransitions,
  type LegState,
  type RequestState,
  type RequestVerb,
} from './states.ts'
export {
  dueRequests,
  getRequest,
  getRequests,
  identityMethods,
  personalMethods,
  personalRequesters,
  kindsDue,
  lastFinished,
  lockRequests,
  listRequests,
  markAccessCut,
  requestExists,
  nextDue,
  recordAccessEnded,
  requesters,
  requestKinds,
  countListed,
  countRequests,
  updateRequest,
  wakeHeld,
  type AccessEnded,
  type ErasureRequest,
  type IdentityMethod,
  type PersonalMethod,
  type RequestFilter,
  type RequestKind,
  type Requester,
} from './request.ts'
export {
  countDue,
  countOpen,
  countStuckLegs,
  countWaitingForPerson,
  handedOver,
  openOfPolicy,
  openOfSubject,
  wakeRequests,
  warnDue,
  type DueCounts,
} from './attention.ts'
export { createRequests, type Created } from './create.ts'
export type { Limits, NewRequest } from './new-request.ts'
export {
  hasCancel,
  deferIntake,
  FAILING_INTAKE,
  hasIntake,
  openCancels,
  intakeOf,
  isOpenIntake,
  intakeState,
  markTaken,
  intakeKinds,
  openIntake,
  REFUSED_INTAKE,
  type AskedByApplication,
  type IntakeRow,
} from './intake.ts'
export { askingOf, askingsOf, isStronger, isWhole, joinedBy, raiseWaiting, type Asking } from './join.ts'
export { moveRequests, postpone, type Mover, type RequestChange } from './move.ts'
export {
  beginLegs,
  begunIn,
  dueLegs,
  hasBegun,
  legsOf,
  makeLegs,
  openLegs,
  recordLegs,
  settleLeg,
  unbeginLegs,
  type Leg,
  type LegChange,
  type NewLeg,
} from './legs.ts'
export { forgetSealed, keepSealed, openSecrets, sealSecrets, type Secrets } from './sealed.ts'
export {
  decideRequest,
  isLastDecision,
  decisionsOf,
  type RequestDecision,
  type RequestDecisionVerb,
  type StoredDecision,
} from './decisions.ts'
export { receiptOf, storeReceipts } from './receipts.ts'
export {
  addAnswers,
  answersOf,
  beginAnswer,
  dueAnswers,
  markAnswered,
  settleAnswer,
  skipAnswers,
  type AnswerKind,
  type DueAnswer,
  type NewAnswer,
} from './answers.ts'
