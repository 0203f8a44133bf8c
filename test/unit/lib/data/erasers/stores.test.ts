import { existsSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { storeKinds } from '../../../../../lib/data/erasers/kinds.ts'
import { cloudfront as cloudfrontStore } from '../../../../../lib/data/erasers/processors/cloudfront/store.ts'
import { dynamodb as dynamodbStore } from '../../../../../lib/data/erasers/stores/dynamodb/store.ts'
import { keys as keysStore } from '../../../../../lib/data/erasers/stores/keys/store.ts'
import { redis as redisStore } from '../../../../../lib/data/erasers/stores/redis/store.ts'
import { s3 as s3Store } from '../../../../../lib/data/erasers/stores/s3/store.ts'
import type { DynamodbPlan } from '../../../../../lib/data/erasers/stores/dynamodb/plan.ts'
import type { RedisPlan } from '../../../../../lib/data/erasers/stores/redis/plan.ts'
import type { S3Plan } from '../../../../../lib/data/erasers/stores/s3/plan.ts'

const s3 = {
  kind: 's3',
  region: 'eu-west-2',
  places: [
    { name: 'files', bucket: 'clinic-files', prefix: 'patients/{id}/' },
    { name: 'letters', bucket: 'clinic-letters', key: '{letter}' },
  ],
}
const redis = {
  kind: 'redis',
  url: 'env:SESSIONS_URL',
  places: [
    { name: 'sessions', key: 'session:{session}' },
    { name: 'carts', scan: 'user:{id}:*' },
    { name: 'online', member: { key: 'online', value: '{id}' } },
  ],
}
const dynamodb = {
  kind: 'dynamodb',
  region: 'eu-west-2',
  places: [
    { name: 'record', table: 'clinic', key: { pk: 'PATIENT#{id}' } },
    { name: 'mail', table: 'mails', index: 'by-email', key: { email: '{email}' } },
  ],
}

const cloudfront = {
  kind: 'cloudfront',
  distribution: 'E1ABCDEFGHIJKL',
  places: [{ name: 'photos', path: '/photos/{id}.jpg' }],
}
const kms = {
  kind: 'keys',
  backend: 'kms',
  region: 'eu-west-2',
  places: [{ name: 'records', key: 'alias/patient-{id}' }],
}

test('every folder of a store or a processor is a kind in the list, and the other way round', () => {
  const erasers = join(import.meta.dirname, '../../../../../lib/data/erasers')
  const folders = ['stores', 'processors'].flatMap((family) =>
    readdirSync(join(erasers, family), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(family, name)),
  )
  expect(folders.map((folder) => basename(folder)).toSorted()).toEqual(storeKinds().toSorted())
  expect(folders.filter((folder) => !existsSync(join(erasers, folder, 'store.ts')))).toEqual([])
})

test('what is declared is what an eraser takes', () => {
  const files: S3Plan['places'] = s3Store.schema.parse(s3).places
  const sessions: RedisPlan['places'] = redisStore.schema.parse(redis).places
  const records: DynamodbPlan['places'] = dynamodbStore.schema.parse(dynamodb).places
  expect([files, sessions, records]).toEqual([s3.places, redis.places, dynamodb.places])
})

describe('refused is', () => {
  test.each([
    [
      'a place that is neither prefix nor key',
      s3Store.schema,
      { ...s3, places: [{ name: 'files', bucket: 'b' }] },
    ],
    [
      'a place that is both',
      s3Store.schema,
      { ...s3, places: [{ name: 'f', bucket: 'b', key: '{a}', prefix: '{a}/' }] },
    ],
    ['a store without a place', s3Store.schema, { ...s3, places: [] }],
    ['half of a pair of keys', s3Store.schema, { ...s3, access_key_id: 'env:KEY' }],
    [
      'a secret that stands in the map',
      s3Store.schema,
      { ...s3, access_key_id: 'AKIA', secret_access_key: 'x' },
    ],
    ['an address that stands in the map', redisStore.schema, { ...redis, url: 'redis://user:secret@host' }],
    [
      'a place of two kinds',
      redisStore.schema,
      { ...redis, places: [{ name: 'x', key: 'a:{id}', scan: 'b:{id}:*' }] },
    ],
    [
      'a member without a value',
      redisStore.schema,
      { ...redis, places: [{ name: 'x', member: { key: 'a' } }] },
    ],
    [
      'a key without attributes',
      dynamodbStore.schema,
      { ...dynamodb, places: [{ name: 'x', table: 't', key: {} }] },
    ],
    ['half of a pair of keys of AWS', dynamodbStore.schema, { ...dynamodb, secret_access_key: 'env:KEY' }],
    [
      'half of a pair of keys of CloudFront',
      cloudfrontStore.schema,
      { ...cloudfront, access_key_id: 'env:KEY' },
    ],
    ['half of a pair of keys of KMS', keysStore.schema, { ...kms, secret_access_key: 'env:KEY' }],
  ])('%s', (_, schema, entry) => {
    expect(schema.safeParse(entry).success).toBe(false)
  })
})
