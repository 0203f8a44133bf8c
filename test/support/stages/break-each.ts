/** Work through a proxy, broken at its first message, then at its second, and so on until it gets through unbroken. */
import type { FaultProxy } from '../servers/proxy.ts'

export interface Broken {
  /** The message it was broken at, from 1. */
  at: number
  error: unknown
}

/** `work` begins anew each time; `after` sees what a break has left, with the way open again. */
export async function breakEach(
  proxy: FaultProxy,
  fault: 'cut' | 'blackhole',
  work: () => Promise<unknown>,
  after: (broken: Broken) => Promise<void>,
): Promise<number> {
  for (let at = 1; ; at++) {
    let reached = false
    proxy.counter.count = 0
    proxy.counter.onMessage = (n) => {
      if (n !== at) return true
      reached = true
      if (fault === 'blackhole') proxy.blackhole()
      return fault !== 'cut'
    }
    const error = await work().then(
      () => null,
      (error: unknown) => error,
    )
    proxy.counter.onMessage = () => true
    proxy.heal()
    if (!reached) return at - 1
    await after({ at, error })
  }
}
