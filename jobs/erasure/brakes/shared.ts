/** What a call leaves where it is, since it leads to somebody else too; and what is said of that. */
import type { Person, Place } from '../../../lib/data/erasers/index.ts'
import type { LetheError } from '../../../lib/base/errors/index.ts'
import type { LegChange } from '../../../lib/record/requests/index.ts'
import { exclusiveEach } from '../cascade/collect.ts'
import type { House, PersonLeg } from '../cascade/house.ts'

/** Of a leg's messages: values that stay, since they lead to somebody else too. */
const SHARED = 'shared with others: '

/**
 * Takes from each person what leads to somebody else too; `left`: how many values, by request. Those for whom it can't be asked
 * are not called for. A vendor's job that runs is only asked about. Of persons outside this call, those that a policy handed over
 * may still be let go, so what they share stays.
 */
export async function leaveShared<T extends PersonLeg>(
  house: House,
  place: Place,
  persons: ReadonlyMap<string, Person>,
  pairs: readonly T[],
): Promise<{ left: Map<string, number>; unasked: Map<T, LetheError> }> {
  const left = new Map<string, number>()
  const unasked = new Map<T, LetheError>()
  const outside = place.excused === undefined && place.store !== house.subject.store
  const open = outside ? pairs.filter(({ leg }) => leg.job === null) : []
  const own = open.map(({ person }) => person)
  const asked = [...persons.values()].filter(({ policy }) => policy === undefined)
  const found = own.length === 0 ? [] : await exclusiveEach(house, own, [...own, ...asked])
  for (const [index, pair] of open.entries()) {
    const { person, shared = 0, error } = found[index] ?? {}
    if (person !== undefined) pair.person = person
    if (shared > 0) left.set(pair.leg.requestId, shared)
    if (error !== undefined) unasked.set(pair, error)
  }
  return { left, unasked }
}

export function sayShared(
  changes: readonly LegChange[],
  pairs: readonly PersonLeg[],
  left: ReadonlyMap<string, number>,
): void {
  const known = new Map(pairs.map(({ leg }) => [leg.requestId, leg.messages]))
  for (const change of changes) {
    const count = left.get(change.requestId)
    if (count === undefined) continue
    const messages = change.messages ?? known.get(change.requestId) ?? []
    change.messages = [...messages.filter((one) => !one.startsWith(SHARED)), `${SHARED}${count}`]
  }
}
