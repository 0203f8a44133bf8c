/** What leads to the persons of requests, read while the rows that hold it are there. */
import { isOfOneRow } from '../../../lib/base/db/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import {
  collectIdentifiers,
  findByIdentifier,
  sharedValues,
  type Collected,
} from '../../../lib/data/rows/index.ts'
import type { Identifiers } from '../../../lib/data/datamap/index.ts'
import type { Person } from '../../../lib/data/erasers/index.ts'
import { sealSecrets, type ErasureRequest, type Secrets } from '../../../lib/record/requests/index.ts'
import type { House } from './house.ts'
import { wantedOf } from '../plans.ts'

export interface Opened {
  request: ErasureRequest
  secrets: Secrets
}

/** One finding a request, in their order. */
export async function collect(
  house: House,
  opened: readonly Pick<Opened, 'secrets'>[],
): Promise<Collected[]> {
  const plan = await house.plan([])
  const found = await collectIdentifiers(
    house.target,
    plan,
    opened.map(({ secrets }) => secrets.key),
    wantedOf(house.subject),
  )
  return found.map((one, place) => {
    const written = opened[place]?.secrets.written ?? []
    const own = Object.fromEntries(plan.key.map(({ name }, i) => [name, written.slice(i, i + 1)] as const))
    return { ...one, identifiers: together(one.identifiers, own) }
  })
}

/** An expression of the map that fails on this person's row. */
export interface Unreadable {
  /** `NAME:SQLSTATE` of the identifier; `contact` where it is that one. */
  expression: string
}

/** As `collect`, but one on whose row an expression fails is found by halves, and holds up nobody else. */
export async function collectEach<T extends Pick<Opened, 'secrets'>>(
  house: House,
  opened: readonly T[],
): Promise<{ found: { one: T; collected: Collected }[]; unreadable: { one: T; why: Unreadable }[] }> {
  try {
    const collected = await collect(house, opened)
    const found = opened.flatMap((one, place) => {
      const own = collected[place]
      return own === undefined ? [] : [{ one, collected: own }]
    })
    return { found, unreadable: [] }
  } catch (error) {
    if (!isOfOneRow(error)) throw error
    const [only] = opened
    if (opened.length > 1 || only === undefined) {
      const half = Math.ceil(opened.length / 2)
      const first = await collectEach(house, opened.slice(0, half))
      const second = await collectEach(house, opened.slice(half))
      return {
        found: [...first.found, ...second.found],
        unreadable: [...first.unreadable, ...second.unreadable],
      }
    }
    const why = await unreadableOf(house, only.secrets)
    if (why === null) throw error
    return { found: [], unreadable: [{ one: only, why }] }
  }
}

/** The first expression that fails on this person's row, each asked for alone; null: none does. */
export async function unreadableOf(house: House, { key }: Pick<Secrets, 'key'>): Promise<Unreadable | null> {
  const { identifiers, contact } = wantedOf(house.subject)
  const alone = [
    ...Object.entries(identifiers).map(([name, sql]) => ({
      name,
      wanted: { identifiers: { [name]: sql }, contact: null },
    })),
    { name: 'contact', wanted: { identifiers: {}, contact } },
  ]
  for (const { name, wanted } of alone)
    try {
      await collectIdentifiers(house.target, await house.plan([]), [key], wanted)
    } catch (error) {
      if (!isOfOneRow(error)) throw error
      return { expression: `${name}:${String(error.facts['sqlstate'])}` }
    }
  return null
}

/**
 * What leads to a person now, with what led there before: at the access cut, or before a hold or another map. A value that
 * leads to somebody else by now is theirs.
 */
export async function withFormer(
  house: House,
  found: Collected,
  { ended = {}, identifiers = {} }: Secrets,
): Promise<Record<string, string[]>> {
  const former = together(ended, identifiers)
  const known = together(found.identifiers)
  const own = new Set(found.keys.map((key) => key.join('\0')))
  for (const [name, values] of Object.entries(former)) {
    const declared = house.subject.identifiers[name]
    for (const value of values) {
      if (known[name]?.includes(value) === true) continue
      const owners =
        declared?.unique === true
          ? await findByIdentifier(house.target, await house.plan([]), declared.sql, value)
          : []
      if (owners.every((key) => own.has(key.join('\0')))) known[name] = [...(known[name] ?? []), value]
    }
  }
  return known
}

/** A person as a place elsewhere may be told of them, and how many values stay there for others. */
export interface Exclusive {
  person: Person
  shared: number
}

/**
 * Asked of the live rows before each call elsewhere, also where a leg has waited for days: what leads to somebody else too is
 * theirs, and is left to the last of its owners. `going`: whoever is being erased with them leaves nothing behind.
 */
async function exclusiveOf(
  house: Pick<House, 'target' | 'subject' | 'plan'>,
  persons: readonly Person[],
  going: readonly Person[],
): Promise<Exclusive[]> {
  const declared = house.subject.identifiers
  const shared = await sharedValues(
    house.target,
    await house.plan([]),
    declared,
    together(...persons.map(({ identifiers }) => identifiers)),
    [...going, ...persons].flatMap(({ keys }) => keys),
  )
  return persons.map((person) => {
    let left = 0
    const own = Object.entries(person.identifiers).map(([name, values]) => {
      const kept = values.filter((value) => shared[name]?.has(value) !== true)
      left += values.length - kept.length
      return [name, kept] as const
    })
    return left === 0
      ? { person, shared: 0 }
      : { person: { ...person, identifiers: Object.fromEntries(own) }, shared: left }
  })
}

/** As `exclusiveOf`, but one for whom it can't be asked stands alone with the error: nothing may be called for that person. */
export async function exclusiveEach(
  house: House,
  persons: readonly Person[],
  going: readonly Person[],
): Promise<(Exclusive & { error?: LetheError })[]> {
  try {
    return await exclusiveOf(house, persons, going)
  } catch (error) {
    house.signal.throwIfAborted()
    if (!(error instanceof LetheError) || error.code === 'E_FENCED') throw error
    if (persons.length < 2 || !isOfOneRow(error))
      return persons.map((person) => ({ person, shared: 0, error }))
    const half = Math.ceil(persons.length / 2)
    return [
      ...(await exclusiveEach(house, persons.slice(0, half), going)),
      ...(await exclusiveEach(house, persons.slice(half), going)),
    ]
  }
}

export async function seal(house: House, opened: readonly Opened[]): Promise<void> {
  await sealSecrets(
    house.context.control,
    house.context.keystore,
    opened.map(({ request, secrets }) => ({ requestId: request.id, secrets })),
    house.context.config.file.erasure.keep_identifiers,
  )
}

/** Each value once. */
export function together(...all: readonly Identifiers[]): Record<string, string[]> {
  const names = [...new Set(all.flatMap((one) => Object.keys(one)))]
  return Object.fromEntries(
    names.map((name) => [name, [...new Set(all.flatMap((one) => one[name] ?? []))]] as const),
  )
}
