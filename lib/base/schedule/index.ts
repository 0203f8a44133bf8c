export { parseCron, type ParsedCron } from './cron.ts'
export { firstGap, isTimeZone, type Gap } from './zone.ts'
export { occurrencesBetween } from './occurrences.ts'
export {
  decideOccurrences,
  listSchedules,
  occurrenceOf,
  occurrencesAfter,
  syncSchedules,
  type Decision,
  type NewSchedule,
  type Schedule,
} from './schedules.ts'
