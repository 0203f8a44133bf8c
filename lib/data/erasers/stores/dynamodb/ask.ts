/** One call of DynamoDB: with a deadline, tried again where that can help, its failure in our own words. */
import { DynamoDBServiceException, type DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { randomFraction, sleep } from '../../../../base/clock/index.ts'
import { LetheError } from '../../../../base/errors/index.ts'

export interface Patience {
  /** Of one call, in milliseconds. */
  deadlineMs: number
  /** Tries in a row without progress while the table is throttled. */
  tries: number
  /** The wait after the n-th try is random, below `firstMs` × 2ⁿ⁻¹ and below `mostMs`. */
  firstMs: number
  mostMs: number
}

/** Waits 16 s for a throttled table at the very most, 8 s on average. */
export const usualPatience: Patience = { deadlineMs: 10_000, tries: 10, firstMs: 50, mostMs: 5000 }

/** What every call of one `locate`, `erase` or `verify` shares. */
export interface Session {
  store: string
  client: DynamoDBClient
  signal: AbortSignal
  patience: Patience
  /** Of the error that ends it. */
  left: string
  /** A refusal may mean that a table isn't what it was. */
  forgetSchemas(): void
}

/** A new connection may do where an idle one was closed; more is for whoever tries the whole again. */
const CONNECTIONS = 2

const throttled = new Set([
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'Throttling',
  'ThrottlingException',
  'TransactionConflictException',
])

/**
 * `what` names the operation and its table. Throws E_STORE_UNAVAILABLE, E_STORE_THROTTLED, E_STORE_REFUSED, or what the
 * signal was aborted with. A call may have been done although it failed: only such may be made as can be repeated.
 */
export async function ask<T>(
  session: Session,
  what: string,
  call: (client: DynamoDBClient, options: { abortSignal: AbortSignal }) => Promise<T>,
): Promise<T> {
  const { client, signal, patience } = session
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted()
    const deadline = AbortSignal.timeout(patience.deadlineMs)
    try {
      return await call(client, { abortSignal: AbortSignal.any([signal, deadline]) })
    } catch (error) {
      signal.throwIfAborted()
      const tries = triesFor(error, deadline, patience)
      if (attempt >= tries) throw failureOf(session, what, error, deadline.aborted)
    }
    await pause(session, attempt)
  }
}

/** Exponential, with full jitter: many workers that were throttled together don't come back together. */
export async function pause(session: Session, attempt: number): Promise<void> {
  const { firstMs, mostMs } = session.patience
  await wait(session, randomFraction() * Math.min(mostMs, firstMs * 2 ** (attempt - 1)))
}

/** Rejects with what the signal was aborted with. */
export async function wait({ signal }: Session, ms: number): Promise<void> {
  await sleep(ms, signal)
}

export function throttledError(session: Session, what: string): LetheError {
  return new LetheError('E_STORE_THROTTLED', {
    message: `DynamoDB ${session.store} throttled ${what} longer than we wait.`,
    left: session.left,
    facts: { store: session.store },
  })
}

function triesFor(error: unknown, deadline: AbortSignal, patience: Patience): number {
  if (isThrottled(error) || isFault(error)) return patience.tries
  if (error instanceof DynamoDBServiceException || deadline.aborted) return 1
  return CONNECTIONS
}

/** The server's own message may quote a key: only the error's name is passed on. */
function failureOf(session: Session, what: string, error: unknown, late: boolean): LetheError {
  if (isThrottled(error)) return throttledError(session, what)
  const reason = late ? 'deadline' : nameOf(error)
  const refused = error instanceof DynamoDBServiceException && !isFault(error)
  if (refused) session.forgetSchemas()
  return new LetheError(refused ? 'E_STORE_REFUSED' : 'E_STORE_UNAVAILABLE', {
    message: `DynamoDB ${session.store} ${refused ? 'refused' : 'did not answer'} ${what} (${reason}).`,
    left: session.left,
    facts: { store: session.store, reason },
  })
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}

function isThrottled(error: unknown): boolean {
  return error instanceof DynamoDBServiceException && throttled.has(error.name)
}

function isFault(error: unknown): boolean {
  return error instanceof DynamoDBServiceException && (error.$metadata.httpStatusCode ?? 500) >= 500
}
