/** What a call removed, and what it couldn't: by place, never by key. */
import { Counts } from '../../../../base/counts/index.ts'
import { storeError, type Failure } from './failure.ts'
import type { Targets } from './targets.ts'

export class Tally {
  readonly counts = new Counts()
  readonly #refused = new Counts()
  readonly #refusedItems = new Set<string>()
  #lost: Failure | null = null
  #passing: Failure | null = null

  /** `item` only tells one from another: SCAN names a key twice. */
  fail(place: string, item: string, failure: Failure): void {
    if (failure.passing) {
      this.#passing = failure
      return
    }
    if (this.#refusedItems.has(item)) return
    this.#refusedItems.add(item)
    this.#refused.add(`${place} left alone: ${failure.word}`)
  }

  lost(failure: Failure | null): void {
    if (failure !== null) this.#lost = failure
  }

  messages(targets: Targets): string[] {
    const unusable = [...targets.unusable].map(
      ([place, { size }]) => `${size} of ${place} left alone: an identifier can't be used there.`,
    )
    return [...this.#refused.sentences(), ...unusable]
  }

  /** Throws where a node, or an item for the moment, was out of reach; items refused for good stand in the messages. */
  throwUndone(store: string): void {
    const failure = this.#lost ?? this.#passing
    if (failure !== null) throw storeError(store, 'do everything', failure, 'What was removed stays removed.')
  }
}
