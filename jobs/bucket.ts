/** The one object-locked bucket: signed heads and entries of the evidence log, and copies of the erasure ledger. */
import { openBucket, type Bucket } from '../lib/base/bucket/index.ts'
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
