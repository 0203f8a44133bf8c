/** The subjects' addresses, as SendGrid may spell them. */
import type { SubjectRef } from '../../eraser.ts'
import { isStray, valuesIn } from '../../../datamap/index.ts'
import type { SendgridPlan } from './plan.ts'

export interface Addresses {
  /** Unique, in the subjects' order; the lower-case spelling beside the given one, since lists differ in this. */
  all: string[]
  /** Values that no mail can be sent to, so that SendGrid can't know them. */
  unfit: number
}

/** Never an empty text: an empty path or list means everybody to some endpoints. */
const address = /^[^\s@,]+@[^\s@,]+$/

export function addressesOf(subjects: readonly SubjectRef[], plan: SendgridPlan): Addresses {
  const all = new Set<string>()
  let unfit = 0
  for (const subject of subjects) {
    for (const value of valuesIn(subject.identifiers, plan.email)) {
      const trimmed = value.trim()
      if (trimmed.length > 254 || !address.test(trimmed) || isStray(trimmed)) {
        unfit += 1
        continue
      }
      all.add(trimmed)
      all.add(trimmed.toLowerCase())
    }
  }
  return { all: [...all], unfit }
}
