import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  confirmLock,
  evidenceKeys,
  evidenceRound,
  keepFor,
  publishedHead,
} from '../../../../jobs/evidence/index.ts'
import { openBucket, type Bucket } from '../../../../lib/base/bucket/index.ts'
import {
  appendEvent,
  lastVerified,
  logStatus,
  proveEvent,
  sequence,
  verifierKeys,
  verifyLog,
} from '../../../../lib/record/evidence/index.ts'
import { signCheckpoint } from '../../../../lib/record/evidence/checkpoint.ts'
import { rootOf } from '../../../../lib/record/evidence/merkle.ts'
import { storedNodes } from '../../../../lib/record/evidence/store.ts'
import { grantsSql } from '../../../../lib/record/grants/index.ts'
import { lostStatements } from '../../../../lib/record/decisions/index.ts'
import { createRun } from '../../../../lib/record/ledger/index.ts'
import { startProxy, type FaultProxy } from '../../../support/servers/servers.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'
import { makeFolder } from '../../../support/servers/process.ts'
import { testRoles } from '../../../support/servers/roles.ts'
import { sharedS3 } from '../../../support/servers/shared.ts'
import type { S3Address } from '../../../support/servers/s3.ts'

let s3: S3Address
let client: S3Client
let house: RetentionHouse
let proxy: FaultProxy
let bucket: Bucket
let name: string
const { login, ...roles } = testRoles('worker', 'operator', 'approver', 'auditor', 'login')

beforeAll(async () => {
  s3 = await sharedS3()
  const { endpoint, region, accessKeyId, secretAccessKey } = s3
  const credentials = { accessKeyId, secretAccessKey }
  client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  house = await openRetentionHouse({ S3_KEY: accessKeyId, S3_SECRET: secretAccessKey })
  const url = new URL(endpoint)
  proxy = await startProxy(url.hostname, Number(url.port), { protocol: 'raw' })
}, 120_000)
afterAll(async () => {
  client.destroy()
  await house.close()
  await proxy.close()
})
beforeEach(async () => {
  await house.empty()
  await house.control.execute(
    `INSERT INTO lethe_control.evidence_log (one) VALUES (true) ON CONFLICT DO NOTHING`,
  )
  name = `evidence-${randomUUID()}`
  await client.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: true }))
  await configure(name)
  bucket = openBucket({
    name,
    region: s3.region,
    endpoint: s3.endpoint,
    credentials: { accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey },
  })
  return () => {
    bucket.close()
    proxy.heal()
  }
})

async function configure(bucketName: string, more: Record<string, string> = {}): Promise<void> {
  await house.configure({
    evidence: {
      origin: 'example.org/lethe',
      ...more,
    },
    locked_bucket: {
      name: bucketName,
      region: s3.region,
      endpoint: `http://127.0.0.1:${proxy.port}`,
      access_key_id: 'env:S3_KEY',
      secret_access_key: 'env:S3_SECRET',
      lock: '1 day',
    },
  })
}

async function events(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) await appendEvent(house.control, { type: 'run.woken', data: {} })
}

async function trust() {
  const keys = evidenceKeys(house.context)
  if (keys === null) throw new Error('no log is configured')
  const published = await publishedHead(house.context)
  return verifyLog(
    house.control,
    { origin: keys.origin, keys: verifierKeys(keys) },
    { others: published === null ? [] : [published], keep: keepFor(house.context), lostStatements },
  )
}

describe('a round of the evidence log', () => {
  test('locks nothing before the period was typed back, and then everything that the head stands on', async () => {
    await events(300)
    expect(await evidenceRound(house.context, 0)).toMatchObject({
      added: 300,
      signed: true,
      published: false,
    })
    expect(await bucket.get('checkpoint')).toBe(null)
    await expect(confirmLock(house.context, '6 years')).rejects.toMatchObject({ code: 'E_USAGE' })
    await confirmLock(house.context, '1 day')
    expect(await evidenceRound(house.context, 0)).toMatchObject({ added: 0, published: true })
    expect((await bucket.get('checkpoint'))?.toString()).toMatch(/^example\.org\/lethe\n300\n/)
    expect((await bucket.get('tile/0/000'))?.length).toBe(8192)
    expect((await bucket.get('tile/0/001.p/44'))?.length).toBe(44 * 32)
    expect((await bucket.get('tile/1/000.p/1'))?.length).toBe(32)
    expect((await bucket.get('tile/entries/000'))?.length).toBe(256 * 34)
    expect(await trust()).toMatchObject({ entries: 300, breaks: [] })
  })

  test('goes on while the bucket is away, and copies everything once it is back, in one history', async () => {
    await confirmLock(house.context, '1 day')
    await events(10)
    expect(await evidenceRound(house.context, 0)).toMatchObject({ published: true })
    proxy.cut()
    for (let n = 0; n < 3; n += 1) {
      await events(100)
      await expect(evidenceRound(house.context, 0)).rejects.toMatchObject({ code: 'E_BUCKET_UNAVAILABLE' })
    }
    proxy.heal()
    await events(1)
    expect(await evidenceRound(house.context, 0)).toMatchObject({ size: 311, published: true })
    expect((await bucket.get('tile/0/000'))?.length).toBe(8192)
    expect(await trust()).toMatchObject({ entries: 311, heads: 6, breaks: [] })
  }, 60_000)

  test('writes nothing into a bucket that locks nothing', async () => {
    const plain = `plain-${randomUUID()}`
    await client.send(new CreateBucketCommand({ Bucket: plain }))
    await configure(plain)
    await expect(confirmLock(house.context, '1 day')).rejects.toMatchObject({ code: 'E_BUCKET_LOCK' })
    // as after a restore, or for another bucket
    await house.control.execute(`UPDATE lethe_control.evidence_log SET locked_for = '1 day'`)
    await events(1)
    await expect(evidenceRound(house.context, 0)).rejects.toMatchObject({ code: 'E_BUCKET_LOCK' })
  })

  test('publishes no second history after the database was taken back in time', async () => {
    await confirmLock(house.context, '1 day')
    await events(8)
    await evidenceRound(house.context, 0)
    await house.control.transaction(async (tx) => {
      await tx.execute(`SET LOCAL session_replication_role = replica`)
      await tx.execute('DELETE FROM lethe_control.evidence_checkpoints')
      await tx.execute('DELETE FROM lethe_control.evidence_entries')
      await tx.execute('DELETE FROM lethe_control.evidence_tiles')
      await tx.execute('DELETE FROM lethe_control.events WHERE id % 2 = 0')
      await tx.execute('UPDATE lethe_control.evidence_log SET size = 0, seen = NULL')
    })
    await expect(evidenceRound(house.context, 0)).rejects.toMatchObject({
      code: 'E_EVIDENCE_BROKEN',
      facts: { kind: 'tail-cut' },
    })
    expect(await heads()).toBe(0)
    await events(20)
    await expect(evidenceRound(house.context, 0)).rejects.toMatchObject({
      code: 'E_EVIDENCE_BROKEN',
      facts: { kind: 'rewritten' },
    })
    expect(await heads()).toBe(0)
    expect((await bucket.get('checkpoint'))?.toString()).toMatch(/^example\.org\/lethe\n8\n/)
    expect((await trust()).breaks.map((one) => one.kind)).toContain('rewritten')
  })

  async function heads(): Promise<number> {
    const [row] = await house.control.query(
      z.object({ n: z.coerce.number() }),
      'SELECT count(*) AS n FROM lethe_control.evidence_checkpoints',
    )
    return row?.n ?? Number.NaN
  }

  test('locks nothing in the bucket that the tree does not stand on', async () => {
    await confirmLock(house.context, '1 day')
    await events(8)
    await sequence(house.control)
    await house.control.transaction(async (tx) => {
      await tx.execute(`SET LOCAL session_replication_role = replica`)
      await tx.execute(`UPDATE lethe_control.evidence_entries SET entry = sha256('x') WHERE index = 3`)
    })
    await expect(evidenceRound(house.context, 0)).rejects.toMatchObject({
      code: 'E_EVIDENCE_BROKEN',
      facts: { kind: 'edited' },
    })
    expect(await bucket.get('tile/entries/000.p/8')).toBe(null)
    expect(await bucket.get('checkpoint')).toBe(null)
  })

  test('takes no lock period for a bucket that is not there or locks nothing', async () => {
    await configure('nowhere-at-all')
    await expect(confirmLock(house.context, '1 day')).rejects.toMatchObject({ code: 'E_BUCKET_UNAVAILABLE' })
  })

  async function runOf(kind: 'evidence.verify' | 'evidence.age', payload: Record<string, unknown> = {}) {
    const made = await createRun(house.control, {
      kind,
      queue: 'evidence',
      scope: 'log',
      payload,
      maxAttempts: 3,
      createdBy: 'test',
    })
    if ('existing' in made) throw new Error('a run is there already')
    await house.work()
    return house.run(made)
  }

  test('is verified by a run from where the last one ended, from the start by one that is asked to; a break fails it with its kind', async () => {
    await events(5)
    await evidenceRound(house.context, 0)
    expect(await runOf('evidence.verify')).toMatchObject({
      state: 'succeeded',
      outcome: 'holds',
      counters: { from: 0, entries: 5, heads: 1 },
    })
    await evidenceRound(house.context, 0)
    await house.control.transaction(async (tx) => {
      await tx.execute(`SET LOCAL session_replication_role = replica`)
      await tx.execute(`UPDATE lethe_control.events SET data = '{"reason":"other"}' WHERE type = 'run.woken'`)
    })
    const next = await runOf('evidence.verify')
    expect(next).toMatchObject({ state: 'succeeded', counters: { from: 5, heads: 2 } })
    await evidenceRound(house.context, 0)
    expect(await runOf('evidence.verify', { whole: true })).toMatchObject({
      state: 'failed',
      errorCode: 'E_EVIDENCE_BROKEN',
      errorMessage: expect.stringContaining('edited 5'),
      counters: { from: 0 },
    })
    // a night that found a break doesn't become where the next one starts
    expect(await lastVerified(house.control)).toBe(
      (next.counters['from'] ?? 0) + (next.counters['entries'] ?? 0),
    )
  })

  test('does not trust where the last verification ended once the tiles before it were changed', async () => {
    await events(300)
    await evidenceRound(house.context, 0)
    await runOf('evidence.verify')
    await house.control.transaction(async (tx) => {
      await tx.execute(`SET LOCAL session_replication_role = replica`)
      await tx.execute(
        `UPDATE lethe_control.evidence_tiles SET hashes = set_byte(hashes, 9, 1 # get_byte(hashes, 9)) WHERE level = 1`,
      )
    })
    expect(await runOf('evidence.verify')).toMatchObject({
      state: 'failed',
      errorMessage: expect.stringContaining('tiles 1'),
      counters: { from: 0 },
    })
  })

  test('lets the contents go that are older than they have to be kept, their hashes stay, and the log verifies', async () => {
    await house.control.execute(grantsSql('control', { roles }))
    await house.control.execute(`CREATE ROLE ${login} LOGIN`)
    const url = new URL(house.controlUrl)
    url.username = login
    const file = join(makeFolder('aging'), 'url')
    writeFileSync(file, url.toString())
    await configure(name, { retention_url: `file:${file}` })
    expect(await runOf('evidence.age')).toMatchObject({ outcome: 'nothing-due' })
    await events(5)
    await sequence(house.control)
    await signedYearsAgo(7, 5)
    await events(3)
    await evidenceRound(house.context, 0)
    expect(await runOf('evidence.age')).toMatchObject({
      state: 'refused',
      errorCode: 'E_DATABASE_PRIVILEGE',
    })
    await house.control.execute(`GRANT lethe_retention TO ${login}`)
    expect(await runOf('evidence.age')).toMatchObject({ outcome: 'aged', counters: { aged: 5 } })
    await evidenceRound(house.context, 0)
    expect(await trust()).toMatchObject({ aged: 5, breaks: [] })
    const [first] = await house.control.query(
      z.object({ id: z.string() }),
      'SELECT event_id AS id FROM lethe_control.evidence_entries WHERE index = 0',
    )
    await expect(proveEvent(house.control, first?.id ?? '')).rejects.toMatchObject({
      code: 'E_EVIDENCE_AGED',
    })
    expect(await logStatus(house.control)).toMatchObject({ waiting: 0 })
    await house.control.transaction(async (tx) => {
      await tx.execute('SET LOCAL ROLE lethe_retention')
      await tx.execute(
        `DELETE FROM lethe_control.events e USING lethe_control.evidence_entries x WHERE x.index = 5 AND e.id = x.event_id`,
      )
      await tx.execute('UPDATE lethe_control.evidence_entries SET salt = NULL WHERE index = 5')
    })
    expect((await trust()).breaks).toMatchObject([{ kind: 'missing', at: 5 }])
    // a head that was stored as an old one, but not signed as one
    await house.control.execute(
      `UPDATE lethe_control.evidence_checkpoints SET at = at - interval '8 years' WHERE size > 5`,
    )
    expect((await trust()).breaks).toMatchObject([{ kind: 'missing', at: 5 }])
  })

  /** A head as the log's own key signed it then. */
  async function signedYearsAgo(years: number, size: number): Promise<void> {
    const keys = evidenceKeys(house.context)
    if (keys === null) throw new Error('no log is configured')
    const at = new Date(Date.now() - years * 366 * 86_400_000)
    const root = await rootOf(size, storedNodes(house.control, size))
    await house.control.execute(
      'INSERT INTO lethe_control.evidence_checkpoints (size, at, note) VALUES ($1, $2, $3)',
      [size, at, signCheckpoint({ origin: keys.origin, size, root }, keys.signer, at)],
    )
  }

  test('is led by one process', async () => {
    await events(1)
    await evidenceRound(house.context, 0)
    expect(await evidenceRound({ ...house.context, workerId: 'another' }, 0)).toMatchObject({ leader: false })
  })
})
