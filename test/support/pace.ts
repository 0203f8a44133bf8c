/** A pace without a limit, that remembers how long it was told to rest. */
import type { Pace } from '../../lib/erasers/index.ts'

export function openPace(): Pace & { rests: number[] } {
  const rests: number[] = []
  return {
    rests,
    turn: async (signal) => signal.throwIfAborted(),
    rest: async (seconds) => {
      rests.push(seconds)
    },
  }
}
