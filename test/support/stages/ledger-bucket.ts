/**
 * An object-locked bucket for the erasure ledger on a real S3 server, behind something that can hold its requests, answer for it
 * or lose its answers; and the reader that a restore will need: what the objects alone say of who is erased where.
 */
import { randomUUID } from 'node:crypto'
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectVersionsCommand,
  S3Client,
  type ListObjectVersionsCommandOutput,
} from '@aws-sdk/client-s3'
import { z } from 'zod'
import type { Database } from '../../../lib/base/db/index.ts'
import { confirmLock } from '../../../jobs/evidence/index.ts'
import type { Context } from '../../../jobs/context.ts'
import type { S3Address } from '../servers/s3.ts'
import { startS3Between, type Seen } from '../servers/s3-between.ts'

const object = z.strictObject({
  lethe: z.literal(1),
  number: z.number(),
  run: z.uuid(),
  entries: z.array(
    z.strictObject({
      entry: z.enum(['erase', 'void', 'reinstated']),
      store: z.string(),
      subjectKind: z.string(),
      mapVersion: z.string(),
      planHash: z.string(),
      keyId: z.string(),
      hashVersion: z.literal(2),
      subjects: z.array(z.string().regex(/^[0-9a-f]{64}$/)).min(1),
    }),
  ),
})
export type LedgerObject = z.infer<typeof object>

export interface LedgerBucket {
  /** What a context needs in its environment. */
  readonly env: Readonly<Record<string, string>>
  /** The configuration's key `evidence`, with a bucket that was made for it. */
  fresh(): Promise<Readonly<Record<string, unknown>>>
  /** As a person does once. */
  confirm(context: Context): Promise<void>
  /** True: it answers every request with 503. */
  away: boolean
  /** Awaited before an object of the ledger goes to the server. */
  before: ((object: LedgerObject) => void | Promise<void>) | undefined
  /** True: the server took it, and nobody hears of that. */
  lose: ((object: LedgerObject) => boolean) | undefined
  /** Objects of the ledger that were asked to be written, in order. */
  readonly asked: readonly LedgerObject[]
  /** In the order of their numbers. Throws where a number is missing, or where versions of one differ. */
  objects(): Promise<LedgerObject[]>
  close(): Promise<void>
}

export async function openLedgerBucket(s3: S3Address): Promise<LedgerBucket> {
  const { endpoint, region, accessKeyId, secretAccessKey } = s3
  const client = new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
  })
  const between = await startS3Between(endpoint)
  let name = ''
  let asked: LedgerObject[] = []
  const written = ({ method, url, body }: Seen) =>
    method === 'PUT' && url.includes('/ledger/') ? object.parse(JSON.parse(body)) : null
  between.answer = async (seen) => {
    if (bucket.away) return { status: 503, body: '' }
    const put = written(seen)
    if (put === null) return null
    asked.push(put)
    await bucket.before?.(put)
    return null
  }
  between.lose = (seen) => {
    const put = written(seen)
    return put !== null && (bucket.lose?.(put) ?? false)
  }
  const bucket: LedgerBucket = {
    env: { S3_KEY: accessKeyId, S3_SECRET: secretAccessKey },
    async fresh() {
      name = `ledger-${randomUUID()}`
      await client.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: true }))
      Object.assign(bucket, { away: false, before: undefined, lose: undefined })
      asked = []
      return {
        evidence: { origin: 'example.org/lethe' },
        locked_bucket: {
          name,
          region,
          endpoint: between.endpoint,
          access_key_id: 'env:S3_KEY',
          secret_access_key: 'env:S3_SECRET',
          lock: '1 day',
        },
      }
    },
    async confirm(context) {
      await context.control.execute(
        `INSERT INTO lethe_control.evidence_log (one) VALUES (true) ON CONFLICT DO NOTHING`,
      )
      await confirmLock(context, '1 day')
    },
    away: false,
    before: undefined,
    lose: undefined,
    get asked() {
      return asked
    },
    async objects() {
      const found = new Map<string, string>()
      for (let marker: { KeyMarker?: string; VersionIdMarker?: string } | null = {}; marker !== null;) {
        const listed: ListObjectVersionsCommandOutput = await client.send(
          new ListObjectVersionsCommand({ Bucket: name, Prefix: 'ledger/', ...marker }),
        )
        for (const { Key = '', VersionId } of listed.Versions ?? []) {
          const got = await client.send(new GetObjectCommand({ Bucket: name, Key, VersionId }))
          const body = (await got.Body?.transformToString()) ?? ''
          if ((found.get(Key) ?? body) !== body) throw new Error(`versions of ${Key} differ`)
          found.set(Key, body)
        }
        marker =
          listed.IsTruncated === true
            ? { KeyMarker: listed.NextKeyMarker ?? '', VersionIdMarker: listed.NextVersionIdMarker ?? '' }
            : null
      }
      return [...found.keys()].sort().map((key, place) => {
        const read = object.parse(JSON.parse(found.get(key) ?? ''))
        if (read.number !== place + 1 || key !== `ledger/${String(place + 1).padStart(12, '0')}.json`)
          throw new Error(`object ${place + 1} is missing: ${key} holds ${read.number}`)
        return read
      })
    },
    async close() {
      client.destroy()
      await between.close()
    },
  }
  return bucket
}

/** The last word on each person in each scope, as the objects alone say it: `run store kind map plan hash`, erase or void. */
export function lastWords(objects: readonly LedgerObject[]): Map<string, string> {
  const words = new Map<string, string>()
  for (const { run, entries } of objects)
    for (const { entry, store, subjectKind, mapVersion, planHash, subjects } of entries)
      for (const hash of subjects)
        words.set([run, store, subjectKind, mapVersion, planHash, hash].join(' '), entry)
  return words
}

/** Who is erased where: `store kind hash`, in order. */
export function erasedIn(words: ReadonlyMap<string, string>): string[] {
  const live = [...words].flatMap(([scope, word]) => {
    const [, store, kind, , , hash] = scope.split(' ')
    return word === 'erase' ? [`${store} ${kind} ${hash}`] : []
  })
  return [...new Set(live)].sort()
}

/** The same from the control database. */
export async function lastWordsOf(control: Database): Promise<Map<string, string>> {
  const rows = await control.query(
    z.object({ scope: z.string(), entry: z.string() }),
    `SELECT DISTINCT ON (e.scope_id, e.subject_hash) e.entry,
       concat_ws(' ', s.run_id, s.store, s.subject_kind, s.map_version, s.plan_hash, encode(e.subject_hash, 'hex')) AS scope
     FROM lethe_control.erasures e JOIN lethe_control.erasure_scopes s ON s.id = e.scope_id
     ORDER BY e.scope_id, e.subject_hash, e.id DESC`,
  )
  return new Map(rows.map(({ scope, entry }) => [scope, entry]))
}
