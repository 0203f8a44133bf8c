/** A bucket for what must not change. */
import { LetheError } from '../errors/index.ts'

export interface BucketSettings {
  name: string
  region: string
  /** Of an S3 server that isn't AWS's. */
  endpoint?: string
  /** Before every key, with its slash; empty by default. */
  prefix?: string
  /** Absent: the SDK's own chain (environment, profile, instance role). */
  credentials?: { accessKeyId: string; secretAccessKey: string }
  /** For one request's answer; three are sent. Default 15 000. */
  attemptMs?: number
}

export interface Bucket {
  readonly name: string
  /** Throws E_BUCKET_LOCK where the bucket was made without Object Lock: it can't be added to what is there. */
  requireLock(): Promise<void>
  /** Throws E_BUCKET_UNAVAILABLE. The same key again makes another version; the locked one stays. */
  put(key: string, body: Uint8Array, options: { contentType: string; lockedUntil: Date }): Promise<void>
  /** The newest version; null where there is none. */
  get(key: string): Promise<Buffer | null>
  close(): void
}

/** `what` is not copied there: what is locked in compliance mode nobody can unlock, so a person confirms the period once. */
export function unconfirmedLock(name: string, lock: string, what: string): LetheError {
  return new LetheError('E_BUCKET_LOCK', {
    message: `${what} can't be copied to bucket ${name}: nobody has confirmed how long its objects are locked.`,
    next: `Confirm it once: lethe evidence lock "${lock}".`,
    facts: { bucket: name },
  })
}
