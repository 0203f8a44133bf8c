/** Which documents belong to a subject: those whose field has one of its values, to the letter. */
import { LetheError } from '../../../../base/errors/index.ts'
import type { SubjectRef } from '../../eraser.ts'
import { expandFit, namesIn } from '../../../datamap/index.ts'

/** `{ name: 'visits', index: 'visits', field: 'patient_id', value: '{id}' }` */
export interface OpensearchPlace {
  name: string
  /** One index, alias or data stream: no pattern, no list. */
  index: string
  /** Of type keyword, indexed as it is. */
  field: string
  value: string
}

export interface OpensearchPlan {
  places: readonly OpensearchPlace[]
}

/** A place as the server has it. */
export interface Field {
  place: OpensearchPlace
  /** The indices behind its name. */
  indices: readonly string[]
  /** A longer value is stored, but can't be searched for (`ignore_above`), in UTF-16 units. */
  longest: number
}

/** What to look for in one place. */
export interface Wanted {
  field: Field
  /** Values by the subject's position in the call. */
  values: ReadonlyMap<number, readonly string[]>
}

export interface Search {
  wanted: readonly Wanted[]
  /** Positions of subjects with a value that can't be searched for: nothing can be said of them. */
  unfit: ReadonlySet<number>
}

/** Throws E_CONFIG for a place that could reach more than one subject's documents. */
export function requirePlaces(plan: OpensearchPlan, store: string): void {
  for (const { name, index, field, value } of plan.places) {
    const fault = !/^[a-z0-9.][a-z0-9._-]*$/.test(index)
      ? 'its index is not the name of one index, alias or data stream'
      : !/^[^*?,\s]+$/.test(field)
        ? 'its field is not the name of one field'
        : namesIn(value).length === 0
          ? 'its value holds no {name}: everybody would have the same one'
          : null
    if (fault !== null)
      throw new LetheError('E_CONFIG', {
        message: `Place ${name} of store ${store} can't be used: ${fault}.`,
        facts: { store, place: name },
      })
  }
}

export function searchOf(
  plan: OpensearchPlan,
  subjects: readonly SubjectRef[],
  fields: readonly Field[],
): Search {
  const wanted = fields.map((field) => ({ field, values: new Map<number, readonly string[]>() }))
  const unfit = new Set<number>()
  for (const [subject, ref] of subjects.entries()) {
    for (const { field, values } of wanted) {
      const { texts, stray } = expandFit(field.place.value, ref.identifiers)
      const known = texts.filter((text) => text.length <= field.longest)
      if (stray !== null || known.length < texts.length) unfit.add(subject)
      if (known.length > 0) values.set(subject, known)
    }
  }
  return { wanted, unfit }
}
