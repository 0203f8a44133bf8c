/** A store or processor that is not PostgreSQL, as a place. */
import type { OpenedStore } from '../define.ts'
import type { SubjectRef } from '../eraser.ts'
import { PATIENCE, type Person, type Place } from './place.ts'

/** `subject`: the kind of subject. */
export function elsewhere(
  store: string,
  kind: string,
  subject: string,
  there: OpenedStore,
): Omit<Place, 'after' | 'channel'> {
  const refs = (persons: readonly Person[]): SubjectRef[] =>
    persons.map(({ keys, identifiers }) => ({ kind: subject, key: keys[0] ?? [], identifiers }))
  return {
    store,
    kind,
    concerns: ({ identifiers }) => there.concerns(identifiers),
    capabilities: there.capabilities,
    tells: there.tells,
    patience: PATIENCE,
    probe: async (signal) => there.probe(signal),
    locate: async (persons, signal) => (await there.locate(refs(persons), signal)).counts,
    erase: async (persons, page, signal) => {
      const requests = persons.map(({ requestId }) => requestId)
      return there.erase(refs(persons), { ...page, requests }, signal)
    },
    verify: async (persons, signal) => there.verify(refs(persons), signal),
  }
}
