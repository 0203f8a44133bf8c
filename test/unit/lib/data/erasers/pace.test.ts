import { describe, expect, test } from 'vitest'
import { batchSize, type Signals } from '../../../../../lib/data/rows/index.ts'
import { takeFitting } from '../../../../../lib/data/rows/population/sizing.ts'
import { judge, rateLimit } from '../../../../../lib/data/rows/population/throttle.ts'

describe('the size of a batch', () => {
  test('starts small, at most doubles, and ends near the target', () => {
    const size = batchSize({ targetMs: 250, maxRows: 20_000 })
    const sizes: number[] = []
    for (let batch = 0; batch < 12; batch += 1) {
      sizes.push(size.rows)
      size.learn(size.rows, size.rows / 40)
    }
    expect(sizes.slice(0, 4)).toEqual([500, 1000, 2000, 4000])
    expect(sizes.at(-1)).toBe(9000)
  })

  test('shrinks at once when a batch was slow, and never below a hundred rows', () => {
    const size = batchSize({ targetMs: 250, maxRows: 20_000 })
    size.learn(500, 1000)
    expect(size.rows).toBe(113)
    size.learn(113, 60_000)
    expect(size.rows).toBe(100)
  })

  test('never passes the maximum, and learns nothing from a batch that did almost nothing', () => {
    const size = batchSize({ targetMs: 250, maxRows: 700 })
    size.learn(500, 1)
    expect(size.rows).toBe(700)
    size.learn(3, 1)
    expect(size.rows).toBe(700)
    size.learn(0, 0)
    expect(size.rows).toBe(700)
  })

  test('takes roots by their weights, at least one', () => {
    const roots = [5n, 0n, 4n, 90n].map((weight) => ({ weight }))
    expect(takeFitting(roots, 10)).toHaveLength(3)
    expect(takeFitting(roots.toReversed(), 10)).toHaveLength(1)
    expect(takeFitting([], 10)).toEqual([])
  })
})

describe('the throttle', () => {
  const calm: Signals = {
    windowOpensInSeconds: 0,
    replicaLagSeconds: null,
    slotMb: null,
    walMb: 0,
    lockWaiters: 0,
    longestTransactionSeconds: null,
  }
  const limits = {
    replica_lag_seconds: 10,
    slot_retention_mb: 100,
    wal_mb_per_second: 50,
    lock_waiters: 1,
    long_transaction_seconds: 300,
  }

  test('lets a calm database be worked on', () => {
    expect(judge(calm, 10, limits)).toBeNull()
    expect(judge({ ...calm, replicaLagSeconds: 10, slotMb: 100 }, null, limits)).toBeNull()
  })

  test.each([
    ['window', { windowOpensInSeconds: 60 }, 0],
    ['replica-lag', { replicaLagSeconds: 11 }, 0],
    ['slot-retention', { slotMb: 101 }, 0],
    ['lock-waiters', { lockWaiters: 1 }, 0],
    ['long-transaction', { longestTransactionSeconds: 301 }, 0],
    ['wal-rate', {}, 51],
  ])('stops for %s', (reason, change, walRate) => {
    expect(judge({ ...calm, ...change }, walRate, limits)).toMatchObject({ reason })
  })

  test('reports the first of several reasons, and waits for a window as long as it is closed', () => {
    const verdict = judge({ ...calm, windowOpensInSeconds: 90.5, lockWaiters: 9 }, 99, limits)
    expect(verdict).toEqual({ reason: 'window', waitMs: 90_500 })
  })

  test('pays for rows after they went: a pause earns no credit', () => {
    let now = 0
    const rate = rateLimit(1000, () => now)
    rate.spend(500)
    expect(rate.verdict()).toEqual({ reason: 'rate', waitMs: 500 })
    now = 10_000
    expect(rate.verdict()).toBeNull()
    rate.spend(200)
    expect(rate.verdict()).toEqual({ reason: 'rate', waitMs: 200 })
    const free = rateLimit(undefined, () => now)
    free.spend(1e9)
    expect(free.verdict()).toBeNull()
  })
})
