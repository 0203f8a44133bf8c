/** One call of a vendor: in its turn, with a deadline, tried again where that can help, failing in our own words. */
import { randomFraction, sleep, wallClock } from '../clock/index.ts'
import { LetheError } from '../errors/index.ts'
import type { Pace } from './pace.ts'

export interface Side {
  /** The store's name in the map. */
  store: string
  /** Who answers, for messages: "SendGrid". */
  vendor: string
  pace: Pace
  patience?: Partial<Patience> | undefined
}

export interface Patience {
  /** Of one attempt, in milliseconds. */
  deadlineMs: number
  attempts: number
  /** A longer Retry-After is left to a later run. */
  waitSeconds: number
}

const usual: Patience = { deadlineMs: 15_000, attempts: 3, waitSeconds: 10 }

/**
 * The vendor answered, and not with what was asked for: an SDK's error is turned into this one, without its message and
 * body, since vendors quote what they were sent.
 */
export class Answered extends Error {
  readonly status: number
  readonly retryAfterSeconds: number | null
  readonly word: string

  /** `word`: the vendor's own error code, where it has one; anything but a plain word is dropped. */
  constructor(status: number, retryAfter: string | null = null, word = '') {
    super(`status ${status}`)
    this.name = 'Answered'
    this.status = status
    this.retryAfterSeconds = secondsOf(retryAfter)
    this.word = /^[A-Za-z0-9_.:-]{1,64}$/.test(word) ? word : ''
  }
}

/**
 * `what` says what is done, without naming anyone: "delete contacts". `send` throws an Answered for what it doesn't
 * expect; it may be called more than once, so only what can be repeated may be sent. Throws E_STORE_THROTTLED,
 * E_STORE_UNAVAILABLE, E_STORE_REFUSED, or what the signal was aborted with.
 */
export async function callVendor<T>(
  side: Side,
  what: string,
  send: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const { deadlineMs, attempts, waitSeconds } = { ...usual, ...side.patience }
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted()
    await side.pace.turn(signal)
    const deadline = AbortSignal.timeout(deadlineMs)
    try {
      return await send(AbortSignal.any([signal, deadline]))
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof LetheError) throw error
      const failure = failureOf(side, what, error, deadline.aborted)
      const wait = failure.facts['retryAfterSeconds']
      if (typeof wait === 'number') await side.pace.rest(wait)
      if (!failure.retryable || attempt >= attempts || (typeof wait === 'number' && wait > waitSeconds))
        throw failure
      const ms = typeof wait === 'number' ? wait * 1000 : 250 * 2 ** attempt * (0.5 + randomFraction())
      await sleep(ms, signal)
    }
  }
}

function failureOf({ store, vendor }: Side, what: string, error: unknown, late: boolean): LetheError {
  if (!(error instanceof Answered)) {
    const reason = late ? 'deadline' : nameOf(error)
    return new LetheError('E_STORE_UNAVAILABLE', {
      message: `${vendor} (${store}) did not answer: ${what} (${reason}).`,
      left: 'Whether this call was done is not known; it is made again, which changes nothing where it was.',
      facts: { store, reason },
    })
  }
  const { status, word, retryAfterSeconds } = error
  const reason = word === '' ? String(status) : `${status} ${word}`
  const wait = retryAfterSeconds === null ? {} : { retryAfterSeconds }
  if (status === 429 || (status === 503 && retryAfterSeconds !== null))
    return throttled(`${vendor} (${store}) asked to come back later: ${what} (${reason}).`, {
      store,
      status,
      ...wait,
    })
  if (status === 408 || status === 425 || status >= 500)
    return new LetheError('E_STORE_UNAVAILABLE', {
      message: `${vendor} (${store}) failed: ${what} (${reason}).`,
      facts: { store, status, ...wait },
    })
  const redirect = status >= 300 && status < 400
  return new LetheError('E_STORE_REFUSED', {
    message: redirect
      ? `${vendor} (${store}) answered with a redirect, which is not followed: ${what} (${reason}).`
      : `${vendor} (${store}) refused: ${what} (${reason}).`,
    facts: { store, status },
    ...(redirect ? { next: 'Put the final address into the configuration.' } : {}),
  })
}

/** `retryAfterSeconds` where it is known: until then no call is worth making. */
export function throttled(
  message: string,
  facts: { store: string; retryAfterSeconds?: number; [fact: string]: unknown },
): LetheError {
  return new LetheError('E_STORE_THROTTLED', { message, facts })
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  const cause: unknown = error.cause
  for (const from of [error, cause])
    if (from instanceof Error && 'code' in from && typeof from.code === 'string') return from.code
  return error.name
}

/** Seconds, or an HTTP date. */
function secondsOf(value: string | null): number | null {
  if (value === null) return null
  const seconds = /^\d+$/.test(value)
    ? Number(value)
    : Math.ceil((Date.parse(value) - wallClock().getTime()) / 1000)
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null
}
