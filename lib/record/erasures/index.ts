/** The erasure ledger: written before anything is destroyed, voided where it stays, copied into the locked bucket. */
export { openErasureLedger, type ErasureLedger, type Leaving } from './ledger.ts'
export { markVerified, openScope, type ErasureScope } from './scopes.ts'
export {
  countLiveErasures,
  liveErasures,
  voidEntriesSince,
  writeEntries,
  type LiveErasure,
} from './entries.ts'
export { bucketCopyStatus } from './objects.ts'
export type { LockedBucket } from './bucket-copy.ts'
export { isErased, scopesOf, type RunScope } from './erased.ts'
