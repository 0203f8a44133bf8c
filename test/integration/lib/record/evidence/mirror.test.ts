import { randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CreateBucketCommand, GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openBucket, type Bucket } from '../../../../../lib/base/bucket/index.ts'
import { migrate, openDatabase, type Database } from '../../../../../lib/base/db/index.ts'
import {
  appendEvent,
  logKeys,
  proveConsistency,
  publishHead,
  sequence,
  signHead,
  verifierKeys,
  verifyConsistency,
  verifyMirror,
  type LogKeys,
  type Trust,
} from '../../../../../lib/record/evidence/index.ts'
import { signCheckpoint } from '../../../../../lib/record/evidence/checkpoint.ts'
import { openKeystore } from '../../../../../lib/base/keystore/index.ts'
import { makeFolder } from '../../../../support/servers/process.ts'
import { freshDatabase, sharedS3 } from '../../../../support/servers/shared.ts'

const origin = 'example.org/lethe'
let control: Database
let fresh: { url: string; drop(): Promise<void> }
let client: S3Client
let bucket: Bucket
let keys: LogKeys
let trust: Trust
/** What the bucket holds, as `aws s3 sync` leaves it; before each test as it was. */
let folder: string
const files = new Map<string, Buffer>()
/** Signed at 300, 600 and 700 entries. */
const heads: string[] = []

beforeAll(async () => {
  const s3 = await sharedS3()
  const { endpoint, region, accessKeyId, secretAccessKey } = s3
  const credentials = { accessKeyId, secretAccessKey }
  client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  fresh = await freshDatabase()
  await migrate(fresh.url, 'control')
  control = openDatabase(fresh.url, { name: 'control', applicationName: 'lethe test' })
  keys = logKeys(
    origin,
    await openKeystore(join(makeFolder('mirror'), 'keystore.json'), { create: true }),
    null,
  )
  trust = { origin, keys: verifierKeys(keys) }
  const name = `mirror-${randomUUID()}`
  await client.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: true }))
  bucket = openBucket({ name, region, endpoint, credentials })
  for (const count of [300, 300, 100]) {
    await control.transaction(async (tx) => {
      for (let n = 0; n < count; n += 1) await appendEvent(tx, { type: 'run.woken', data: {} })
    })
    await sequence(control)
    heads.push((await signHead(control, keys, 0))?.note ?? '')
    await publishHead(control, bucket, keys, new Date(Date.now() + 60_000))
  }
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: name }))
  for (const { Key = '' } of Contents) {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: name, Key }))
    files.set(Key, Buffer.from((await Body?.transformToByteArray()) ?? []))
  }
}, 120_000)
afterAll(async () => {
  bucket.close()
  client.destroy()
  await control.close()
  await fresh.drop()
})
beforeEach(() => {
  folder = makeFolder('mirror')
  for (const [key, body] of files) {
    mkdirSync(dirname(join(folder, key)), { recursive: true })
    writeFileSync(join(folder, key), body)
  }
  return () => {
    rmSync(folder, { recursive: true })
  }
})

describe('a copy of the bucket', () => {
  test('holds by the public keys alone, each signed head in it with the others', async () => {
    expect(await verifyMirror(folder, trust)).toEqual({
      from: 0,
      entries: 700,
      aged: 0,
      heads: 4,
      breaks: [],
    })
  })

  const at = (path: string) => join(folder, path)
  const bend = (path: string) => {
    const bytes = readFileSync(at(path))
    bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40)
    writeFileSync(at(path), bytes)
  }
  test.each([
    ['a tile was truncated', 'tiles', () => truncateSync(at('tile/0/001'), 100), 'holds 3.125 hashes'],
    ['a tile is gone', 'missing', () => rmSync(at('tile/1/000.p/2')), 'tile/1/000.p/2'],
    ['a tile was changed', 'tiles', () => bend('tile/0/000'), 'tile/0/000'],
    ['an entry was changed', 'rewritten', () => bend('tile/entries/001'), 'first 700 entries'],
    ['entries were cut off', 'missing', () => truncateSync(at('tile/entries/002.p/188'), 33), '188 entries'],
    [
      'the newest head is of another history',
      'rewritten',
      () =>
        writeFileSync(
          at('checkpoint'),
          signCheckpoint({ origin, size: 600, root: Buffer.alloc(32, 1) }, keys.signer, new Date()),
        ),
      'forked',
    ],
    [
      'the newest head is of another log',
      'signature',
      () =>
        writeFileSync(
          at('checkpoint'),
          signCheckpoint(
            { origin: 'example.org/b', size: 1, root: Buffer.alloc(32) },
            keys.signer,
            new Date(),
          ),
        ),
      'example.org/b',
    ],
  ])('is seen to be broken: %s', async (_what, kind, breakIt, message) => {
    breakIt()
    const { breaks } = await verifyMirror(folder, trust)
    expect(breaks.map((one) => one.kind)).toContain(kind)
    expect(breaks.map((one) => one.message).join('\n')).toContain(message)
  })

  test('is seen to be signed by somebody else', async () => {
    const other = await openKeystore(join(folder, 'keystore.json'), { create: true })
    const { breaks } = await verifyMirror(folder, {
      origin,
      keys: verifierKeys(logKeys(origin, other, null)),
    })
    expect(breaks.map((one) => one.kind)).toEqual(['signature', 'signature', 'signature', 'signature'])
  })
})

describe('two heads that somebody kept', () => {
  const refused = (text: string) => {
    try {
      verifyConsistency(text, trust)
      return 'held'
    } catch (error) {
      return error instanceof Error && 'code' in error ? error.code : error
    }
  }

  test('are proved to be of one log, whatever lies between them', async () => {
    for (const [n, size] of [300, 600, 700].entries()) {
      const proof = await proveConsistency(control, trust, heads[n] ?? '')
      expect(verifyConsistency(proof, trust)).toMatchObject({ old: { size }, new: { size: 700 } })
    }
  })

  test('are not, once either is another one, or the proof is', async () => {
    const proof = await proveConsistency(control, trust, heads[0] ?? '')
    const forged = signCheckpoint({ origin, size: 300, root: Buffer.alloc(32, 1) }, keys.signer, new Date())
    expect(refused(proof.replace((heads[0] ?? '').trimEnd(), forged.trimEnd()))).toBe('E_EVIDENCE_BROKEN')
    const later = signCheckpoint({ origin, size: 700, root: Buffer.alloc(32, 1) }, keys.signer, new Date())
    expect(refused(proof.replace(heads[2] ?? '', later))).toBe('E_EVIDENCE_BROKEN')
    const lines = proof.split('\n')
    expect(refused([...lines.slice(0, 1), ...lines.slice(2)].join('\n'))).toBe('E_EVIDENCE_BROKEN')
    expect(refused(proof.replace('\n300\n', '\n301\n'))).toBe('E_EVIDENCE_SIGNATURE')
    expect(refused(heads[0] ?? '')).toBe('E_EVIDENCE_FORMAT')
    await expect(
      proveConsistency(control, { ...trust, origin: 'example.org/b' }, heads[0] ?? ''),
    ).rejects.toMatchObject({ code: 'E_EVIDENCE_ORIGIN' })
  })
})
