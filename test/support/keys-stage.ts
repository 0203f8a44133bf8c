/** What the tests of the keys' erasers share. */
import type { EraseRequest, Identifiers, Pace, SubjectRef } from '../../lib/erasers/index.ts'
import type { KeyPlace, KeysPlan } from '../../lib/erasers/stores/keys/plan.ts'

export const never = new AbortController().signal

export const request = (limit = 1000): EraseRequest => ({
  runId: '00000000-0000-0000-0000-000000000001',
  fence: 1n,
  limit,
})

export const person = (id: string | number): SubjectRef => ({ kind: 'person', key: [String(id)] })

export const people = (count: number) => Array.from({ length: count }, (_, place) => person(place + 1))

export const idOf = (subject: SubjectRef): string => subject.key[0] ?? ''

/** Never waits; `rests` has what the vendor asked for. */
export function freePace(): Pace & { rests: number[] } {
  const rests: number[] = []
  return {
    rests,
    turn: () => Promise.resolve(),
    rest(seconds) {
      rests.push(seconds)
      return Promise.resolve()
    },
  }
}

/** A person's `id` is its key. */
export function keysPlan(
  places: readonly KeyPlace[],
  more: (id: string) => Identifiers = () => ({}),
): KeysPlan {
  return { places, identifiers: (subject) => ({ id: [idOf(subject)], ...more(idOf(subject)) }) }
}
