/** Takes versions, delete markers and uploads away, and says of each whether it went. */
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  type ObjectIdentifier,
} from '@aws-sdk/client-s3'
import { randomFraction, sleep } from '../../../../base/clock/index.ts'
import { abreast } from '../../../../base/slices/index.ts'
import { ask, isTransient, Refusal, safeCode, type S3Server } from '../../../../base/s3/index.ts'
import type { Upload, Version } from './list.ts'
import { AT_ONCE, type Item } from './survey.ts'

/** Keys that one DeleteObjects takes. */
export const BATCH = 1000
/** For single keys that the server is too busy for; whole calls are repeated by the SDK. */
const ROUNDS = 4
const FIRST_WAIT_MS = 200

/** Of each item, in their order: null where it went, else the server's word. */
export type Outcome = string | null

/** At most BATCH items. Nothing but the deadline ends a call that deletes: what it did would be unknown. */
export async function remove(
  server: S3Server,
  items: readonly Item[],
  signal: AbortSignal,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = items.map(() => 'InternalError')
  for (let round = 0; round < ROUNDS; round += 1) {
    const waiting = [...items.entries()].filter(([place]) => isTransient(outcomes[place] ?? ''))
    if (waiting.length === 0) break
    signal.throwIfAborted()
    // Between half and all of a wait that doubles: clients that were turned away together don't come back together.
    if (round > 0) await sleep(FIRST_WAIT_MS * 2 ** round * (0.5 + randomFraction() / 2), signal)
    const found = await removeOnce(
      server,
      waiting.map(([, item]) => item),
    )
    for (const [turn, [place]] of waiting.entries()) outcomes[place] = found[turn] ?? null
  }
  return outcomes
}

async function removeOnce(server: S3Server, items: readonly Item[]): Promise<Outcome[]> {
  const outcomes = new Map<Item, Outcome>()
  const uploads = items.filter(isUpload)
  const versions = items.filter((item): item is Version => !isUpload(item))
  const aborted = await abreast(uploads, AT_ONCE, (upload) => abort(server, upload))
  for (const [place, upload] of uploads.entries()) outcomes.set(upload, aborted[place] ?? null)
  for (const [bucket, some] of Map.groupBy(versions, ({ target }) => target.bucket)) {
    const deleted = await deleteAll(server, bucket, some)
    for (const [place, version] of some.entries()) outcomes.set(version, deleted[place] ?? null)
  }
  return items.map((item) => outcomes.get(item) ?? null)
}

/** A lock in governance mode is never bypassed: the header for it is not sent. */
async function deleteAll(server: S3Server, bucket: string, versions: readonly Version[]): Promise<Outcome[]> {
  const Objects = versions.map(({ key, versionId }) => ({ Key: key, VersionId: versionId }))
  const command = new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: false } })
  try {
    const { Deleted = [], Errors = [] } = await ask(server, bucket, 'delete', (client, options) =>
      client.send(command, options),
    )
    const errors = new Map(Errors.map((error) => [nameOf(error), safeCode(error.Code)]))
    const gone = new Set(Deleted.map(nameOf))
    return Objects.map((object) => {
      const name = nameOf(object)
      // What the answer leaves out was not done.
      return gone.has(name) ? null : notThere(errors.get(name) ?? 'unanswered')
    })
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    // One key that XML can't carry has the whole list refused: the others don't wait for it.
    if (error.status === 400) return abreast(versions, AT_ONCE, (version) => deleteOne(server, version))
    return versions.map(() => error.code)
  }
}

async function deleteOne(server: S3Server, { target, key, versionId }: Version): Promise<Outcome> {
  const command = new DeleteObjectCommand({ Bucket: target.bucket, Key: key, VersionId: versionId })
  return refused(() =>
    ask(server, target.bucket, 'delete', (client, options) => client.send(command, options)),
  )
}

async function abort(server: S3Server, { target, key, uploadId }: Upload): Promise<Outcome> {
  const command = new AbortMultipartUploadCommand({ Bucket: target.bucket, Key: key, UploadId: uploadId })
  return refused(() =>
    ask(server, target.bucket, 'end an upload', (client, options) => client.send(command, options)),
  )
}

async function refused(call: () => Promise<unknown>): Promise<Outcome> {
  try {
    await call()
    return null
  } catch (error) {
    if (error instanceof Refusal) return notThere(error.code)
    throw error
  }
}

/** Gone is gone, whoever took it. */
function notThere(code: string): Outcome {
  return /^(NoSuchKey|NoSuchVersion|NoSuchUpload)$/.test(code) ? null : code
}

function nameOf({
  Key = '',
  VersionId = 'null',
}: Pick<ObjectIdentifier, 'VersionId'> & { Key?: string | undefined }): string {
  return JSON.stringify([Key, VersionId === '' ? 'null' : VersionId])
}

function isUpload(item: Item): item is Upload {
  return 'uploadId' in item
}
