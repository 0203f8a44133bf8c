/** Object storage for what must not change: written once, locked until a date, read back. */
import './errors.ts'

export { bucketSchema } from './schema.ts'
export { unconfirmedLock, type Bucket, type BucketSettings } from './bucket.ts'
export { openBucket } from './open.ts'
