/** What the tests of every eraser ask it with. */
import type { EraseRequest, SubjectRef } from '../../../lib/data/erasers/index.ts'
import type { Pace } from '../../../lib/base/calls/index.ts'

export const never = new AbortController().signal

export const person = (id: string | number): SubjectRef => ({ kind: 'person', key: [String(id)] })

/** From 1 on. */
export const people = (count: number) => Array.from({ length: count }, (_, place) => person(place + 1))

export const idOf = (subject: SubjectRef): string => subject.key[0] ?? ''

export const request = (limit = 1000, jobs?: readonly string[]): EraseRequest => ({
  runId: '00000000-0000-0000-0000-000000000001',
  fence: 1n,
  limit,
  ...(jobs === undefined ? {} : { jobs }),
})

/** A vendor without a limit; `rests` has what it asked for. */
export function freePace(): Pace & { rests: number[] } {
  const rests: number[] = []
  return {
    rests,
    turn: async (signal) => signal.throwIfAborted(),
    rest: async (seconds) => {
      rests.push(seconds)
    },
  }
}
