/** An S3 bucket with Object Lock. */
import { createHash } from 'node:crypto'
import {
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { LetheError } from '../errors/index.ts'
import type { Bucket, BucketSettings } from './bucket.ts'

export function s3Bucket(settings: BucketSettings): Bucket {
  const { name: Bucket, prefix = '', attemptMs = 15_000 } = settings
  const client = new S3Client({
    region: settings.region,
    maxAttempts: 3,
    // A path that swallows bytes would otherwise hold whoever waits for the bucket for ever.
    requestHandler: {
      connectionTimeout: Math.min(5000, attemptMs),
      requestTimeout: attemptMs,
      throwOnRequestTimeout: true,
    },
    // A locked object needs Content-MD5; the newer checksums are unknown to many S3 servers.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...(settings.endpoint === undefined ? {} : { endpoint: settings.endpoint, forcePathStyle: true }),
    ...(settings.credentials === undefined ? {} : { credentials: settings.credentials }),
  })

  async function ask<T>(what: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (error) {
      throw new LetheError('E_BUCKET_UNAVAILABLE', {
        message: `Bucket ${Bucket} did not ${what} (${errorName(error)}).`,
        facts: { bucket: Bucket, status: statusOf(error) },
      })
    }
  }

  return {
    name: Bucket,
    async requireLock() {
      const enabled = await ask('say whether it locks objects', async () => {
        try {
          const { ObjectLockConfiguration: lock } = await client.send(
            new GetObjectLockConfigurationCommand({ Bucket }),
          )
          return lock?.ObjectLockEnabled === 'Enabled'
        } catch (error) {
          if (errorName(error) === 'ObjectLockConfigurationNotFoundError') return false
          throw error
        }
      })
      if (!enabled)
        throw new LetheError('E_BUCKET_LOCK', {
          message: `Bucket ${Bucket} was made without Object Lock.`,
          facts: { bucket: Bucket },
        })
    },
    async put(key, body, { contentType, lockedUntil }) {
      await ask(`take ${key}`, () =>
        client.send(
          new PutObjectCommand({
            Bucket,
            Key: `${prefix}${key}`,
            Body: body,
            ContentType: contentType,
            ContentMD5: createHash('md5').update(body).digest('base64'),
            ObjectLockMode: 'COMPLIANCE',
            ObjectLockRetainUntilDate: lockedUntil,
          }),
        ),
      )
    },
    async get(key) {
      return ask(`give ${key}`, async () => {
        try {
          const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: `${prefix}${key}` }))
          return Buffer.from((await Body?.transformToByteArray()) ?? [])
        } catch (error) {
          if (errorName(error) === 'NoSuchKey') return null
          throw error
        }
      })
    },
    close: () => client.destroy(),
  }
}

function errorName(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown'
}

function statusOf(error: unknown): number | null {
  return error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? null) : null
}
