import { randomUUID } from 'node:crypto'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { confirmLock, evidenceKeys, evidenceRound, publishedHead } from '../../../../jobs/evidence/index.ts'
import {
  appendEvent,
  cosignaturesOf,
  newestHead,
  parseNote,
  publishedKeys,
  sequence,
  signHead,
  witnessStates,
} from '../../../../lib/record/evidence/index.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'
import { sharedS3 } from '../../../support/servers/shared.ts'
import type { S3Address } from '../../../support/servers/s3.ts'
import { startWitness, type TestWitness } from '../../../support/vendors/witness.ts'

const origin = 'example.org/lethe'
let s3: S3Address
let client: S3Client
let house: RetentionHouse
let first: TestWitness
let second: TestWitness

beforeAll(async () => {
  s3 = await sharedS3()
  const { endpoint, region, accessKeyId, secretAccessKey } = s3
  const credentials = { accessKeyId, secretAccessKey }
  client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  house = await openRetentionHouse({ S3_KEY: accessKeyId, S3_SECRET: secretAccessKey })
}, 120_000)
afterAll(async () => {
  client.destroy()
  await house.close()
})
beforeEach(async () => {
  await house.empty()
  await house.control.execute(
    `INSERT INTO lethe_control.evidence_log (one) VALUES (true) ON CONFLICT DO NOTHING`,
  )
  const bucket = `witnessed-${randomUUID()}`
  await client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }))
  await configure(bucket, [])
  const keys = evidenceKeys(house.context)
  if (keys === null) throw new Error('no log is configured')
  first = await startWitness(origin, publishedKeys(keys))
  second = await startWitness(origin, publishedKeys(keys), 'witness.example/w2')
  await configure(bucket, [first, second])
  await confirmLock(house.context, '1 day')
})
afterEach(async () => {
  await first.end('SIGKILL')
  await second.end('SIGKILL')
})

async function configure(bucket: string, witnesses: readonly TestWitness[]): Promise<void> {
  await house.configure({
    evidence: {
      origin,
      witnesses: witnesses.map(({ witness, key }) => ({ url: witness.url, key })),
    },
    locked_bucket: {
      name: bucket,
      region: s3.region,
      endpoint: s3.endpoint,
      access_key_id: 'env:S3_KEY',
      secret_access_key: 'env:S3_SECRET',
      lock: '1 day',
    },
  })
}

async function round(events: number) {
  for (let n = 0; n < events; n += 1) await appendEvent(house.control, { type: 'run.woken', data: {} })
  return evidenceRound(house.context, 0)
}

const cosigners = (note: string | null | undefined) =>
  cosignaturesOf(parseNote(note ?? ''), [first.witness.key, second.witness.key]).map((one) => one.witness)

describe('a round with witnesses', () => {
  test('publishes the head with the cosignature of each', async () => {
    expect(await round(3)).toMatchObject({ signed: true, cosigned: 2, published: true })
    expect(await round(300)).toMatchObject({ signed: true, cosigned: 2, published: true })
    const published = await publishedHead(house.context)
    expect(published).toMatch(/^example\.org\/lethe\n303\n/)
    expect(cosigners(published)).toEqual(['witness.example/w1', 'witness.example/w2'])
    expect((await newestHead(house.control))?.note).toBe(published)
  })

  test('neither waits for one that is away nor forgets it', async () => {
    await round(3)
    await first.end('SIGKILL')
    expect(await round(3)).toMatchObject({ signed: true, cosigned: 1, published: true })
    expect(cosigners(await publishedHead(house.context))).toEqual(['witness.example/w2'])
    expect((await witnessStates(house.control)).map(({ size }) => size)).toEqual([3, 6])
    await first.start()
    // for one and the same head it is asked once a minute
    expect(await evidenceRound(house.context, 3600)).toMatchObject({ signed: false, cosigned: 0 })
    expect(await round(1)).toMatchObject({ signed: true, cosigned: 2, published: true })
    expect(cosigners(await publishedHead(house.context))).toEqual([
      'witness.example/w1',
      'witness.example/w2',
    ])
  })

  test('has a head cosigned that a killed process had signed and no more', async () => {
    await appendEvent(house.control, { type: 'run.woken', data: {} })
    await sequence(house.control)
    const keys = evidenceKeys(house.context)
    if (keys === null) throw new Error('no log is configured')
    await signHead(house.control, keys, 0)
    expect(await evidenceRound(house.context, 3600)).toMatchObject({
      signed: false,
      cosigned: 2,
      published: true,
    })
  })

  test('signs and publishes nothing, and says so each time, where a witness knows more than the database', async () => {
    await round(4)
    await round(4)
    await house.control.transaction(async (tx) => {
      await tx.execute(`SET LOCAL session_replication_role = replica`)
      await tx.execute(
        `DELETE FROM lethe_control.events e USING lethe_control.evidence_entries x WHERE x.event_id = e.id AND x.index >= 4`,
      )
      await tx.execute('DELETE FROM lethe_control.evidence_entries WHERE index >= 4')
      for (const table of ['cosignatures', 'checkpoints'])
        await tx.execute(`DELETE FROM lethe_control.evidence_${table} WHERE size > 4`)
      await tx.execute('UPDATE lethe_control.evidence_tiles SET hashes = substr(hashes, 1, 4 * 32)')
      await tx.execute('UPDATE lethe_control.evidence_log SET size = 4')
    })
    const before = await publishedHead(house.context)
    await expect(round(1)).rejects.toMatchObject({ code: 'E_EVIDENCE_BROKEN' })
    expect(await publishedHead(house.context)).toBe(before)
    // nobody but the witnesses knows better
    await house.configure({
      evidence: {
        origin,
        witnesses: [first, second].map(({ witness, key }) => ({ url: witness.url, key })),
      },
    })
    await house.control.execute('DELETE FROM lethe_control.leases')
    await expect(round(1)).rejects.toMatchObject({
      code: 'E_EVIDENCE_BROKEN',
      facts: { kind: 'tail-cut', witness: 'witness.example/w1', signed: 8 },
    })
    await expect(round(20)).rejects.toMatchObject({
      code: 'E_EVIDENCE_BROKEN',
      facts: { kind: 'rewritten', witness: 'witness.example/w1' },
    })
    expect((await newestHead(house.control))?.size).toBe(4)
    await house.control.transaction(async (tx) => {
      await tx.execute(`SET LOCAL session_replication_role = replica`)
      for (const table of ['cosignatures', 'checkpoints'])
        await tx.execute(`DELETE FROM lethe_control.evidence_${table}`)
    })
    await expect(round(1)).rejects.toMatchObject({ code: 'E_EVIDENCE_BROKEN' })
    expect(await newestHead(house.control)).toBe(null)
  })
})
