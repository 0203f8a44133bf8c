/** Whether policies fit the map, and can come due. */
import { LetheError } from '../base/errors/index.ts'
import { checkZone, parseCron } from '../base/schedule/index.ts'
import type { Problem } from '../base/settings/index.ts'
import { checkPlace, type DataMap } from '../data/datamap/index.ts'
import type { PolicyEntry } from './policies.ts'

export function checkPolicies(policies: Readonly<Record<string, PolicyEntry>>, map: DataMap): Problem[] {
  return Object.entries(policies).flatMap(([name, policy]) => {
    const path = ['policies', name]
    return [
      ...checkPolicyTarget(map, policy, path),
      ...checkClock(policy, [...path, 'clock']),
      ...checkClamp(policy, [...path, 'clamp']),
      ...checkSchedule(policy, [...path, 'schedule']),
      ...checkWindow(policy, [...path, 'window']),
    ]
  })
}

/** A clock that reads no column says the same of every row: they would all fall due at once. */
function checkClock({ clock }: PolicyEntry, path: PropertyKey[]): Problem[] {
  return /\broot\b/i.test(clock)
    ? []
    : [{ path, message: 'reads no column of the row; name it as root.COLUMN' }]
}

function checkPolicyTarget(map: DataMap, policy: PolicyEntry, path: PropertyKey[]): Problem[] {
  if (policy.table !== undefined)
    return checkPlace(
      map,
      policy.table.store,
      policy.table.name,
      [...path, 'table', 'store'],
      [...path, 'table', 'name'],
    )
  const subject = Object.hasOwn(map.subjects, policy.subject ?? '')
    ? map.subjects[policy.subject ?? '']
    : undefined
  if (subject === undefined)
    return [{ path: [...path, 'subject'], message: `there is no subject ${policy.subject}` }]
  if (policy.when === 'inactive' && policy.warnings?.length !== 0 && subject.contact === undefined)
    return [
      {
        path: [...path, 'subject'],
        message: `an inactivity purge needs delivered warnings, so subject ${policy.subject} needs a contact`,
      },
    ]
  return []
}

function checkClamp(policy: PolicyEntry, path: PropertyKey[]): Problem[] {
  const { minimum, maximum } = policy.clamp
  if (minimum === undefined || maximum === undefined || days(minimum.period) <= days(maximum.period))
    return []
  return [{ path, message: `the minimum (${minimum.period}) is longer than the maximum (${maximum.period})` }]
}

/** Only for comparing two clamps; ages themselves are reckoned by PostgreSQL, in calendar units. */
function days(period: string): number {
  const [count, unit] = period.split(' ')
  const size = unit?.startsWith('year') ? 365.25 : unit?.startsWith('month') ? 30.44 : 1
  return Number(count) * size
}

function checkSchedule(policy: PolicyEntry, path: PropertyKey[]): Problem[] {
  const { schedule } = policy
  if (schedule === undefined) return []
  const zone = checkZone(schedule.time_zone, [...path, 'time_zone'])
  if (zone.length > 0) return zone
  try {
    parseCron(schedule.cron, schedule.time_zone, { validate: true })
    return []
  } catch (error) {
    if (!(error instanceof LetheError)) throw error
    return [{ path: [...path, 'cron'], message: `${error.message} ${error.next} (${error.code})` }]
  }
}

function checkWindow(policy: PolicyEntry, path: PropertyKey[]): Problem[] {
  const { window } = policy
  if (window === undefined) return []
  const same: Problem[] =
    window.from === window.to
      ? [{ path: [...path, 'to'], message: `a window from ${window.from} to ${window.to} never opens` }]
      : []
  return [...same, ...checkZone(window.time_zone, [...path, 'time_zone'])]
}
