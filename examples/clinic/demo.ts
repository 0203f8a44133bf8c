/**
 * The demo: a clinic of 20,000 patients. First the nightly purge as cron would run it, with a worker killed in the middle;
 * then one patient's request to be forgotten, through every store and processor. Real PostgreSQL, Redis and S3, the real
 * command line; processors speak their wire formats on this machine. Everything it starts is ended and removed.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monotonicMs } from '../../lib/base/clock/index.ts'
import { startPostgres, startRedis, startS3 } from '../../test/support/servers/servers.ts'
import { writeConfiguration } from './demo/configuration.ts'
import { erasure } from './demo/erasure.ts'
import { purge } from './demo/purge.ts'
import { killWork, lethe, makeKey, say, title } from './demo/stage.ts'
import { createClinic } from './generate.ts'

const patients = 20_000

const home = await mkdtemp(join(tmpdir(), 'lethe-demo-'))
const stops: (() => Promise<void>)[] = []

title('Setting up: PostgreSQL, Redis, S3, a clinic')
try {
  const postgres = await startPostgres()
  stops.push(() => postgres.stop())
  const redis = await startRedis()
  stops.push(() => redis.stop())
  const s3 = await startS3()
  stops.push(() => s3.stop())
  const started = monotonicMs()
  await main(postgres, redis.url, s3)
  say(`\nThe demo took ${Math.round((monotonicMs() - started) / 1000)} s after the servers were up.`)
} finally {
  killWork()
  for (const stop of stops.toReversed()) await stop()
  await rm(home, { recursive: true, force: true })
}

async function main(
  postgres: Awaited<ReturnType<typeof startPostgres>>,
  redisUrl: string,
  s3: Awaited<ReturnType<typeof startS3>>,
): Promise<void> {
  const control = await postgres.createDatabase('lethe_control_demo')
  const clinic = await postgres.createDatabase('clinic_demo')
  const { rows, total } = await createClinic(clinic.url, { patients, seed: 1, heavyObservations: 3000 })
  say(`${total.toLocaleString('en')} rows in ${Object.keys(rows).length} tables`)
  const keys = { 'dr-osei': await makeKey(home, 'dr-osei'), sam: await makeKey(home, 'sam') }
  await writeConfiguration(home, keys)
  const env = {
    ...process.env,
    LETHE_CONTROL_URL: control.url,
    LETHE_REDIS_URL: redisUrl,
    LETHE_CONFIG: join(home, 'lethe.yaml'),
    LETHE_KEYSTORE: join(home, 'keystore.json'),
    LETHE_SSH_KEY: join(home, 'dr-osei'),
    LETHE_LOG_LEVEL: 'warn',
    CLINIC_DATABASE_URL: clinic.url,
  }

  title('Migrate; is the map true?')
  await lethe(env, 'keystore', 'create')
  await lethe(env, 'migrate')
  await lethe(env, 'datamap', 'check')

  const stage = { home, env, controlUrl: control.url, clinicUrl: clinic.url }
  await purge(stage)
  await erasure(stage, { s3, redisUrl, keys })
}
