/** What the tests of the keys' erasers share. */
import type { Identifiers } from '../../../lib/data/datamap/index.ts'
import type { KeyPlace } from '../../../lib/data/erasers/stores/keys/target.ts'
import type { KeysPlan } from '../../../lib/data/erasers/stores/keys/plan.ts'
import { idOf, type Known } from './erasing.ts'

/** A person's `id` is its key. */
export function keysPlan(
  places: readonly KeyPlace[],
  more: (id: string) => Identifiers = () => ({}),
): Known<KeysPlan> {
  return { places, identifiers: (subject) => ({ id: [idOf(subject)], ...more(idOf(subject)) }) }
}
