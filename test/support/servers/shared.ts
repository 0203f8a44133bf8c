/** For one test file: a database of its own on the run's PostgreSQL, and the addresses of the run's Redis and S3 server. */
import { inject } from 'vitest'
import { askForS3 } from './lazy-s3.ts'
import { createTestDatabase, type TestDatabase } from './postgres.ts'
import type { S3Address } from './s3.ts'

export async function freshDatabase(): Promise<TestDatabase> {
  return createTestDatabase(inject('postgresUrl'))
}

export function sharedRedisUrl(): string {
  return inject('redisUrl')
}

/** Starts with the first file that asks; where it must be installed that takes a minute: give the hook two. */
export async function sharedS3(): Promise<S3Address> {
  return askForS3(inject('s3Offer'))
}
