/** What the tests of every eraser ask it with. */
import type { Eraser, EraseRequest, SubjectRef } from '../../../lib/data/erasers/index.ts'
import type { Identifiers } from '../../../lib/data/datamap/index.ts'
import type { Pace } from '../../../lib/base/calls/index.ts'

export const never = new AbortController().signal

export const person = (id: string | number): SubjectRef => ({
  kind: 'person',
  key: [String(id)],
  identifiers: {},
})

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

/** A plan of a test, with what leads to each subject. */
export type Known<P> = P & { identifiers(subject: SubjectRef): Identifiers }

interface Closing {
  close(): void
}

/** Gives each subject what the test's plan knows of it: tests name subjects by their key alone. */
export function knowing<P>(eraser: Eraser<P> & Closing): Eraser<Known<P>> & Closing
export function knowing<P>(eraser: Eraser<P>): Eraser<Known<P>>
export function knowing<P>(eraser: Eraser<P>): Eraser<Known<P>> {
  const known = (subjects: readonly SubjectRef[], plan: Known<P>): SubjectRef[] =>
    subjects.map((subject) => ({ ...subject, identifiers: plan.identifiers(subject) }))
  return {
    ...eraser,
    probe: async (plan, signal) => eraser.probe(plan, signal),
    locate: async (subjects, plan, signal) => eraser.locate(known(subjects, plan), plan, signal),
    erase: async (subjects, plan, page, signal) => eraser.erase(known(subjects, plan), plan, page, signal),
    verify: async (subjects, plan, signal) => eraser.verify(known(subjects, plan), plan, signal),
  }
}
