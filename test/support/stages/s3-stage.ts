/** A bucket with what a test puts into it, an eraser before it, and a proxy between them. */
import { randomUUID } from 'node:crypto'
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import type { Eraser, SubjectRef, Verification } from '../../../lib/data/erasers/index.ts'
import { s3Eraser, type S3Eraser } from '../../../lib/data/erasers/stores/s3/eraser.ts'
import type { S3Plan } from '../../../lib/data/erasers/stores/s3/plan.ts'
import { never, knowing, type Known } from './erasing.ts'
import { startS3Between, type S3Between } from '../servers/s3-between.ts'
import type { S3Address } from '../servers/s3.ts'
import { sharedS3 } from '../servers/shared.ts'

export let s3: S3Address
export let client: S3Client
export let between: S3Between
export let eraser: S3Eraser
export let bucket: string
export const one: SubjectRef = { kind: 'patient', key: ['1'], identifiers: {} }
export const two: SubjectRef = { kind: 'patient', key: ['2'], identifiers: {} }

/** In the test file itself; its tests run one after the other. */
export function stageS3(): void {
  beforeAll(async () => {
    s3 = await sharedS3()
    client = new S3Client({ ...s3, credentials: s3, forcePathStyle: true })
    between = await startS3Between(s3.endpoint)
    eraser = openEraser(between.endpoint)
  }, 120_000)
  afterAll(async () => {
    eraser.close()
    client.destroy()
    await between.close()
  })
  beforeEach(() => {
    between.answer = () => null
    between.seen = []
  })
}

export function openEraser(
  endpoint: string,
  settings: { deadlineMs?: number; attemptMs?: number } = {},
): Eraser<Known<S3Plan>> & { close(): void } {
  const credentials = { accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey }
  return knowing(s3Eraser({ store: 'files', region: s3.region, endpoint, credentials, ...settings }))
}

export async function makeBucket(versioning: 'Enabled' | 'Suspended' | 'never' | 'locked'): Promise<void> {
  bucket = `s3-${randomUUID()}`
  await client.send(
    new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: versioning === 'locked' }),
  )
  if (versioning === 'Enabled') await setVersioning('Enabled')
}

export async function setVersioning(Status: 'Enabled' | 'Suspended'): Promise<void> {
  await client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status } }))
}

export function useBucket(name: string): void {
  bucket = name
}

export async function put(Key: string, lock: object = {}): Promise<string> {
  const input = { Bucket: bucket, Key, Body: 'x', ChecksumAlgorithm: 'SHA256' as const, ...lock }
  return (await client.send(new PutObjectCommand(input))).VersionId ?? 'null'
}

export const hide = (Key: string) => client.send(new DeleteObjectCommand({ Bucket: bucket, Key }))

/** Keys of all that is in the bucket, versions and markers. */
export async function there(): Promise<string[]> {
  const { Versions = [], DeleteMarkers = [] } = await client.send(
    new ListObjectVersionsCommand({ Bucket: bucket }),
  )
  return [
    ...Versions.map(({ Key = '' }) => Key),
    ...DeleteMarkers.map(({ Key = '' }) => `${Key} (marker)`),
  ].sort()
}

/** A place of a plan; in the bucket of the stage unless it names another. */
export type Where = { name: string; bucket?: string } & ({ prefix: string } | { key: string })

export function plan(
  places: readonly Where[] = [{ name: 'files', prefix: 'patients/{id}/' }],
): Known<S3Plan> {
  return {
    places: places.map((place) => ({ bucket, ...place })),
    identifiers: ({ key }) => ({ id: [key[0] ?? ''], document_key: [`docs/${key[0]}`] }),
  }
}

export const request = (limit = 5000) => ({ runId: randomUUID(), fence: 1n, limit })
export const erase = (subjects = [one], places?: readonly Where[], by = eraser) =>
  by.erase(subjects, plan(places), request(), never)
export const verifyEach = (subjects: SubjectRef[], places?: readonly Where[]) =>
  eraser.verify(subjects, plan(places), never)
/** The finding of one subject. */
export async function verify(subject = one, places?: readonly Where[], by = eraser): Promise<Verification> {
  const [finding, ...others] = await by.verify([subject], plan(places), never)
  if (finding === undefined || others.length > 0) throw new Error('one finding was asked for')
  return finding
}
