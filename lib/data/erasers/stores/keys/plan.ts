/** Which keys belong to a subject: what each place's template stands for, once it is sure that it is this subject's alone. */
import { LetheError } from '../../../../base/errors/index.ts'
import type { SubjectRef, Identified } from '../../eraser.ts'
import { expand, namesIn } from '../../../datamap/index.ts'
import type { KeyVault } from './vault.ts'

/** `{ name: 'records', key: 'patient-{id}' }`: the key's name as the vault spells it. */
export interface KeyPlace {
  name: string
  key: string
  /** OpenBao and Vault only, and needed there: `transit` has keys, `kv` (version 2) secrets. */
  engine?: 'transit' | 'kv'
  /** Where that engine is mounted; `transit` or `secret` by default. */
  mount?: string
}

export interface KeysPlan extends Identified {
  places: readonly KeyPlace[]
}

/** One key of one subject. */
export interface Target {
  /** The subject's position in the call. */
  subject: number
  place: KeyPlace
  key: string
}

export interface Targets {
  targets: readonly Target[]
  /** Positions of subjects with a value that is no part of a key's name: nothing can be said of them. */
  unfit: ReadonlySet<number>
}

/** Throws E_CONFIG for a place that the vault can't hold, or whose key is everybody's. */
export function requirePlaces(places: readonly KeyPlace[], vault: KeyVault): void {
  for (const place of places) {
    const fault =
      namesIn(place.key).length === 0
        ? 'it holds no {name}: everybody would have the same key'
        : vault.faultOf(place)
    if (fault !== null)
      throw new LetheError('E_CONFIG', {
        message: `The key of place ${place.name} in store ${vault.store} can't be used: ${fault}.`,
        next: 'Write the name that each subject has a key under, as in patient-{id}.',
        facts: { store: vault.store, place: place.name },
      })
  }
}

export function targetsOf(plan: KeysPlan, subjects: readonly SubjectRef[], vault: KeyVault): Targets {
  const targets: Target[] = []
  const unfit = new Set<number>()
  for (const [subject, ref] of subjects.entries()) {
    try {
      const identifiers = plan.identifiers(ref)
      for (const place of plan.places)
        for (const key of expand(place.key, identifiers)) {
          if (vault.holds(place, key)) targets.push({ subject, place, key })
          else unfit.add(subject)
        }
    } catch (error) {
      if (!(error instanceof LetheError) || error.code !== 'E_IDENTIFIER') throw error
      unfit.add(subject)
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

/** The same key, whatever place it is reached by. */
export function nameOf({ place: { engine, mount }, key }: Target): string {
  return JSON.stringify([engine, mount, key])
}

/** A slash in a value would lead into another folder of the vault. */
export function sameDepth(template: string, key: string): boolean {
  return template.split('/').length === key.split('/').length
}
