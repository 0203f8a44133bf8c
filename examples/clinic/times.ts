/** Instants as whole seconds since 1970 (UTC), printed for COPY. Formatting is cached: a big clinic prints 15 million. */

export const DAY = 86_400

const days = new Map<number, string>()
const seconds: string[] = []

/** `2026-11-21 08:15:00+00` */
export function instant(at: number): string {
  return `${date(at)} ${timeOfDay(at)}+00`
}

/** `2026-11-21 08:15:00`: for columns without a time zone, which the clinic fills in UTC. */
export function localInstant(at: number): string {
  return `${date(at)} ${timeOfDay(at)}`
}

/** `2026-11-21` */
export function date(at: number): string {
  const day = Math.floor(at / DAY)
  let text = days.get(day)
  if (text === undefined) {
    text = new Date(day * DAY * 1000).toISOString().slice(0, 10)
    days.set(day, text)
  }
  return text
}

function timeOfDay(at: number): string {
  const second = at - Math.floor(at / DAY) * DAY
  let text = seconds[second]
  if (text === undefined) {
    text = new Date(second * 1000).toISOString().slice(11, 19)
    seconds[second] = text
  }
  return text
}
