/** How many rows the next batch may have, so that it takes about the target time. */

const FIRST_ROWS = 500
const LEAST_ROWS = 100
/** A growing batch at most doubles: one lucky small batch says little about a large one. Shrinking goes at once. */
const GROWTH = 2
/** Aim a little lower than the target, since the next batch is only as fast as the last one was. */
const MARGIN = 0.9

export interface BatchSize {
  /** Rows. */
  readonly rows: number
  /** What the last batch did: rows, and the time it held locks (ms). */
  learn(rows: number, lockMs: number): void
}

export function batchSize(limits: { targetMs: number; maxRows: number }): BatchSize {
  let rows = Math.min(FIRST_ROWS, limits.maxRows)
  return {
    get rows() {
      return rows
    },
    learn(done, lockMs) {
      // A batch that found almost nothing to do says nothing about rows.
      if (done === 0 || lockMs <= 0) return
      const fitting = (done / lockMs) * limits.targetMs * MARGIN
      const short = done < rows / 2 && lockMs < limits.targetMs
      const next = short ? rows : Math.min(fitting, rows * GROWTH)
      rows = Math.round(Math.min(limits.maxRows, Math.max(LEAST_ROWS, next)))
    },
  }
}

/** The longest prefix that fits; at least one root. A weight of 0 was never counted and stands for one row. */
export function takeFitting<T extends { weight: bigint }>(roots: readonly T[], rows: number): T[] {
  let sum = 0
  const taken: T[] = []
  for (const root of roots) {
    sum += Math.max(1, Number(root.weight))
    if (taken.length > 0 && sum > rows) break
    taken.push(root)
  }
  return taken
}
