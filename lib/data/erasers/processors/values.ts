/** The values that a vendor is asked by, for many subjects at once: which subjects each stands for, and who can't be looked for. */
import { LetheError } from '../../../base/errors/index.ts'
import type { SubjectRef } from '../eraser.ts'
import { expandFit } from '../../datamap/index.ts'

export interface Values {
  /** Places in the list of subjects, by value: two people may share an address. */
  readonly subjectsOf: ReadonlyMap<string, readonly number[]>
  /** Subjects with a value that can't be asked by. */
  readonly astray: ReadonlySet<number>
}

/** `name` is the identifier's; none: no values. `spell` gives a value as the vendor spells it, null where it can't be one of the vendor's. */
export function valuesOf(
  subjects: readonly SubjectRef[],
  name: string | undefined,
  spell: (value: string) => string | null = (value) => value,
): Values {
  const subjectsOf = new Map<string, number[]>()
  const astray = new Set<number>()
  if (name === undefined) return { subjectsOf, astray }
  for (const [place, subject] of subjects.entries()) {
    for (const value of spelled(subject, name, spell)) {
      if (value === null) astray.add(place)
      else subjectsOf.set(value, [...(subjectsOf.get(value) ?? []), place])
    }
  }
  return { subjectsOf, astray }
}

/** Whoever can't be looked for is not absent. Throws E_IDENTIFIER. */
export function refuseAstray(store: string, count: number): void {
  if (count > 0)
    throw new LetheError('E_IDENTIFIER', { message: sentenceOf(store, count), facts: { store, count } })
}

export function sentenceOf(store: string, count: number): string {
  return `${count} of the subjects could not be looked for in ${store}: an identifier is empty, holds a control character or is no identifier of this kind.`
}

function spelled(
  subject: SubjectRef,
  name: string,
  spell: (value: string) => string | null,
): ReadonlySet<string | null> {
  const { texts, stray } = expandFit(`{${name}}`, subject.identifiers)
  return new Set([...texts.map(spell), ...(stray === null ? [] : [null])])
}
