/** Numbers by name: rows by table, items by place, refusals by reason. */

/** Counts as they come; in the order in which the names came first. */
export class Counts {
  readonly #counts = new Map<string, number>()
  total = 0

  /** Nothing is noted of a name that there is none of. */
  add(name: string, count = 1): void {
    if (count <= 0) return
    this.total += count
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + count)
  }

  addAll(counts: Readonly<Record<string, number>> = {}): void {
    for (const [name, count] of Object.entries(counts)) this.add(name, count)
  }

  plain(): Record<string, number> {
    return Object.fromEntries(this.#counts)
  }

  /** `3 of Contact refused: DELETE_FAILED.` for a count of 3 by the name of `Contact refused: DELETE_FAILED`. */
  sentences(say = (count: number, name: string) => `${count} of ${name}.`): string[] {
    return [...this.#counts].map(([name, count]) => say(count, name))
  }
}

/** How often each name comes. */
export function tally(names: Iterable<string>): Record<string, number> {
  const counts = new Counts()
  for (const name of names) counts.add(name)
  return counts.plain()
}

/** Name by name. */
export function summed(all: Iterable<Readonly<Record<string, number>>>): Record<string, number> {
  const sums = new Map<string, number>()
  for (const counts of all)
    for (const [name, count] of Object.entries(counts)) sums.set(name, (sums.get(name) ?? 0) + count)
  return Object.fromEntries(sums)
}

export function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}
