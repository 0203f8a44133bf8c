/**
 * Real servers for tests, demo and benches. Chosen in this order: an address in the environment
 * (LETHE_TEST_POSTGRES_URL, LETHE_TEST_REDIS_URL), a container where a Docker engine answers, an installed program, a
 * program we install (root on Debian), else an error that names what to install. LETHE_TEST_SERVERS=installed|container
 * skips the search. Everything runs on a free port with its own folder and is gone when the process is, however it ends.
 *
 *   const postgres = await startPostgres()
 *   const database = await postgres.createDatabase()
 *   … database.url …
 *   await postgres.stop()
 */
export { startPostgres, type PostgresOptions, type PostgresServer, type TestDatabase } from './postgres.ts'
export { startRedis, type RedisOptions, type RedisServer } from './redis.ts'
export { startPgBouncer, type PgBouncer } from './pgbouncer.ts'
export { startProxy, type FaultProxy, type MessageCounter } from './proxy.ts'
export { findProgram } from './install.ts'
