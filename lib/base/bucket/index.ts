/** Object storage for what must not change: written once, locked until a date, read back. */
export { openBucket, type Bucket, type BucketSettings } from './s3.ts'
