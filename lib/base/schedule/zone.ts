/** Time zones: where their clocks jump forward, and whether a schedule asks for a time inside the jump. */
import { Cron } from 'croner'
import { wallClock } from '../clock/index.ts'
import type { Problem } from '../settings/index.ts'

export interface Gap {
  /** The first missing local time that the schedule asks for, `YYYY-MM-DD HH:MM`. */
  local: string
  /** The local time at which the gap begins, and the one at which it ends, `HH:MM`. */
  from: string
  to: string
}

const DAY = 86_400_000
const MINUTE = 60_000
/** Years looked ahead: enough for a fixed day of the month to meet the last Sunday of March. */
const YEARS = 12

export function isTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

/** What a file says of a zone that doesn't exist; none where it says nothing. */
export function checkZone(zone: string | undefined, path: PropertyKey[]): Problem[] {
  return zone === undefined || isTimeZone(zone)
    ? []
    : [
        {
          path,
          message: `there is no time zone ${JSON.stringify(zone)}; use an IANA name such as Europe/Berlin`,
        },
      ]
}

/** The first forward jump that swallows a local time of this schedule; null where hours are a wildcard, or nothing meets one. */
export function firstGap(text: string, zone: string): Gap | null {
  const hours = text.trim().split(/\s+/)[1] ?? '*'
  if (hours.startsWith('*') || hours.startsWith('?')) return null
  // Its twin in UTC says whether a local time, written as if it were UTC, is one of the schedule's.
  const twin = new Cron(text, { timezone: 'UTC', mode: '5-part', paused: true })
  const jumps = jumpsByZone.get(zone) ?? forwardJumps(zone)
  jumpsByZone.set(zone, jumps)
  for (const jump of jumps) {
    for (let local = jump.from; local < jump.to; local += MINUTE) {
      if (!twin.match(new Date(local))) continue
      const words = (ms: number) => new Date(ms).toISOString().slice(0, 16).replace('T', ' ')
      return { local: words(local), from: words(jump.from).slice(11), to: words(jump.to).slice(11) }
    }
  }
  return null
}

/** Finding them takes about 40 ms of CPU, and a dispatcher asks in every round. */
const jumpsByZone = new Map<string, readonly { from: number; to: number }[]>()

/** Local times (as if UTC, ms) between which nothing exists, from a year ago on. */
function forwardJumps(zone: string): { from: number; to: number }[] {
  const offset = offsetReader(zone)
  const jumps: { from: number; to: number }[] = []
  const start = Math.floor(wallClock().getTime() / DAY) * DAY - 365 * DAY
  let before = offset(start)
  for (let day = start + DAY; day < start + YEARS * 365 * DAY; day += DAY) {
    const after = offset(day)
    if (after > before) {
      let low = day - DAY
      let high = day
      while (high - low > MINUTE) {
        const middle = Math.floor((low + high) / 2 / MINUTE) * MINUTE
        if (offset(middle) === before) low = middle
        else high = middle
      }
      jumps.push({ from: high + before, to: high + after })
    }
    before = after
  }
  return jumps
}

/** Local time minus UTC at an instant, in ms. */
function offsetReader(zone: string): (instant: number) => number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  })
  return (instant) => {
    const parts = new Map(format.formatToParts(instant).map((part) => [part.type, Number(part.value)]))
    const get = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? 0
    return Date.UTC(get('year'), get('month') - 1, get('day'), get('hour'), get('minute')) - instant
  }
}
