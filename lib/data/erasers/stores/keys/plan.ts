/** Which keys belong to a subject: what each place's template stands for, once it is sure that it is this subject's alone. */
import { LetheError } from '../../../../base/errors/index.ts'
import type { SubjectRef } from '../../eraser.ts'
import { expandFit, namesIn } from '../../../datamap/index.ts'
import type { KeyBackend } from './backend.ts'
import { nameOf, type KeyPlace, type Target } from './target.ts'

export interface KeysPlan {
  places: readonly KeyPlace[]
}

export interface Targets {
  targets: readonly Target[]
  /** Positions of subjects with a value that is no part of a key's name: nothing can be said of them. */
  unfit: ReadonlySet<number>
}

/** Throws E_CONFIG for a place that the backend can't hold, or whose key is everybody's. */
export function requirePlaces(places: readonly KeyPlace[], backend: KeyBackend): void {
  for (const place of places) {
    const fault =
      namesIn(place.key).length === 0
        ? 'it holds no {name}: everybody would have the same key'
        : backend.faultOf(place)
    if (fault !== null)
      throw new LetheError('E_CONFIG', {
        message: `The key of place ${place.name} in store ${backend.store} can't be used: ${fault}.`,
        next: 'Write the name that each subject has a key under, as in patient-{id}.',
        facts: { store: backend.store, place: place.name },
      })
  }
}

export function targetsOf(plan: KeysPlan, subjects: readonly SubjectRef[], backend: KeyBackend): Targets {
  const targets: Target[] = []
  const unfit = new Set<number>()
  for (const [subject, ref] of subjects.entries()) {
    for (const place of plan.places) {
      const { texts, stray } = expandFit(place.key, ref.identifiers)
      if (stray !== null) unfit.add(subject)
      for (const key of texts) {
        if (backend.holds(place, key)) targets.push({ subject, place, key })
        else unfit.add(subject)
      }
    }
  }
  return { targets, unfit }
}

/** Keys that two subjects of a call claim: with one, the other's data would go. */
export function sharedKeys(targets: readonly Target[], subjects: readonly SubjectRef[]): Set<string> {
  const owners = new Map<string, string>()
  const shared = new Set<string>()
  for (const target of targets) {
    const name = nameOf(target)
    const owner = JSON.stringify(subjects[target.subject])
    if ((owners.get(name) ?? owner) !== owner) shared.add(name)
    owners.set(name, owner)
  }
  return shared
}
