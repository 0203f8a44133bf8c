/**
 * One PostgreSQL, one Redis and, once a test file asks, one S3 server for a whole test run. Each test file makes its own
 * databases, Redis prefix and buckets.
 */
import type { TestProject } from 'vitest/node'
import { offerS3 } from './servers/lazy-s3.ts'
import { startPostgres, startRedis } from './servers/servers.ts'
import { hasIcu, serverVersion } from './servers/postgres.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    postgresUrl: string
    hasIcu: boolean
    redisUrl: string
    s3Offer: string
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [postgres, redis, s3] = await Promise.all([startPostgres(), startRedis(), offerS3()])
  project.provide('postgresUrl', postgres.url)
  project.provide('hasIcu', await hasIcu(postgres.url))
  project.provide('redisUrl', redis.url)
  project.provide('s3Offer', s3.url)
  // Test files with servers of their own needn't search again.
  if (postgres.source !== 'environment') process.env['LETHE_TEST_SERVERS'] ??= postgres.source
  const version = await serverVersion(postgres.url)
  process.stderr.write(`PostgreSQL ${version}: ${postgres.source}, Redis: ${redis.source}\n`)
  return async () => {
    await Promise.all([postgres.stop(), redis.stop(), s3.stop()])
  }
}
