/** What lies under a target: every version, every delete marker, every upload that was begun and not ended. */
import {
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  type ObjectVersion,
} from '@aws-sdk/client-s3'
import { ask, Refusal, unavailable, type S3Server } from './client.ts'
import type { Target } from './plan.ts'

export interface Version {
  target: Target
  key: string
  /** `null`, the word, where it was written without versioning. */
  versionId: string
  marker: boolean
  /** What a reader without a version id gets. */
  latest: boolean
}

export interface Upload {
  target: Target
  key: string
  uploadId: string
}

type Listed = Pick<ObjectVersion, 'Key' | 'VersionId' | 'IsLatest'>

export const LIST = 'list what it holds'

/**
 * In order of key. Keys come as they are and not URL-encoded: some servers encode them without saying so, or don't
 * encode the markers that go with them.
 */
export async function* versionPages(
  server: S3Server,
  target: Target,
  signal: AbortSignal,
): AsyncGenerator<Version[]> {
  let from: { KeyMarker?: string; VersionIdMarker?: string } = {}
  for (;;) {
    const input = { Bucket: target.bucket, Prefix: target.text, ...from }
    const answer = await ask(
      server,
      target.bucket,
      LIST,
      (client, options) => client.send(new ListObjectVersionsCommand(input), options),
      signal,
    )
    const read = (marker: boolean) => (entry: Listed) => ({
      target,
      key: entry.Key ?? '',
      versionId: entry.VersionId ?? 'null',
      marker,
      latest: entry.IsLatest ?? false,
    })
    const found = [
      ...(answer.Versions ?? []).map(read(false)),
      ...(answer.DeleteMarkers ?? []).map(read(true)),
    ]
    const wanted = within(server, target, found)
    if (wanted.length > 0) yield wanted
    // A key comes before all longer ones that begin with it.
    if (answer.IsTruncated !== true || wanted.length < found.length) return
    const next = {
      ...marked('KeyMarker', answer.NextKeyMarker),
      ...marked('VersionIdMarker', answer.NextVersionIdMarker),
    }
    if (isStuck(from, next)) throw unavailable(server, target.bucket, LIST, 'the list goes in a circle')
    from = next
  }
}

export async function* uploadPages(
  server: S3Server,
  target: Target,
  signal: AbortSignal,
): AsyncGenerator<Upload[]> {
  let from: { KeyMarker?: string; UploadIdMarker?: string } = {}
  for (;;) {
    const input = { Bucket: target.bucket, Prefix: target.text, ...from }
    const answer = await ask(
      server,
      target.bucket,
      LIST,
      (client, options) => client.send(new ListMultipartUploadsCommand(input), options),
      signal,
    )
    const found = (answer.Uploads ?? []).map(({ Key = '', UploadId = '' }) => ({
      target,
      key: Key,
      uploadId: UploadId,
    }))
    const wanted = within(server, target, found)
    if (wanted.length > 0) yield wanted
    if (answer.IsTruncated !== true || wanted.length < found.length) return
    const next = {
      ...marked('KeyMarker', answer.NextKeyMarker),
      ...marked('UploadIdMarker', answer.NextUploadIdMarker),
    }
    if (isStuck(from, next)) throw unavailable(server, target.bucket, LIST, 'the list goes in a circle')
    from = next
  }
}

/**
 * Uploads under several prefixes of one bucket, by target, in one call. Null: there are more than a page of them, or nobody
 * may list what the prefixes have in common; each target is then listed by itself. Not for exact keys: some servers find an
 * upload by its whole key only.
 */
export async function uploadsTogether(
  server: S3Server,
  bucket: string,
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<ReadonlyMap<Target, Upload[]> | null> {
  const Prefix = commonStart(targets.map(({ text }) => text))
  try {
    const answer = await ask(
      server,
      bucket,
      LIST,
      (client, options) => client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix }), options),
      signal,
    )
    if (answer.IsTruncated === true) return null
    const found = (answer.Uploads ?? []).map(({ Key = '', UploadId = '' }) => ({
      key: Key,
      uploadId: UploadId,
    }))
    if (found.some(({ key }) => !key.startsWith(Prefix)))
      throw unavailable(server, bucket, LIST, 'it listed another prefix')
    return new Map(
      targets.map((target) => [
        target,
        found.filter(({ key }) => key.startsWith(target.text)).map((upload) => ({ target, ...upload })),
      ]),
    )
  } catch (error) {
    if (error instanceof Refusal) return null
    throw error
  }
}

function commonStart(texts: readonly string[]): string {
  let common = texts[0] ?? ''
  for (const text of texts) {
    let length = 0
    while (length < common.length && common[length] === text[length]) length += 1
    common = common.slice(0, length)
  }
  // Half of a character outside the first plane is no text that can be asked for.
  return common.isWellFormed() ? common : common.slice(0, -1)
}

/** A server that lists what wasn't asked for would have it deleted, or hide what was: neither may pass. */
function within<T extends { key: string }>(server: S3Server, target: Target, found: readonly T[]): T[] {
  if (found.some(({ key }) => !key.startsWith(target.text)))
    throw unavailable(server, target.bucket, LIST, 'it listed another prefix')
  return target.exact ? found.filter(({ key }) => key === target.text) : [...found]
}

function marked<K extends string>(name: K, value: string | undefined): Partial<Record<K, string>> {
  return value === undefined || value === '' ? {} : ({ [name]: value } as Record<K, string>)
}

function isStuck(from: object, next: object): boolean {
  return Object.keys(next).length === 0 || JSON.stringify(from) === JSON.stringify(next)
}
