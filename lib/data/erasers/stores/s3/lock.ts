/** What Object Lock keeps, and until when. It is asked before anything is deleted: not every server looks itself. */
import {
  GetObjectLegalHoldCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { ask, orRefused, Refusal, type S3Server } from '../../../../base/s3/index.ts'
import type { Version } from './list.ts'
import type { Target } from './plan.ts'

export interface Kept {
  ground: 'object lock until' | 'legal hold'
  /** ISO instant; null: until somebody lifts the hold. */
  until: string | null
}

/** A version's state: kept, free, or unknown with the reason why nobody may look. */
export type LockState = { kept: Kept } | 'free' | { unknown: string }

const none = /^(ObjectLockConfigurationNotFoundError|NoSuchObjectLockConfiguration|NoSuchKey|NoSuchVersion)$/

/** Which buckets lock objects. The first call to each: a missing one, or wrong credentials, end the work here. */
export async function lockingBuckets(
  server: S3Server,
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const locking = new Set<string>()
  for (const bucket of new Set(targets.map(({ bucket }) => bucket)))
    if (await locksObjects(server, bucket, signal)) locking.add(bucket)
  return locking
}

async function locksObjects(server: S3Server, bucket: string, signal: AbortSignal): Promise<boolean> {
  const what = 'say whether it locks objects'
  return orRefused(server, bucket, what, async () => {
    try {
      const input = { Bucket: bucket }
      const { ObjectLockConfiguration: lock } = await ask(
        server,
        bucket,
        what,
        (client, options) => client.send(new GetObjectLockConfigurationCommand(input), options),
        signal,
      )
      return lock?.ObjectLockEnabled === 'Enabled'
    } catch (error) {
      if (error instanceof Refusal && (none.test(error.code) || error.status === 501)) return false
      throw error
    }
  })
}

/** Two calls; a HEAD would be one, but says nothing where the right to see the lock is missing. */
export async function lockOf(server: S3Server, version: Version, signal: AbortSignal): Promise<LockState> {
  const { bucket } = version.target
  const input = { Bucket: bucket, Key: version.key, VersionId: version.versionId }
  try {
    const hold = await orNone(server, bucket, signal, (client, options) =>
      client.send(new GetObjectLegalHoldCommand(input), options),
    )
    // A hold has no end, so it outlasts whatever else keeps the version.
    if (hold?.LegalHold?.Status === 'ON') return { kept: { ground: 'legal hold', until: null } }
    const retention = await orNone(server, bucket, signal, (client, options) =>
      client.send(new GetObjectRetentionCommand(input), options),
    )
    const until = retention?.Retention?.RetainUntilDate
    if (until === undefined) return 'free'
    const now = retention === null ? undefined : serverTime(retention)
    if (now !== undefined && until <= now) return 'free'
    return { kept: { ground: 'object lock until', until: until.toISOString() } }
  } catch (error) {
    if (error instanceof Refusal) return { unknown: error.code }
    throw error
  }
}

async function orNone<T>(
  server: S3Server,
  bucket: string,
  signal: AbortSignal,
  call: (client: S3Client, options: { abortSignal: AbortSignal }) => Promise<T>,
): Promise<T | null> {
  try {
    return await ask(server, bucket, 'say what it locks', call, signal)
  } catch (error) {
    if (error instanceof Refusal && none.test(error.code)) return null
    throw error
  }
}

const times = new WeakMap<object, Date>()

/** Whether a lock has ended is decided by the clock of the server that holds it: each answer keeps its Date. */
export function keepServerTime(client: S3Client): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args)
      const date = new Date(dateHeader(result.response))
      if (result.output !== undefined && !Number.isNaN(date.getTime())) times.set(result.output, date)
      return result
    },
    { step: 'deserialize', name: 'keepServerTime', priority: 'high' },
  )
}

function serverTime(answer: object): Date | undefined {
  return times.get(answer)
}

function dateHeader(response: unknown): string {
  const { headers } = response as { headers?: Record<string, string> }
  return headers?.['date'] ?? ''
}
