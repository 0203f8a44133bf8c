/** A database of its own on the run's shared PostgreSQL, for one test file; and the address of the shared Redis. */
import { inject } from 'vitest'
import { createTestDatabase, type TestDatabase } from './postgres.ts'

export async function freshDatabase(): Promise<TestDatabase> {
  return createTestDatabase(inject('postgresUrl'))
}

export function sharedRedisUrl(): string {
  return inject('redisUrl')
}
