/**
 * A small deterministic generator (mulberry32) for made-up data: the same seed gives the same rows on every machine.
 * Never for secrets.
 */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** An integer in [0, 2³²). */
  uint(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** A number in [0, 1). */
  fraction(): number {
    return this.uint() / 2 ** 32
  }

  /** An integer in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit)
  }

  chance(probability: number): boolean {
    return this.fraction() < probability
  }

  pick(list: readonly string[]): string {
    return list[this.below(list.length)] ?? ''
  }

  /** How many rows of a kind somebody has: clustered, since most people have none and some have several. */
  count(mean: number): number {
    if (mean >= 1) return this.below(Math.round(2 * mean) + 1)
    return this.chance(mean / 2) ? 1 + this.below(3) : 0
  }

  /** `words` times four random bytes as hexadecimal digits. */
  hex(words: number): string {
    let text = ''
    for (let word = 0; word < words; word++) text += this.uint().toString(16).padStart(8, '0')
    return text
  }
}
