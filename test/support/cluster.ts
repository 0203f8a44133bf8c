/** One PostgreSQL and one Redis for a whole test run. Each test file makes its own databases and Redis prefix. */
import type { TestProject } from 'vitest/node'
import { startPostgres, startRedis } from './servers.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    postgresUrl: string
    redisUrl: string
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  project.provide('postgresUrl', postgres.url)
  project.provide('redisUrl', redis.url)
  // Test files with servers of their own needn't search again.
  if (postgres.source !== 'environment') process.env['LETHE_TEST_SERVERS'] ??= postgres.source
  process.stderr.write(`PostgreSQL: ${postgres.source}, Redis: ${redis.source}\n`)
  return async () => {
    await Promise.all([postgres.stop(), redis.stop()])
  }
}
