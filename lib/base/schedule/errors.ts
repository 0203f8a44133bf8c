import { defineErrors, type Codes } from '../errors/index.ts'

const errors = defineErrors('Schedules', {
  E_SCHEDULE: {
    exit: 2,
    retryable: false,
    next: 'Mend the cron fields or the time zone: minute hour day-of-month month day-of-week.',
  },
  E_SCHEDULE_GAP: {
    exit: 2,
    retryable: false,
    next: 'Use UTC, or a time of day that exists on every day of the year.',
  },
})

declare module '../errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
