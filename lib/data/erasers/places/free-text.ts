/** The own store's texts as a place that is only searched. */
import type { SubjectEntry } from '../../datamap/index.ts'
import { freeTextColumns, searchable, searchFreeText } from '../../rows/index.ts'
import type { PlaceTools } from './open.ts'
import type { Person, Place } from './place.ts'

/** The own store's texts, searched for identifiers that lead to one person once their rows are gone; hits go to a person. */
export function freeText(subject: SubjectEntry, { map, target }: PlaceTools): Place[] {
  const columns = freeTextColumns(map, subject.store)
  const unique = Object.entries(subject.identifiers).flatMap(([name, entry]) => (entry.unique ? [name] : []))
  if (columns.length === 0 || unique.length === 0) return []
  const valuesOf = ({ identifiers }: Person) => unique.flatMap((name) => [...(identifiers[name] ?? [])])
  return [
    {
      store: `${subject.store}:free-text`,
      kind: 'search',
      after: [subject.store],
      channel: false,
      concerns: (person) => searchable(valuesOf(person)).length > 0,
      capabilities: {
        bulk: 1000,
        ratePerMinute: null,
        reversible: true,
        verifiable: true,
        sideEffects: ['texts of others are searched, not changed'],
        irreversibleAfter: 'never: nothing is erased here',
        settleSeconds: 0,
        follows: null,
      },
      tells: false,
      patience: 1,
      probe: () => Promise.resolve(),
      locate: () => Promise.resolve({}),
      erase: () => Promise.resolve({ removed: {}, retained: [], pending: [], messages: [], more: false }),
      verify: async (persons, signal) =>
        searchFreeText(await target(subject.store), columns, persons.map(valuesOf), signal),
    },
  ]
}
