import { randomUUID } from 'node:crypto'
import {
  CreateBucketCommand,
  DeleteBucketPolicyCommand,
  DeleteObjectCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import type { SubjectRef } from '../../lib/data/erasers/index.ts'
import { s3Eraser } from '../../lib/data/erasers/stores/s3/eraser.ts'
import type { S3Plan } from '../../lib/data/erasers/stores/s3/plan.ts'
import { idOf, people, person, knowing, type Known } from '../support/stages/erasing.ts'
import { askedToDelete, isDelete, startS3Between } from '../support/servers/s3-between.ts'
import { sharedS3 } from '../support/servers/shared.ts'
import { describeEraser, type EraserFixture } from './eraser.ts'

describeEraser('for S3', async (): Promise<EraserFixture<Known<S3Plan>, 'retain'>> => {
  const { endpoint, region, accessKeyId, secretAccessKey } = await sharedS3()
  const credentials = { accessKeyId, secretAccessKey }
  const between = await startS3Between(endpoint)
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  const eraser = knowing(s3Eraser({ store: 'files', region, endpoint: between.endpoint, credentials }))
  const files = { name: 'files', bucket: '', prefix: 'people/{id}/' }
  const letters = { name: 'letters', bucket: '', key: '{letter}' }
  const plan = {
    places: [files, letters],
    identifiers: (subject: SubjectRef) => ({ id: [idOf(subject)], letter: [`letters/${idOf(subject)}.pdf`] }),
  }
  const put = ({ bucket }: { bucket: string }, Key: string, lock: object = {}) =>
    client.send(
      new PutObjectCommand({ Bucket: bucket, Key, Body: 'x', ChecksumAlgorithm: 'SHA256', ...lock }),
    )
  return {
    eraser,
    plan,
    stranger: person(999_999),
    // Locked objects can't be emptied out: other buckets.
    async reset() {
      between.answer = () => null
      for (const place of [files, letters]) {
        place.bucket = `erase-${randomUUID()}`
        await client.send(
          new CreateBucketCommand({ Bucket: place.bucket, ObjectLockEnabledForBucket: place === files }),
        )
      }
    },
    // Two versions of a file, one more under a delete marker, and a letter in another bucket.
    async seed(count) {
      const subjects = people(count)
      for (const one of subjects) {
        await put(files, `people/${idOf(one)}/scan`)
        await put(files, `people/${idOf(one)}/scan`)
        await put(files, `people/${idOf(one)}/old`)
        await client.send(new DeleteObjectCommand({ Bucket: files.bucket, Key: `people/${idOf(one)}/old` }))
        await put(letters, `letters/${idOf(one)}.pdf`)
      }
      return subjects
    },
    request: async (limit) => ({ runId: randomUUID(), fence: 1n, limit }),
    async lieAbout(subject) {
      between.answer = (seen) => {
        const asked = isDelete(seen) ? askedToDelete(seen) : []
        if (!asked.some(({ key }) => key.includes(idOf(subject)))) return null
        const done = asked.map(
          ({ key, versionId }) => `<Deleted><Key>${key}</Key><VersionId>${versionId}</VersionId></Deleted>`,
        )
        return { status: 200, body: `<DeleteResult>${done.join('')}</DeleteResult>` }
      }
    },
    async refuse(subject) {
      const deny = {
        Effect: 'Deny',
        Principal: '*',
        Action: ['s3:DeleteObject', 's3:DeleteObjectVersion'],
        Resource: `arn:aws:s3:::${files.bucket}/people/${idOf(subject)}/*`,
      }
      const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [deny] })
      await client.send(new PutBucketPolicyCommand({ Bucket: files.bucket, Policy }))
      return async () => {
        await client.send(new DeleteBucketPolicyCommand({ Bucket: files.bucket }))
      }
    },
    async retain(subject) {
      await put(files, `people/${idOf(subject)}/invoice`, {
        ObjectLockMode: 'COMPLIANCE',
        ObjectLockRetainUntilDate: new Date(Date.now() + 3_600_000),
      })
    },
    async close() {
      eraser.close()
      client.destroy()
      await between.close()
    },
  }
})
