/** What the erasure flow offers: its job kind, and the verbs people use. */
import './errors.ts'

import type { JobKind } from '../kind.ts'
import { cascade } from './cascade.ts'

export const erasureKinds: readonly JobKind[] = [cascade]

export { ensureCascade } from './cascade.ts'
export { takeIntake } from './intake.ts'
export { readReceipt } from './receipt.ts'
export { findRequest, type FoundRequest } from './find.ts'
export { askedStatement, isPresent, requestErasure, resolveSubject, type Asked } from './request.ts'
export {
  acceptLeg,
  approveRequest,
  assessRequest,
  cancelRequest,
  confirmRequest,
  extendRequest,
  instructRequest,
  refuseRequest,
  requestStatement,
  retryLeg,
  type By,
} from './support.ts'
export { previewErasure, type Preview } from './preview.ts'
export { kindInWords } from './words.ts'
export { listPages, listStatus, requestStatus, type ListedRequest, type RequestStatus } from './status.ts'
export { holdRequest, releaseRequest } from './hold.ts'
