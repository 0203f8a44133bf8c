/** Order of steps under "this one before that one"; and where a circle remains, which steps are in it. */

export interface Precedence {
  before: string
  after: string
}

/**
 * Kahn's algorithm; of the steps that could come next, the first in `steps` does, so the order is the same every time.
 * `circle`: one smallest circle found in what is left, empty when all could be ordered.
 */
export function order(
  steps: readonly string[],
  precedences: readonly Precedence[],
): { sorted: string[]; circle: string[] } {
  const known = new Set(steps)
  const wait = new Map(steps.map((step) => [step, new Set<string>()]))
  for (const { before, after } of precedences)
    if (before !== after && known.has(before)) wait.get(after)?.add(before)
  const sorted: string[] = []
  while (wait.size > 0) {
    const next = [...wait.keys()].find((step) => wait.get(step)?.size === 0)
    if (next === undefined) return { sorted, circle: smallestCircle(wait) }
    sorted.push(next)
    wait.delete(next)
    for (const befores of wait.values()) befores.delete(next)
  }
  return { sorted, circle: [] }
}

/** Breadth-first from every step back to itself; what is left after Kahn is small. */
function smallestCircle(wait: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  let best: string[] = []
  for (const start of wait.keys()) {
    const paths: string[][] = [[start]]
    const seen = new Set<string>()
    for (let path = paths.shift(); path !== undefined; path = paths.shift()) {
      const last = path.at(-1) ?? start
      if (best.length > 0 && path.length >= best.length) break
      const befores = [...(wait.get(last) ?? [])]
      if (befores.includes(start)) {
        best = path
        break
      }
      for (const before of befores)
        if (wait.has(before) && !seen.has(before)) {
          seen.add(before)
          paths.push([...path, before])
        }
    }
  }
  // Read along the arrows: each step must come before the next.
  return best.toReversed()
}
