/** A bucket for what must not change. The S3 library is loaded at its first call: most commands never make one. */

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

/** Connects at its first call. */
export function openBucket(settings: BucketSettings): Bucket {
  let opening: Promise<Bucket> | undefined
  const opened = () => (opening ??= import('./s3.ts').then(({ s3Bucket }) => s3Bucket(settings)))
  return {
    name: settings.name,
    requireLock: async () => (await opened()).requireLock(),
    put: async (key, body, options) => (await opened()).put(key, body, options),
    get: async (key) => (await opened()).get(key),
    close: () => void opening?.then((bucket) => bucket.close()),
  }
}
