/** What a call saw, by place and by subject: sums for a page of `erase`, and one finding a subject for `verify`. */
import { Counts } from '../../base/counts/index.ts'
import type { LetheError } from '../../base/errors/index.ts'
import type { Retained, Verification } from './eraser.ts'

/** What stays, summed where place, ground and end are the same. */
export class Grounds {
  readonly #all = new Map<string, Retained>()

  add(place: string, { ground, until }: Pick<Retained, 'ground' | 'until'>): void {
    const name = JSON.stringify([place, ground, until])
    this.#all.set(name, { place, ground, until, count: (this.#all.get(name)?.count ?? 0) + 1 })
  }

  plain(): Retained[] {
    return [...this.#all].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, retained]) => retained)
  }
}

interface Finding {
  left: Counts
  kept: Grounds
  unseen: LetheError | null
}

/** Of so many subjects, named by their number in the call, from 0. */
export class Findings {
  readonly #all: Finding[]

  constructor(subjects: number) {
    this.#all = Array.from({ length: subjects }, () => ({
      left: new Counts(),
      kept: new Grounds(),
      unseen: null,
    }))
  }

  left(subject: number, place: string, count = 1): void {
    this.#all[subject]?.left.add(place, count)
  }

  keep(subject: number, place: string, kept: Pick<Retained, 'ground' | 'until'>): void {
    this.#all[subject]?.kept.add(place, kept)
  }

  /** A part of the subject could not be looked at, and won't be by asking again: an identifier astray, a right missing. */
  unseen(subject: number, error: LetheError): void {
    const finding = this.#all[subject]
    if (finding !== undefined) finding.unseen ??= error
  }

  /** Throws where anybody could not be looked at: a count would leave them out. */
  requireSeen(): void {
    const error = this.#all.find(({ unseen }) => unseen !== null)?.unseen
    if (error !== undefined && error !== null) throw error
  }

  /**
   * Whoever could not be looked at is not absent, which holds up nobody else. Where that is so of everybody asked for,
   * nothing was learned: the first one's error is thrown, and says why.
   */
  each(): Verification[] {
    if (this.#all.every(({ unseen }) => unseen !== null)) this.requireSeen()
    return this.#all.map(({ left, kept, unseen }) => ({
      absent: left.total === 0 && unseen === null,
      left: left.plain(),
      retained: kept.plain(),
    }))
  }
}
