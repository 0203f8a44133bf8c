/** The addresses under which a network of caches may hold a subject's files. */
import { tally } from '../../../base/counts/index.ts'
import { LetheError } from '../../../base/errors/index.ts'
import type { SubjectRef } from '../eraser.ts'
import { expand, isStray, namesIn, valuesIn, type Identifiers } from '../../datamap/index.ts'

export interface CachedPlace {
  /** For reports: "photos". */
  name: string
  /** With the names of identifiers: `https://cdn.example.org/photos/{id}.jpg`, or from the path on. */
  template: string
}

export interface CachedPlan {
  places: readonly CachedPlace[]
}

export interface Cached {
  /** Of one subject, in the subjects' order; null: a value can't stand in an address, so that nobody knows them all. */
  bySubject: readonly (readonly Address[] | null)[]
  /** Each once, sorted: the same subjects have the same order, whoever asks. */
  all: readonly Address[]
  messages: readonly string[]
}

export interface Address {
  place: string
  text: string
}

/** Throws E_CONFIG where a template's host or scheme would come from a value. */
export function addressesOf(subjects: readonly SubjectRef[], plan: CachedPlan): Cached {
  for (const { name, template } of plan.places) requireFixedHost(name, template)
  const bySubject = subjects.map((subject) => addressesOfOne(subject.identifiers, plan.places))
  const unique = new Map(bySubject.flatMap((some) => some ?? []).map((address) => [address.text, address]))
  const unfit = bySubject.filter((addresses) => addresses === null).length
  return {
    bySubject,
    all: [...unique.values()].sort((a, b) => (a.text < b.text ? -1 : 1)),
    messages:
      unfit === 0
        ? []
        : [`${unfit} subject${unfit === 1 ? ' has' : 's have'} a value that can't stand in an address.`],
  }
}

/** Of many addresses, by place. */
export function countByPlace(addresses: readonly Address[]): Record<string, number> {
  return tally(addresses.map(({ place }) => place))
}

export function refusedMessages(vendor: string, refused: readonly Address[]): string[] {
  return Object.entries(countByPlace(refused)).map(
    ([place, count]) => `${count} address${count === 1 ? '' : 'es'} of ${place} refused by ${vendor}.`,
  )
}

function addressesOfOne(identifiers: Identifiers, places: readonly CachedPlace[]): Address[] | null {
  try {
    return places.flatMap(({ name, template }) =>
      expand(template, encoded(identifiers, namesIn(template))).map((text) => ({ place: name, text })),
    )
  } catch (error) {
    if (error instanceof LetheError && error.code === 'E_IDENTIFIER') return null
    throw error
  }
}

function encoded(identifiers: Identifiers, names: readonly string[]): Identifiers {
  return Object.fromEntries(
    names.map((name) => [name, valuesIn(identifiers, name).map((value) => encode(name, value))]),
  )
}

/**
 * A value may be a file's whole path, so a slash stays. A star is a wildcard to a cache: unencoded, one value would be
 * everybody's. A part that is dots only climbs out of its folder.
 */
function encode(name: string, value: string): string {
  const parts = value.split('/')
  if (isStray(value) || !value.isWellFormed() || parts.some((part) => part === '.' || part === '..'))
    throw new LetheError('E_IDENTIFIER', {
      message: `A value of identifier ${name} can't stand in an address.`,
      facts: { name },
    })
  return parts.map((part) => encodeURIComponent(part).replaceAll('*', '%2A')).join('/')
}

function requireFixedHost(name: string, template: string): void {
  const [start = ''] = template.split('{')
  if (/^(https?:\/\/[^/?#]+)?\//.test(start)) return
  throw new LetheError('E_CONFIG', {
    message: `The address of ${name} does not begin with a fixed host and a slash, or with a slash.`,
  })
}
