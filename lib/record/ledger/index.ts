import './errors.ts'

export { finalStates, runStates, transitions, type RunState, type Verb } from './transitions.ts'
export {
  countRuns,
  createRun,
  getRun,
  listRuns,
  stoppedScopes,
  type Claim,
  type NewRun,
  type Run,
  type RunFilter,
  type StoppedScope,
} from './run.ts'
export { heldRun, lastSuccess, runEnded, runKind, runWaitsFor } from './conditions.ts'
export { claimRun, freeExpiredLeases, holdClaim, renewLease } from './claim.ts'
export {
  failAttempt,
  finishRun,
  giveBackRun,
  pauseRun,
  recordStep,
  waitRun,
  type FinalState,
  type NewStep,
} from './steps.ts'
export { requestRun, wakeDueRuns, wakeRun, type Request } from './requests.ts'
export { enqueuedBefore, forgetEnqueue, takeForEnqueue, type Enqueueable } from './processes/outbox.ts'
export { acquireLease, releaseLease } from './processes/leases.ts'
export {
  answerProbe,
  currentProbe,
  markProbeSent,
  probesAnswered,
  queueAge,
  type QueueAge,
} from './processes/probes.ts'
export {
  aliveRoles,
  beatWorker,
  forgetWorker,
  lastSeen,
  liveWorkers,
  workersNotUnder,
  type WorkerEntry,
} from './processes/workers.ts'
export {
  batchCounters,
  copyBatches,
  countBatches,
  lastBatchCopied,
  type Batch,
  type StoredBatch,
} from './batches.ts'
export { fenced } from './move.ts'
export { noteMissed } from './processes/missed.ts'
export { paceOf } from './paces.ts'
export { runRecord, type RunRecord } from './story.ts'
