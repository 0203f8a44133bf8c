/** After an erasure that met every fault, nothing of the person is found by a byte search of anything that was written. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { randomUUID } from 'node:crypto'
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectVersionsCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runOnce } from '../../../../workers/dispatcher.ts'
import { openQueues, type Queues } from '../../../../lib/base/queue/index.ts'
import { sequence } from '../../../../lib/record/evidence/index.ts'
import { confirmLock } from '../../../../jobs/evidence/index.ts'
import { readReceipt, requestStatus } from '../../../../jobs/erasure/index.ts'
import { registry } from '../../../../jobs/registry.ts'
import { lethe, startLethe } from '../../../support/stages/cli.ts'
import { openErasureHouse, type ErasureHouse } from '../../../support/stages/erasure-house.ts'
import { dumpRedis } from '../../../support/servers/redis-dump.ts'
import { findClient } from '../../../support/servers/postgres-programs.ts'
import { startRedis, type RedisServer, type S3Address } from '../../../support/servers/servers.ts'
import { sharedS3 } from '../../../support/servers/shared.ts'

/** The address, the number and the password of the person; the number looks like no other. */
const email = 'xcanaryx7@example.org'
const id = 7_700_000_000_001
const canaries = new RegExp(`xcanaryx7|${id}|hash of ${id}`)

let s3: S3Address
let client: S3Client
let redis: RedisServer
let house: ErasureHouse
let queues: Queues
const bucket = `canary-${randomUUID()}`

beforeAll(async () => {
  ;[s3, redis] = await Promise.all([sharedS3(), startRedis({ own: true })])
  const { endpoint, region, accessKeyId, secretAccessKey } = s3
  const credentials = { accessKeyId, secretAccessKey }
  client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  await client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }))
  house = await openErasureHouse({
    S3_KEY: accessKeyId,
    S3_SECRET: secretAccessKey,
    LETHE_REDIS_URL: redis.url,
    LETHE_LOG_LEVEL: 'trace',
  })
  queues = openQueues({ url: redis.url, prefix: '{lethe}' }, registry.queues())
  await house.control.execute(
    `INSERT INTO lethe_control.evidence_log (one) VALUES (true) ON CONFLICT DO NOTHING`,
  )
  await house.configure({
    evidence: {
      origin: 'example.org/lethe',
    },
    locked_bucket: {
      name: bucket,
      region,
      endpoint,
      access_key_id: 'env:S3_KEY',
      secret_access_key: 'env:S3_SECRET',
      lock: '1 day',
    },
    operations: { lease_seconds: 5, health_port: 0 },
  })
  await confirmLock(house.context, '1 day')
}, 180_000)
afterAll(async () => {
  await queues.close()
  await house.close()
  client.destroy()
  await redis.stop()
})

const run = promisify(execFile)

async function dump(url: string): Promise<string> {
  const { stdout } = await run(await findClient('pg_dump'), ['--dbname', url], {
    maxBuffer: 1e9,
  })
  return stdout
}

async function everyVersion(): Promise<string> {
  const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: bucket }))
  const bodies: string[] = []
  for (const { Key, VersionId } of Versions) {
    const found = await client.send(new GetObjectCommand({ Bucket: bucket, Key, VersionId }))
    bodies.push(`${Key}\n${await found.Body?.transformToString('latin1')}`)
  }
  return bodies.join('\n')
}

test('Subject canaries are found nowhere afterwards: databases, Redis, bucket, logs, receipt, status.', async () => {
  await house.people(1, id)
  await house.app.execute('UPDATE people SET email = $1 WHERE id = $2', [email, id])
  for (const processor of [house.letters, house.parcels]) {
    processor.letters.clear()
    processor.letters.set(email, 2)
  }
  // a processor that is down, quotes what it was sent, and lies
  let calls = 0
  house.letters.before = (message) => {
    calls += 1
    return calls < 3 ? { status: 500, body: JSON.stringify(message) } : undefined
  }
  house.parcels.lied.add(email)
  const before = await dump(house.env['APP_URL'] ?? '')
  expect(before).toMatch(canaries)

  const worker = startLethe(['work', 'erasure'], { ...house.env, LETHE_LOG_LEVEL: 'trace' })
  const { id: request } = await house.ask(id, { who: { identifier: 'email', value: email } })
  const admin = new Redis(redis.url)
  const seen: string[] = []
  const dispatcher = {
    context: house.context,
    registry,
    queues,
    queueSettings: { url: redis.url, prefix: '{lethe}' },
    heartbeatUrl: null,
  }
  await expect
    .poll(
      async () => {
        if (house.parcels.messages.length > 2) house.parcels.lied.clear()
        await house.control.execute(
          `UPDATE lethe_control.erasure_requests SET next_at = clock_timestamp() WHERE next_at < '9999-01-01' AND next_at > clock_timestamp()`,
        )
        await house.control.execute(
          `UPDATE lethe_control.erasure_legs SET next_at = clock_timestamp() WHERE next_at < '9999-01-01' AND next_at > clock_timestamp()`,
        )
        await house.control.execute(
          `UPDATE lethe_control.runs SET next_attempt_at = clock_timestamp() WHERE next_attempt_at < '9999-01-01' AND next_attempt_at > clock_timestamp()`,
        )
        await runOnce(dispatcher, { heartbeat: '*/15 * * * * *', staleSeconds: 0 })
        seen.push(await dumpRedis(admin))
        return (await house.request(request)).state
      },
      { timeout: 60_000, interval: 100 },
    )
    .toBe('completed-with-retained')
  worker.child.kill('SIGTERM')
  const { stdout, stderr } = await worker.ended
  await sequence(house.control)
  const places: Record<string, string> = {
    control: await dump(house.env['LETHE_CONTROL_URL'] ?? ''),
    application: await dump(house.env['APP_URL'] ?? ''),
    'own Redis': [...seen, await dumpRedis(admin)].join('\n'),
    sessions: await dumpRedis(house.sessions),
    bucket: await everyVersion(),
    log: stdout + stderr,
    receipt: await readReceipt(house.context, request),
    status: JSON.stringify(await requestStatus(house.context, request)),
    'command line': (await lethe(['erasure', 'status', request], house.env)).stdout,
  }
  admin.disconnect()
  for (const [place, text] of Object.entries(places)) {
    expect(text.length, place).toBeGreaterThan(place === 'sessions' ? 10 : 100)
    const hit = canaries.exec(text)
    expect(hit === null ? '' : text.slice(Math.max(0, hit.index - 200), hit.index + 60), place).toBe('')
  }
}, 120_000)
