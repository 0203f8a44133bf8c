/**
 * Slows the sweep down for the others: the first reason that holds is reported and waited for. Signals are read at most
 * once a second, on a connection of their own and beside the running batch: lock waiters are only there while a batch
 * holds its locks.
 */
import { monotonicMs, sleep } from '../../../base/clock/index.ts'
import type { Queryable } from '../../../base/db/index.ts'
import { blindSpots, readSignals, type Signals, type Window } from './signals.ts'

export interface ThrottleLimits {
  rows_per_second?: number | undefined
  replica_lag_seconds: number
  slot_retention_mb: number
  wal_mb_per_second?: number | undefined
  lock_waiters: number
  long_transaction_seconds: number
}

export interface Verdict {
  reason: string
  waitMs: number
}

export interface Throttle {
  /** What stops the next batch now; null: nothing. */
  verdict(): Verdict | null
  /** Rows that a batch touched: the rate ceiling counts them. */
  spent(rows: number): void
  /** Signals that this role can't see, each with what to grant. */
  readonly blind: readonly string[]
  close(): Promise<void>
}

const SAMPLE_MS = 1000

/** `db`: the target database, on a pool whose application name is that of the batches (its lock waiters are counted). */
export async function startThrottle(
  db: Queryable,
  limits: ThrottleLimits,
  window: Window | null,
): Promise<Throttle> {
  const blind = await blindSpots(db)
  let last = await sample(db, window, null)
  const rate = rateLimit(limits.rows_per_second)
  const stop = new AbortController()
  let failure: unknown = null
  const sampling = keepSampling()
  sampling.catch(() => undefined)

  async function keepSampling(): Promise<void> {
    while (!stop.signal.aborted) {
      await sleep(SAMPLE_MS, stop.signal).catch(() => undefined)
      if (stop.signal.aborted) return
      try {
        last = await sample(db, window, last)
        failure = null
      } catch (error) {
        failure = error
      }
    }
  }

  return {
    blind,
    verdict() {
      // Blind means careful: without fresh signals nothing goes on.
      if (failure !== null) return { reason: 'signals-unreadable', waitMs: SAMPLE_MS }
      return judge(last.signals, last.walRate, limits) ?? rate.verdict()
    },
    spent: (rows) => rate.spend(rows),
    async close() {
      stop.abort()
      await sampling
    },
  }
}

interface Sample {
  signals: Signals
  at: number
  /** MB a second since the sample before; null on the first. */
  walRate: number | null
}

async function sample(db: Queryable, window: Window | null, before: Sample | null): Promise<Sample> {
  const signals = await readSignals(db, window)
  const at = monotonicMs()
  const seconds = before === null ? 0 : (at - before.at) / 1000
  const walRate =
    before === null || seconds <= 0 || signals.walMb === null || before.signals.walMb === null
      ? null
      : (signals.walMb - before.signals.walMb) / seconds
  return { signals, at, walRate }
}

/** The order is the order of reporting: what only time mends first, then what hurts others most. */
export function judge(signals: Signals, walRate: number | null, limits: ThrottleLimits): Verdict | null {
  return (
    outsideWindow(signals) ??
    replicaLag(signals, limits) ??
    slotRetention(signals, limits) ??
    lockWaiters(signals, limits) ??
    longTransaction(signals, limits) ??
    walVolume(walRate, limits)
  )
}

function outsideWindow(signals: Signals): Verdict | null {
  return signals.windowOpensInSeconds > 0
    ? { reason: 'window', waitMs: Math.ceil(signals.windowOpensInSeconds * 1000) }
    : null
}

function replicaLag(signals: Signals, limits: ThrottleLimits): Verdict | null {
  return signals.replicaLagSeconds !== null && signals.replicaLagSeconds > limits.replica_lag_seconds
    ? { reason: 'replica-lag', waitMs: 2000 }
    : null
}

function slotRetention(signals: Signals, limits: ThrottleLimits): Verdict | null {
  return signals.slotMb !== null && signals.slotMb > limits.slot_retention_mb
    ? { reason: 'slot-retention', waitMs: 10_000 }
    : null
}

function lockWaiters(signals: Signals, limits: ThrottleLimits): Verdict | null {
  return signals.lockWaiters >= limits.lock_waiters ? { reason: 'lock-waiters', waitMs: 1000 } : null
}

function longTransaction(signals: Signals, limits: ThrottleLimits): Verdict | null {
  return signals.longestTransactionSeconds !== null &&
    signals.longestTransactionSeconds > limits.long_transaction_seconds
    ? { reason: 'long-transaction', waitMs: 10_000 }
    : null
}

function walVolume(walRate: number | null, limits: ThrottleLimits): Verdict | null {
  return limits.wal_mb_per_second !== undefined && walRate !== null && walRate > limits.wal_mb_per_second
    ? { reason: 'wal-rate', waitMs: 1000 }
    : null
}

/** Rows are paid for after a batch: the next one starts when they are paid off. A pause earns no credit. */
export function rateLimit(perSecond: number | undefined, now: () => number = monotonicMs) {
  let freeAt = 0
  return {
    spend(rows: number) {
      if (perSecond !== undefined) freeAt = Math.max(freeAt, now()) + (rows / perSecond) * 1000
    },
    verdict(): Verdict | null {
      const waitMs = Math.ceil(freeAt - now())
      return waitMs > 0 ? { reason: 'rate', waitMs } : null
    },
  }
}
