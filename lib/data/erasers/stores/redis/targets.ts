/** What a call looks for: the plan's places with the values of its subjects in them. Keys are binary texts. */
import { LetheError } from '../../../../base/errors/index.ts'
import type { SubjectRef } from '../../eraser.ts'
import { expandFit, type Identifiers } from '../../../datamap/index.ts'
import { checkPlaces, type CheckedPlace, type RedisPlan } from './plan.ts'
import { toBinary, type ScanTemplate, type Wanted } from './template.ts'

export interface KeyTarget {
  place: string
  key: string
  /** Whose it is, by number in the call. */
  subjects: ReadonlySet<number>
}

export interface MemberTarget extends KeyTarget {
  value: string
}

export interface ScanTarget {
  place: string
  template: ScanTemplate
  wanted: Wanted
}

export interface Targets {
  keys: readonly KeyTarget[]
  members: readonly MemberTarget[]
  scans: readonly ScanTarget[]
  /** Subjects by place whose values can't be used there, with the reason: E_IDENTIFIER. */
  unusable: ReadonlyMap<string, ReadonlyMap<number, LetheError>>
}

/** `own` is the beginning of Lethe's keys: no value leads there. Throws E_CONFIG for the plan. */
export function targetsOf(plan: RedisPlan, subjects: readonly SubjectRef[], own: string): Targets {
  // one item named twice is one item, of the place that names it first
  const keys = new Map<string, Shared<KeyTarget>>()
  const members = new Map<string, Shared<MemberTarget>>()
  const scans: ScanTarget[] = []
  const unusable = new Map<string, Map<number, LetheError>>()
  const people = subjects.map((subject) => subject.identifiers)

  for (const place of checkPlaces(plan.places, own)) {
    const { name, scan } = place
    const wanted = new Map<string, Set<number>>()
    const astray = new Map<number, LetheError>()
    for (const [subject, identifiers] of people.entries())
      try {
        if (scan !== undefined)
          for (const values of scan.values(identifiers)) entry(wanted, values, () => new Set()).add(subject)
        else {
          const { found, stray } = exact(place, identifiers, own)
          if (stray !== null) astray.set(subject, stray)
          for (const { key, value } of found) {
            const target = { place: name, key, subjects: new Set<number>() }
            const shared =
              value === undefined
                ? entry(keys, key, () => target)
                : entry(members, `${key}\0${value}`, () => ({ ...target, value }))
            shared.subjects.add(subject)
          }
        }
      } catch (error) {
        if (!(error instanceof LetheError) || error.code !== 'E_IDENTIFIER') throw error
        astray.set(subject, error)
      }
    if (scan !== undefined && wanted.size > 0) scans.push({ place: name, template: scan, wanted })
    if (astray.size > 0) unusable.set(name, astray)
  }
  return { keys: [...keys.values()], members: [...members.values()], scans, unusable }
}

export function isEmpty({ keys, members, scans }: Targets): boolean {
  return keys.length + members.length + scans.length === 0
}

type Shared<T extends KeyTarget> = T & { subjects: Set<number> }

function entry<T>(map: Map<string, T>, key: string, make: () => T): T {
  const there = map.get(key) ?? make()
  map.set(key, there)
  return there
}

function exact(
  place: CheckedPlace,
  identifiers: Identifiers,
  own: string,
): { found: { key: string; value?: string }[]; stray: LetheError | null } {
  const { texts: keys, stray } = expandFit(place.key ?? place.member?.key ?? '', identifiers)
  if (keys.some((key) => key.startsWith(own)))
    throw new LetheError('E_IDENTIFIER', {
      message: `A value in place ${place.name} leads to Lethe's own keys.`,
      facts: { place: place.name },
    })
  if (place.member === undefined) return { found: keys.map((key) => ({ key: toBinary(key) })), stray }
  const members = expandFit(place.member.value, identifiers)
  const values = members.texts.map(toBinary)
  return {
    found: keys.flatMap((key) => values.map((value) => ({ key: toBinary(key), value }))),
    stray: stray ?? members.stray,
  }
}
