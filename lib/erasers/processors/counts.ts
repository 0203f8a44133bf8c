/** Numbers by name, and how many there are in all. */
export class Counts {
  readonly #counts = new Map<string, number>()
  total = 0

  add(name: string, count = 1): void {
    if (count === 0) return
    this.total += count
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + count)
  }

  plain(): Record<string, number> {
    return Object.fromEntries(this.#counts)
  }

  /** `3 of Contact refused: DELETE_FAILED.` for a count of 3 by the name of `Contact refused: DELETE_FAILED`. */
  sentences(): string[] {
    return [...this.#counts].map(([name, count]) => `${count} of ${name}.`)
  }
}
