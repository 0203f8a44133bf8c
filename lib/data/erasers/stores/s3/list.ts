/** What lies under a target: every version, every delete marker, every upload that was begun and not ended. */
import {
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  type ObjectVersion,
} from '@aws-sdk/client-s3'
import { ask, Refusal, unavailable, type S3Server } from '../../../../base/s3/index.ts'
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

export const LIST = 'list what it holds'

/** In order of key. */
export function versionPages(
  server: S3Server,
  target: Target,
  signal: AbortSignal,
): AsyncGenerator<Version[]> {
  return pages(server, target, listVersions, signal)
}

export function uploadPages(server: S3Server, target: Target, signal: AbortSignal): AsyncGenerator<Upload[]> {
  return pages(server, target, listUploads, signal)
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
    const { found, whole } = await listUploads(server, { Bucket: bucket, Prefix }, signal)
    if (!whole) return null
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

/** Behind which entry a list goes on. */
interface Mark {
  KeyMarker?: string | undefined
  VersionIdMarker?: string | undefined
  UploadIdMarker?: string | undefined
}

type Asked = Mark & { Bucket: string; Prefix: string }

interface Listing<T> {
  found: T[]
  whole: boolean
  next: Mark
}

async function* pages<T extends { key: string }>(
  server: S3Server,
  target: Target,
  list: (server: S3Server, asked: Asked, signal: AbortSignal) => Promise<Listing<T>>,
  signal: AbortSignal,
): AsyncGenerator<(T & { target: Target })[]> {
  const { bucket, text } = target
  let from: Mark = {}
  for (;;) {
    const { found, whole, next } = await list(server, { Bucket: bucket, Prefix: text, ...from }, signal)
    const wanted = within(server, target, found)
    if (wanted.length > 0) yield wanted.map((entry) => ({ ...entry, target }))
    // A key comes before all longer ones that begin with it.
    if (whole || wanted.length < found.length) return
    const marked = Object.entries(next).filter(([, mark]) => mark !== undefined && mark !== '')
    if (marked.length === 0 || JSON.stringify(marked) === JSON.stringify(Object.entries(from)))
      throw unavailable(server, bucket, LIST, 'the list goes in a circle')
    from = Object.fromEntries(marked)
  }
}

/** Keys come as they are and not URL-encoded: some servers encode them without saying so, or don't encode the markers. */
async function listVersions(
  server: S3Server,
  asked: Asked,
  signal: AbortSignal,
): Promise<Listing<Omit<Version, 'target'>>> {
  const answer = await ask(
    server,
    asked.Bucket,
    LIST,
    (client, options) => client.send(new ListObjectVersionsCommand(asked), options),
    signal,
  )
  const read = (marker: boolean) => (entry: Pick<ObjectVersion, 'Key' | 'VersionId' | 'IsLatest'>) => ({
    key: entry.Key ?? '',
    versionId: entry.VersionId ?? 'null',
    marker,
    latest: entry.IsLatest ?? false,
  })
  return {
    found: [...(answer.Versions ?? []).map(read(false)), ...(answer.DeleteMarkers ?? []).map(read(true))],
    whole: answer.IsTruncated !== true,
    next: { KeyMarker: answer.NextKeyMarker, VersionIdMarker: answer.NextVersionIdMarker },
  }
}

async function listUploads(
  server: S3Server,
  asked: Asked,
  signal: AbortSignal,
): Promise<Listing<Omit<Upload, 'target'>>> {
  const answer = await ask(
    server,
    asked.Bucket,
    LIST,
    (client, options) => client.send(new ListMultipartUploadsCommand(asked), options),
    signal,
  )
  return {
    found: (answer.Uploads ?? []).map(({ Key = '', UploadId = '' }) => ({ key: Key, uploadId: UploadId })),
    whole: answer.IsTruncated !== true,
    next: { KeyMarker: answer.NextKeyMarker, UploadIdMarker: answer.NextUploadIdMarker },
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
