/** What the erasure flow offers: its job kind, and the verbs people use. */
import './errors.ts'

import type { JobKind } from '../kind.ts'
import { cascade } from './cascade/cascade.ts'

export const erasureKinds: readonly JobKind[] = [cascade]

export { ensureCascade } from './cascade/cascade.ts'
export { takeIntake } from './cascade/intake.ts'
export { readReceipt } from './cascade/receipt.ts'
export { findRequest, type FoundRequest } from './desk/find.ts'
export { askedStatement, isPresent, requestErasure, resolveSubject, type Asked } from './desk/request.ts'
export {
  acceptLeg,
  approveRequest,
  assessRequest,
  cancelRequest,
  confirmRequest,
  extendRequest,
  instructRequest,
  refuseRequest,
  retryLeg,
  type By,
} from './desk/support.ts'
export { previewErasure, type Preview } from './desk/preview.ts'
export { kindInWords } from './desk/words.ts'
export {
  listPages,
  listStatus,
  requestStatus,
  type ListedRequest,
  type RequestStatus,
} from './desk/status.ts'
export { holdRequest, releaseRequest } from './desk/hold.ts'
export { requestStatement } from './statements.ts'
