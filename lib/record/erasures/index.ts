/** The erasure ledger: written before anything is destroyed, voided where it stays, copied into the locked bucket. */
export {
  openScope,
  voidErasuresSince,
  writeErasures,
  type Journalled,
  markVerified,
  journalErasures,
  journalVoids,
  voidErasures,
  type ErasureScope,
  countLiveErasures,
  liveErasures,
  type LiveErasure,
  type OpenedScope,
  type VoidedErasure,
} from './entries.ts'
export {
  journalStatus,
  addJournal,
  isMissing,
  type JournalEntry,
  writeJournal,
  writeObject,
  journalKey,
} from './objects.ts'
export { journalOlder } from './older.ts'
