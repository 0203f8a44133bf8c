import type { ParsedCron } from './cron.ts'

/** No schedule has more: a minute's cron after a week of silence has 10 080. */
const LIMIT = 20_000

/**
 * Every occurrence in (after, until], oldest first. Where there are more than `limit`, the newest ones; `dropped` counts
 * the older ones, which a caller has to record.
 */
export function occurrencesBetween(
  schedule: ParsedCron,
  after: Date,
  until: Date,
  limit = LIMIT,
): { instants: Date[]; dropped: number } {
  const instants: Date[] = []
  let dropped = 0
  for (let next = schedule.cron.nextRun(after); next !== null && next <= until;) {
    instants.push(next)
    if (instants.length >= limit * 2) dropped += instants.splice(0, limit).length
    next = schedule.cron.nextRun(next)
  }
  if (instants.length > limit) dropped += instants.splice(0, instants.length - limit).length
  return { instants, dropped }
}
