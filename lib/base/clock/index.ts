/**
 * The only source of time and randomness. Ages of data are measured by the databases' clocks, never by this one:
 * what this clock says is used for durations, time-outs and identifiers only.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

/** Milliseconds since an arbitrary start; never goes backwards. For durations and deadlines. */
export function monotonicMs(): number {
  return performance.now()
}

/** The worker's own wall clock (UTC). For log lines and file names, and to doubt another clock; never for a decision about data. */
export function wallClock(): Date {
  return new Date()
}

/** Resolves after `ms` milliseconds; rejects with the signal's reason when it aborts first. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, signal ? { signal } : {})
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
}

/** A random UUID (version 4). */
export function newId(): string {
  return randomUUID()
}

/** `size` random bytes. */
export function randomSecret(size: number): Buffer {
  return randomBytes(size)
}

/** A number in [0, 1) for jitter. */
export function randomFraction(): number {
  return randomBytes(4).readUInt32BE() / 2 ** 32
}
