/** What the eraser asks of whatever keeps the keys, and how many keys are asked about at once. */
import { LetheError } from '../../../../base/errors/index.ts'
import type { Capabilities } from '../../eraser.ts'
import type { KeyPlace, Target } from './target.ts'

/** What the backend says of one key. */
export type Found =
  | { is: 'absent' }
  | { is: 'present' }
  /** Doomed: it can't be used any more, and is destroyed at `until` (ISO). */
  | { is: 'waiting'; ground: string; until: string }
  | { is: 'failed'; error: LetheError }

export interface KeyBackend {
  store: string
  capabilities: Capabilities
  /** Why no key can be found by this place's template; null where it can. */
  faultOf(place: KeyPlace): string | null
  /** Whether the backend could hold a key of this name. */
  holds(place: KeyPlace, key: string): boolean
  /** Reads only; throws where a missing key couldn't be told from a missing right or a wrong address. */
  ready(places: readonly KeyPlace[], signal: AbortSignal): Promise<void>
  /** Of each key, in their order. */
  read(targets: readonly Target[], signal: AbortSignal): Promise<Found[]>
  /** Of keys that were present a moment ago: `absent` or `waiting` where the backend said so. May be called twice. */
  destroy(targets: readonly Target[], signal: AbortSignal): Promise<Found[]>
}

const LANES = 8
/** Keys in a row that a backend may fail on before it counts as away. */
const FAILURES = 5

/** One call a key, eight at a time. What one key's call throws is that key's result; the signal's reason is thrown. */
export async function eachKey(
  targets: readonly Target[],
  signal: AbortSignal,
  ask: (target: Target) => Promise<Found>,
): Promise<Found[]> {
  const found: Found[] = []
  let next = 0
  let failures = 0
  let away: LetheError | null = null
  const lane = async () => {
    for (let turn = next++; turn < targets.length; turn = next++) {
      const target = targets[turn]
      if (target === undefined) return
      signal.throwIfAborted()
      try {
        found[turn] = away === null ? await ask(target) : { is: 'failed', error: away }
        failures = 0
      } catch (error) {
        if (!(error instanceof LetheError)) throw error
        found[turn] = { is: 'failed', error }
        if (error.retryable && ++failures >= FAILURES) away = error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(LANES, targets.length) }, lane))
  return found
}
