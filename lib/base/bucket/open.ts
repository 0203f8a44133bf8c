/** The S3 library is loaded at a bucket's first call: most commands never make one. */
import type { Bucket, BucketSettings } from './bucket.ts'

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
