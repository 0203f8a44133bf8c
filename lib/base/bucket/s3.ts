/** An S3 bucket with Object Lock. */
import { createHash } from 'node:crypto'
import {
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { LetheError } from '../errors/index.ts'
import { ask, Refusal, s3Server } from '../s3/index.ts'
import type { Bucket, BucketSettings } from './bucket.ts'

export function s3Bucket(settings: BucketSettings): Bucket {
  const { name: Bucket, prefix = '' } = settings
  const server = s3Server({ ...settings, store: Bucket, attempts: 3 })

  /** `absent`: what the server calls a thing that isn't there, which is null then. */
  async function call<T>(
    what: string,
    absent: string,
    send: (client: S3Client, options: { abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T | null> {
    try {
      return await ask(server, Bucket, what, send)
    } catch (error) {
      if (error instanceof Refusal && error.code === absent) return null
      throw away(Bucket, what, error)
    }
  }

  return {
    name: Bucket,
    async requireLock() {
      const found = await call(
        'say whether it locks objects',
        'ObjectLockConfigurationNotFoundError',
        (client, options) => client.send(new GetObjectLockConfigurationCommand({ Bucket }), options),
      )
      if (found?.ObjectLockConfiguration?.ObjectLockEnabled !== 'Enabled')
        throw new LetheError('E_BUCKET_LOCK', {
          message: `Bucket ${Bucket} was made without Object Lock.`,
          facts: { bucket: Bucket },
        })
    },
    async put(key, body, { contentType, lockedUntil }) {
      const command = new PutObjectCommand({
        Bucket,
        Key: `${prefix}${key}`,
        Body: body,
        ContentType: contentType,
        // a locked object needs it
        ContentMD5: createHash('md5').update(body).digest('base64'),
        ObjectLockMode: 'COMPLIANCE',
        ObjectLockRetainUntilDate: lockedUntil,
      })
      await call(`take ${key}`, '', (client, options) => client.send(command, options))
    },
    get: (key) =>
      call(`give ${key}`, 'NoSuchKey', async (client, options) => {
        const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: `${prefix}${key}` }), options)
        return Buffer.from((await Body?.transformToByteArray()) ?? [])
      }),
    close: () => server.client.destroy(),
  }
}

/** Refused or not reached: either way what waits for the bucket is written once it answers. */
function away(bucket: string, what: string, error: unknown): LetheError {
  const refused = error instanceof Refusal ? error : null
  const reason = refused?.code ?? (error instanceof LetheError ? String(error.facts['reason']) : 'unknown')
  return new LetheError('E_BUCKET_UNAVAILABLE', {
    message: `Bucket ${bucket} did not ${what} (${reason}).`,
    facts: { bucket, status: refused?.status ?? null },
  })
}
