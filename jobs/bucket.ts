/** The one object-locked bucket: signed heads and entries of the evidence log, and copies of the erasure ledger. */
import { z } from 'zod'
import { openBucket, type Bucket } from '../lib/base/bucket/index.ts'
import type { Database } from '../lib/base/db/index.ts'
import { LetheError } from '../lib/base/errors/index.ts'
import type { Context } from './context.ts'

export async function withBucket<T>(context: Context, use: (bucket: Bucket) => Promise<T>): Promise<T> {
  const bucket = openLockedBucket(context)
  try {
    return await use(bucket)
  } finally {
    bucket.close()
  }
}

/** Connects at its first call, and keeps the connection until it is closed. */
export function openLockedBucket({ config }: Pick<Context, 'config'>): Bucket {
  const settings = config.file.locked_bucket
  if (settings === undefined) throw new LetheError('E_INTERNAL', { message: 'No bucket is configured.' })
  const { name, region, endpoint, prefix, access_key_id: access, secret_access_key: secret } = settings
  return openBucket({
    name,
    region,
    prefix,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(access === undefined || secret === undefined
      ? {}
      : { credentials: { accessKeyId: config.secret(access), secretAccessKey: config.secret(secret) } }),
  })
}

/** Null until a person has typed this period back: what is locked in compliance mode nobody can unlock. */
export async function lockUntil(control: Database, period: string): Promise<Date | null> {
  const [row] = await control.query(
    z.object({ confirmed: z.boolean(), until: z.date() }),
    `SELECT coalesce(locked_for = $1, false) AS confirmed, clock_timestamp() + $1::interval AS until
     FROM lethe_control.evidence_log`,
    [period],
  )
  return row?.confirmed === true ? row.until : null
}
