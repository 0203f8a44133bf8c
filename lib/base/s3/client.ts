/** Calls of one S3 server: each with a deadline, repeated where that can help, failing with the server's error name only. */
import { S3Client, S3ServiceException } from '@aws-sdk/client-s3'
import { throttled } from '../calls/index.ts'
import { LetheError } from '../errors/index.ts'

export interface S3Settings {
  /** The store's name in the map. */
  store: string
  region: string
  /** Of an S3 server that isn't AWS's. */
  endpoint?: string
  /** Absent: the SDK's own chain (environment, profile, instance role). */
  credentials?: { accessKeyId: string; secretAccessKey: string }
  /** For one call with its repetitions, in ms; default 60,000. */
  deadlineMs?: number
  /** For one attempt of a call, in ms; default 15,000. */
  attemptMs?: number
  /** Of one call; default 5. */
  attempts?: number
}

export interface S3Server {
  /** Its name in messages. */
  store: string
  client: S3Client
  deadlineMs: number
}

/** Throttling (503 SlowDown, 429) is answered by the SDK: growing waits with jitter, and a slower client. */
export function s3Server(settings: S3Settings): S3Server {
  const { store, attempts = 5, attemptMs = 15_000, deadlineMs = 60_000 } = settings
  const client = new S3Client({
    region: settings.region,
    retryMode: 'adaptive',
    // the few commands are put together once, not for each of thousands of calls
    cacheMiddleware: true,
    maxAttempts: attempts,
    // The newer checksums are unknown to many S3 servers.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // A path that swallows bytes would otherwise hold whoever waits for the bucket for ever.
    requestHandler: {
      connectionTimeout: Math.min(5000, attemptMs),
      requestTimeout: attemptMs,
      throwOnRequestTimeout: true,
    },
    ...(settings.endpoint === undefined ? {} : { endpoint: settings.endpoint, forcePathStyle: true }),
    ...(settings.credentials === undefined ? {} : { credentials: settings.credentials }),
  })
  return { store, client, deadlineMs }
}

/** The server said no, and will say it again: a right is missing, or it can't do what was asked. */
export class Refusal extends Error {
  readonly code: string
  readonly status: number
  constructor(code: string, status: number) {
    super(code)
    this.name = 'Refusal'
    this.code = code
    this.status = status
  }
}

/**
 * Throws a Refusal; E_STORE_THROTTLED or E_STORE_UNAVAILABLE where the server is busy, away or too slow; the signal's
 * reason where the caller gave up. The SDK's own error is dropped: it has keys in it.
 */
export async function ask<T>(
  server: S3Server,
  bucket: string,
  what: string,
  call: (client: S3Client, options: { abortSignal: AbortSignal }) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  signal?.throwIfAborted()
  const deadline = AbortSignal.timeout(server.deadlineMs)
  const abortSignal = signal === undefined ? deadline : AbortSignal.any([deadline, signal])
  try {
    // The SDK's waits between attempts don't listen to a signal.
    return await Promise.race([call(server.client, { abortSignal }), aborted(abortSignal)])
  } catch (error) {
    signal?.throwIfAborted()
    const code = deadline.aborted ? 'deadline' : codeOf(error)
    const status = error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? 0) : 0
    if (status >= 400 && status < 500 && !isTransient(code) && status !== 429) throw new Refusal(code, status)
    if (status === 501) throw new Refusal(code, status)
    throw unavailable(server, bucket, what, status === 429 ? 'TooManyRequests' : code)
  }
}

/** E_STORE_THROTTLED or E_STORE_UNAVAILABLE, as the server's word says. */
export function unavailable({ store }: S3Server, bucket: string, what: string, reason: string): LetheError {
  const message = `Bucket ${bucket} of ${store} did not ${what} (${reason}).`
  const facts = { store, bucket, reason }
  return isThrottle(reason)
    ? throttled(message, facts)
    : new LetheError('E_STORE_UNAVAILABLE', { message, facts })
}

export function refusal({ store }: S3Server, bucket: string, what: string, reason: string): LetheError {
  return new LetheError('E_STORE_REFUSED', {
    message: `Bucket ${bucket} of ${store} refused to ${what} (${reason}).`,
    facts: { store, bucket, reason },
  })
}

/** What the caller can't go on without: a refusal of it becomes E_STORE_REFUSED. */
export async function orRefused<T>(
  server: S3Server,
  bucket: string,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Refusal) throw refusal(server, bucket, what, error.code)
    throw error
  }
}

/** Errors, of a call or of one key in its answer, that go away by themselves. */
export function isTransient(code: string): boolean {
  return (
    isThrottle(code) ||
    /^(ServiceUnavailable|InternalError|RequestTimeout|OperationAborted|RequestTimeTooSkewed)$/.test(code)
  )
}

function isThrottle(code: string): boolean {
  return /^(SlowDown|Throttling|ThrottlingException|TooManyRequests|TooManyRequestsException|RequestLimitExceeded)$/.test(
    code,
  )
}

/** A server's word, as long as it is one: anything else might hold a key. */
export function safeCode(code: string | undefined): string {
  return code !== undefined && /^[A-Za-z0-9_]{1,64}$/.test(code) ? code : 'unknown'
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  return safeCode('code' in error && typeof error.code === 'string' ? error.code : error.name)
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const give = () => reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'))
    if (signal.aborted) give()
    else signal.addEventListener('abort', give, { once: true })
  })
}
