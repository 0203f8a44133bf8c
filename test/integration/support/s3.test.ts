import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readlinkSync } from 'node:fs'
import { createInterface } from 'node:readline'
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { z } from 'zod'
import { canConnect } from '../../support/servers/process.ts'
import { startS3, type S3Address, type S3Server } from '../../support/servers/servers.ts'
import { sharedS3 } from '../../support/servers/shared.ts'

// the first on a machine installs the server
const installTime = 120_000
const day = 24 * 60 * 60 * 1000

let s3: S3Server
let client: S3Client
beforeAll(async () => {
  s3 = await startS3({ own: true })
  client = connect(s3)
}, installTime)
afterAll(async () => {
  client.destroy()
  await s3.stop()
})

function connect(address: S3Address): S3Client {
  return new S3Client({ ...address, credentials: address, forcePathStyle: true, maxAttempts: 1 })
}

async function createBucket(Bucket: string, ObjectLockEnabledForBucket: boolean): Promise<string> {
  await client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket }))
  return Bucket
}

async function putLocked(Bucket: string, Body: string, until: Date): Promise<string | undefined> {
  const { VersionId } = await client.send(
    new PutObjectCommand({
      Bucket,
      Key: 'key',
      Body,
      ObjectLockMode: 'COMPLIANCE',
      ObjectLockRetainUntilDate: until,
    }),
  )
  return VersionId
}

async function read(Bucket: string, VersionId?: string): Promise<string | undefined> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: 'key', VersionId }))
  return Body?.transformToString()
}

describe('a bucket with Object Lock', () => {
  test('says so, and keeps a locked version from every kind of deletion', async () => {
    const Bucket = await createBucket('locked', true)
    const { ObjectLockConfiguration } = await client.send(new GetObjectLockConfigurationCommand({ Bucket }))
    expect(ObjectLockConfiguration).toEqual({ ObjectLockEnabled: 'Enabled' })

    const until = new Date(Date.now() + day)
    const VersionId = await putLocked(Bucket, 'value', until)
    const object = { Bucket, Key: 'key', VersionId }
    expect(await client.send(new HeadObjectCommand(object))).toMatchObject({
      ObjectLockMode: 'COMPLIANCE',
      ObjectLockRetainUntilDate: until,
    })
    const refused = { name: 'AccessDenied', message: 'forbidden by object lock' }
    await expect(client.send(new DeleteObjectCommand(object))).rejects.toMatchObject(refused)
    await expect(
      client.send(new DeleteObjectCommand({ ...object, BypassGovernanceRetention: true })),
    ).rejects.toMatchObject(refused)
    const { Errors } = await client.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'key', VersionId }] } }),
    )
    expect(Errors).toMatchObject([{ Key: 'key', VersionId, Code: 'AccessDenied' }])
    expect(await read(Bucket, VersionId)).toBe('value')
  })

  test('lets the time of a lock grow but not shrink', async () => {
    const Bucket = await createBucket('growing', true)
    const VersionId = await putLocked(Bucket, 'value', new Date(Date.now() + 2 * day))
    const retain = (RetainUntilDate: Date) =>
      client.send(
        new PutObjectRetentionCommand({
          Bucket,
          Key: 'key',
          VersionId,
          Retention: { Mode: 'COMPLIANCE', RetainUntilDate },
        }),
      )
    await expect(retain(new Date(Date.now() + day))).rejects.toMatchObject({ name: 'AccessDenied' })
    const later = new Date(Date.now() + 3 * day)
    await retain(later)
    const { Retention } = await client.send(new GetObjectRetentionCommand({ Bucket, Key: 'key', VersionId }))
    expect(Retention).toEqual({ Mode: 'COMPLIANCE', RetainUntilDate: later })
  })

  test('gives a version up once its time is over', async () => {
    const Bucket = await createBucket('short', true)
    const VersionId = await putLocked(Bucket, 'value', new Date(Date.now() + 3000))
    const remove = () => client.send(new DeleteObjectCommand({ Bucket, Key: 'key', VersionId }))
    await expect(remove()).rejects.toMatchObject({ name: 'AccessDenied' })
    await vi.waitFor(remove, { timeout: 10_000, interval: 200 })
    await expect(read(Bucket, VersionId)).rejects.toMatchObject({ name: 'NoSuchKey' })
  })

  test('keeps the first version under an overwrite and under a delete marker', async () => {
    const Bucket = await createBucket('versions', true)
    const until = new Date(Date.now() + day)
    const first = await putLocked(Bucket, 'one', until)
    const second = await putLocked(Bucket, 'two', until)
    const { Versions } = await client.send(new ListObjectVersionsCommand({ Bucket }))
    expect(Versions?.map(({ VersionId, IsLatest }) => [VersionId, IsLatest])).toEqual([
      [second, true],
      [first, false],
    ])
    const { DeleteMarker } = await client.send(new DeleteObjectCommand({ Bucket, Key: 'key' }))
    expect(DeleteMarker).toBe(true)
    await expect(read(Bucket)).rejects.toMatchObject({ name: 'NoSuchKey' })
    expect([await read(Bucket, first), await read(Bucket, second)]).toEqual(['one', 'two'])
  })
})

describe('a bucket without Object Lock', () => {
  test('is told by the error of its configuration, and takes no locked object', async () => {
    const Bucket = await createBucket('plain', false)
    await expect(client.send(new GetObjectLockConfigurationCommand({ Bucket }))).rejects.toMatchObject({
      name: 'ObjectLockConfigurationNotFoundError',
      $metadata: { httpStatusCode: 404 },
    })
    await expect(putLocked(Bucket, 'value', new Date(Date.now() + day))).rejects.toMatchObject({
      name: 'InvalidRequest',
    })
    await expect(
      client.send(new GetObjectLockConfigurationCommand({ Bucket: 'absent' })),
    ).rejects.toMatchObject({ name: 'NoSuchBucket' })
  })
})

describe('the server itself', () => {
  test('answers nothing while it is paused, and goes on after', async () => {
    s3.pause()
    onTestFinished(() => s3.resume())
    const answer = client.send(new ListBucketsCommand({}), { abortSignal: AbortSignal.timeout(500) })
    await expect(answer).rejects.toMatchObject({ name: 'AbortError' })
    s3.resume()
    expect((await client.send(new ListBucketsCommand({}))).$metadata.httpStatusCode).toBe(200)
  })

  test('keeps what it confirmed when it is killed and comes back on the same address', async () => {
    const Bucket = await createBucket('survivor', true)
    await putLocked(Bucket, 'value', new Date(Date.now() + day))
    await s3.kill()
    await expect(canConnect(s3.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await expect(read(Bucket)).rejects.toThrow()
    await s3.restart()
    expect(await read(Bucket)).toBe('value')
  })

  test.each(['as it runs', 'while it is paused'])(
    'leaves nothing behind when it is stopped %s',
    async (how) => {
      const own = await startS3({ own: true })
      const { pids } = own
      const folders = pids.map((pid) => readlinkSync(`/proc/${pid}/cwd`))
      expect(pids.filter(runs)).toHaveLength(3)
      expect(new Set(folders).size).toBe(1)
      if (how === 'while it is paused') own.pause()
      await own.stop()
      expect(pids.filter(runs)).toEqual([])
      expect(folders.filter((folder) => existsSync(folder))).toEqual([])
    },
  )

  test('leaves nothing behind when the process that started it is killed', async () => {
    const child = spawn(
      process.execPath,
      [new URL('../../support/servers/idle-s3.ts', import.meta.url).pathname],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    const [line] = await once(createInterface({ input: child.stdout }), 'line')
    const pids = z.array(z.number()).parse(JSON.parse(String(line)))
    const folder = readlinkSync(`/proc/${pids[0]}/cwd`)
    expect(pids.filter(runs)).toHaveLength(3)
    child.kill('SIGKILL')
    await expect.poll(() => pids.filter(runs), { timeout: 15_000 }).toEqual([])
    await expect.poll(() => existsSync(folder), { timeout: 15_000 }).toBe(false)
  })
})

test('the server shared by the whole run is the same for everybody who asks', async () => {
  const [one, two] = await Promise.all([sharedS3(), sharedS3()])
  expect(one).toEqual(two)
  const shared = connect(one)
  onTestFinished(() => shared.destroy())
  expect((await shared.send(new ListBucketsCommand({}))).$metadata.httpStatusCode).toBe(200)
  expect(one.endpoint).not.toBe(s3.endpoint)
})

test('an address in the environment wins, with its keys', async () => {
  vi.stubEnv('LETHE_TEST_S3_URL', s3.endpoint)
  vi.stubEnv('LETHE_TEST_S3_ACCESS_KEY', '')
  onTestFinished(() => void vi.unstubAllEnvs())
  await expect(startS3()).rejects.toThrow('LETHE_TEST_S3_ACCESS_KEY is not')
  vi.stubEnv('LETHE_TEST_S3_ACCESS_KEY', s3.accessKeyId)
  vi.stubEnv('LETHE_TEST_S3_SECRET_KEY', s3.secretAccessKey)
  const given = await startS3()
  expect(given).toMatchObject({ source: 'environment', endpoint: s3.endpoint, host: s3.host, port: s3.port })
  expect(() => given.pause()).toThrow('ask for your own')
  await given.stop()
  const connected = connect(given)
  onTestFinished(() => connected.destroy())
  expect((await connected.send(new ListBucketsCommand({}))).$metadata.httpStatusCode).toBe(200)
})

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
