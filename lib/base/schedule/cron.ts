import { Cron } from 'croner'
import { LetheError } from '../errors/index.ts'
import { firstGap, isTimeZone } from './zone.ts'

export interface ParsedCron {
  text: string
  zone: string
  cron: Cron
}

/**
 * Five fields (minute hour day-of-month month day-of-week) read in an IANA zone. Day-of-month and day-of-week are or-ed
 * where both are given, as cron does.
 *
 * On the two nights a year: a fixed time (no `*`, no `/` in minute and hour) that the spring gap swallows fires at the
 * first instant after the gap, and one that the autumn shows twice fires at the first of the two; intervals and wildcards
 * fire at each instant whose local time matches. `validate` refuses what would meet the gap at all.
 *
 * Throws E_SCHEDULE; with `validate`, E_SCHEDULE_GAP.
 */
export function parseCron(text: string, zone: string, options: { validate?: boolean } = {}): ParsedCron {
  if (!isTimeZone(zone))
    throw new LetheError('E_SCHEDULE', { message: `There is no time zone ${JSON.stringify(zone)}.` })
  let cron: Cron
  try {
    cron = new Cron(text, { timezone: zone, mode: '5-part', fixedTimeRule: 'no-wildcard', paused: true })
  } catch {
    throw new LetheError('E_SCHEDULE', {
      message: `${JSON.stringify(text)} is not five cron fields: minute hour day-of-month month day-of-week.`,
    })
  }
  if (options.validate === true) refuseGap(text, zone)
  return { text, zone, cron }
}

function refuseGap(text: string, zone: string): void {
  const gap = firstGap(text, zone)
  if (gap === null) return
  throw new LetheError('E_SCHEDULE_GAP', {
    message: `${JSON.stringify(text)} asks for ${gap.local} in ${zone}, a local time that does not exist: the clocks go from ${gap.from} to ${gap.to} that night.`,
    facts: { cron: text, zone, ...gap },
  })
}
