/** What the evidence log offers: its keeper's round, its job kinds, and what people ask of it. */
import type { JobKind } from '../kind.ts'
import { age } from './age.ts'
import { verify } from './verify.ts'

export const evidenceKinds: readonly JobKind[] = [verify, age]

export {
  confirmLock,
  evidenceKeys,
  evidenceLease,
  evidenceRound,
  keepFor,
  publishedHead,
  type EvidenceRound,
} from './log.ts'
export { configuredWitnesses } from './witness.ts'
export { eraseText, eraseTextStatement, type TextErased } from './erase-text.ts'
