import './errors.ts'

export { parseCron, type ParsedCron } from './cron.ts'
export { checkZone, firstGap, isTimeZone, type Gap } from './zone.ts'
export { occurrencesBetween } from './occurrences.ts'
export {
  decideOccurrences,
  listSchedules,
  occurrenceOf,
  occurrencesAfter,
  syncSchedules,
  type Decision,
  type Missed,
  type NewSchedule,
  type Schedule,
} from './schedules.ts'
