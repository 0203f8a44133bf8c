import './errors.ts'

export {
  appendEvent,
  appendEvents,
  eventsOf,
  eventsJson,
  eventsSql,
  rowEvent,
  rowEventsSql,
  type EventType,
  type NewEvent,
  type RowEvent,
  type RunEvent,
} from './events.ts'
export { evidenceSchema } from './schema.ts'
export { sequence, type Sequenced } from './sequence.ts'
export { logKeys, publishedKeys, trustOf, verifierKeys, type LogKeys } from './keys.ts'
export { newestHead, publishHead, signHead, HEAD_KEY, type Head, type NewHead } from './publish.ts'
export { logStatus, type LogStatus } from './status.ts'
export {
  formatNote,
  formatVerifierKey,
  parseNote,
  parseVerifierKey,
  readVerifierKeys,
  signerFromPem,
  signerFromSeed,
  signNote,
  verifyNote,
  type SignedNote,
  type SignerKey,
  type VerifierKey,
} from './note.ts'
export { proveEvent, verifyProof, type Proven } from './prove.ts'
export type { Trust } from './heads.ts'
export {
  lastVerified,
  markVerified,
  namedStatements,
  verifyLog,
  type Break,
  type BreakKind,
  type Verification,
  type VerifyOptions,
} from './verify.ts'
export { ageContents, agingOf, RETENTION_ROLE, type Aging } from './age.ts'
export { isConsistencyProof, proveConsistency, verifyConsistency } from './consistency.ts'
export { verifyMirror } from './mirror.ts'
export { ADD_CHECKPOINT, LARGEST_BODY } from './add-checkpoint.ts'
export type { Witness } from './witness.ts'
export { cosignHead, showHead } from './cosign.ts'
export { openWitness, type WitnessAnswer, type WitnessService } from './witness-service.ts'
export {
  cosignaturesOf,
  requireQuorum,
  witnessId,
  witnessStates,
  type Cosignature,
  type Quorum,
  type WitnessState,
} from './cosignatures.ts'
export { exportEvents, verifyExport, type Exported } from './export.ts'
export { nodeHash } from './merkle.ts'
export { lockedUntil, recordLock } from './lock.ts'
