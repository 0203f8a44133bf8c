/** Data that no interface reaches: nothing is called; what is there stays until the date that its owner answers for. */
import { wallClock } from '../../../../base/clock/index.ts'
import type { Eraser, Retained } from '../../eraser.ts'

export interface DeclaredOptions {
  store: string
  owner: string
  /** What is there, in words. */
  holds: string
  /** "30 days", "6 months": after that nothing of a subject is there any more. */
  goneAfter: string
}

export function declaredEraser({ store, owner, holds, goneAfter }: DeclaredOptions): Eraser<unknown> {
  const kept = (): Retained => ({
    place: holds,
    count: 1,
    ground: `declared by ${owner}: gone ${goneAfter} after the request`,
    until: after(wallClock(), goneAfter).toISOString(),
  })
  return {
    store,
    capabilities: {
      bulk: 1000,
      ratePerMinute: null,
      reversible: true,
      verifiable: true,
      sideEffects: [`nothing is called: ${owner} answers for it`],
      irreversibleAfter: goneAfter,
      settleSeconds: 0,
      follows: null,
    },
    probe: () => Promise.resolve(),
    locate: () => Promise.resolve({ counts: {} }),
    erase: (_subjects, _plan, _page, signal) => {
      signal.throwIfAborted()
      return Promise.resolve({ removed: {}, retained: [kept()], pending: [], messages: [], more: false })
    },
    verify: (subjects) =>
      Promise.resolve(subjects.map(() => ({ absent: true, left: {}, retained: [kept()] }))),
  }
}

/** A month's last day stays its last: 31 January and a month is 28 February. */
function after(from: Date, period: string): Date {
  const [count = '0', unit = 'days'] = period.split(' ')
  const at = new Date(from)
  if (unit.startsWith('day')) at.setUTCDate(at.getUTCDate() + Number(count))
  else {
    const day = at.getUTCDate()
    at.setUTCDate(1)
    at.setUTCMonth(at.getUTCMonth() + Number(count) * (unit.startsWith('year') ? 12 : 1))
    const last = new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1, 0)).getUTCDate()
    at.setUTCDate(Math.min(day, last))
  }
  return at
}
