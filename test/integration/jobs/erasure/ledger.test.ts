/** Ledger before destruction: in the control database, and in an object-locked bucket where one is configured. */
import { randomUUID } from 'node:crypto'
import { CreateBucketCommand, GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { confirmLock } from '../../../../jobs/evidence/index.ts'
import { cancelRequest } from '../../../../jobs/erasure/index.ts'
import {
  emailOf,
  openErasureHouse,
  stores,
  type ErasureHouse,
} from '../../../support/stages/erasure-house.ts'
import { lockedMeanwhile } from '../../../support/servers/locked.ts'
import { startProxy, type FaultProxy, type S3Address } from '../../../support/servers/servers.ts'
import { sharedS3 } from '../../../support/servers/shared.ts'

const whole = { app: 3, sessions: 2, letters: 2, parcels: 2 }
const everywhere = (id: number) => stores.map((store) => `${store}:${id}`)

let s3: S3Address
let client: S3Client
let proxy: FaultProxy
let house: ErasureHouse
let name: string

beforeAll(async () => {
  s3 = await sharedS3()
  const { endpoint, region, accessKeyId, secretAccessKey } = s3
  client = new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
  })
  const { hostname, port } = new URL(endpoint)
  proxy = await startProxy(hostname, Number(port), { protocol: 'raw' })
  house = await openErasureHouse({ S3_KEY: accessKeyId, S3_SECRET: secretAccessKey })
}, 120_000)
afterAll(async () => {
  client.destroy()
  await house.close()
  await proxy.close()
})
beforeEach(async () => {
  await house.empty()
  await house.people(1, 2)
  name = `ledger-${randomUUID()}`
  await client.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: true }))
  return () => proxy.heal()
})

async function withBucket(): Promise<void> {
  await house.control.execute(
    `INSERT INTO lethe_control.evidence_log (one) VALUES (true) ON CONFLICT DO NOTHING`,
  )
  await house.configure({
    evidence: {
      origin: 'example.org/lethe',
    },
    locked_bucket: {
      name,
      region: s3.region,
      endpoint: `http://127.0.0.1:${proxy.port}`,
      access_key_id: 'env:S3_KEY',
      secret_access_key: 'env:S3_SECRET',
      lock: '1 day',
    },
  })
  await confirmLock(house.context, '1 day')
}

const object = z.looseObject({
  number: z.number(),
  entries: z.array(z.looseObject({ entry: z.string(), store: z.string(), subjects: z.array(z.string()) })),
})

/** Entries in the bucket, in the order of their objects: `erase app`. */
async function inBucket(): Promise<string[]> {
  const listed = await client.send(new ListObjectsV2Command({ Bucket: name, Prefix: 'ledger/' }))
  const all: string[] = []
  for (const { Key } of listed.Contents ?? []) {
    const found = await client.send(new GetObjectCommand({ Bucket: name, Key }))
    const { entries } = object.parse(JSON.parse((await found.Body?.transformToString()) ?? ''))
    all.push(...entries.map(({ entry, store }) => `${entry} ${store}`))
  }
  return all
}

describe('the ledger', () => {
  test('has an entry for every store before any of them is called', async () => {
    const seen: string[][] = []
    for (const processor of [house.letters, house.parcels])
      processor.before = ({ type }) => {
        if (type === 'lethe.erase') void house.ledger(1).then((entries) => seen.push(entries))
        return { status: 500 }
      }
    await house.ask(1)
    await house.work()
    expect(seen.length).toBeGreaterThan(1)
    for (const entries of seen) expect(entries).toEqual(everywhere(1))
  })

  test('has one entry a store and person, however often the calls are made', async () => {
    house.letters.before = () => ({ status: 500 })
    await house.ask(1)
    await house.work()
    await house.later()
    house.letters.before = undefined
    await house.later()
    const [row] = await house.control.query(
      z.object({ n: z.coerce.number() }),
      'SELECT count(*) AS n FROM lethe_control.erasures',
    )
    expect(row?.n).toBe(stores.length)
  })

  test('stands in the bucket before the first call', async () => {
    await withBucket()
    let entries: Promise<string[]> | undefined
    house.letters.before = ({ type }) => {
      if (type === 'lethe.erase') entries ??= inBucket()
      return { status: 500 }
    }
    await house.ask(1)
    await house.work()
    expect((await entries)?.sort()).toEqual(stores.map((store) => `erase ${store}`))
  })

  test('in a bucket that is away stops destruction; once it is back, it goes on by itself', async () => {
    await withBucket()
    proxy.cut()
    const { id } = await house.ask(1)
    await house.work()
    expect(await house.left(1)).toEqual({ ...whole, sessions: 0 })
    expect(await house.request(id)).toMatchObject({ state: 'planned' })
    expect([...house.letters.messages, ...house.parcels.messages]).toEqual([])
    proxy.heal()
    await house.later()
    expect(await house.left(1)).toMatchObject({ app: 0, letters: 0, parcels: 0 })
    expect([...new Set(await inBucket())].sort()).toEqual(stores.map((store) => `erase ${store}`))
  }, 90_000)

  test('in a bucket that is away holds up nobody who is in it already', async () => {
    await withBucket()
    house.letters.before = () => ({ status: 500 })
    const begun = await house.ask(1)
    await lockedMeanwhile(house.app, 'SELECT FROM visits WHERE person_id = 1 FOR UPDATE', () => house.work())
    expect(await house.request(begun.id)).toMatchObject({ state: 'erasing' })
    expect(await house.legs(begun.id)).toMatchObject({
      app: { state: 'pending' },
      letters: { state: 'failed' },
    })
    proxy.cut()
    const late = await house.ask(2)
    house.letters.before = undefined
    await house.later()
    expect(await house.request(begun.id)).toMatchObject({ state: 'completed-with-retained' })
    expect(await house.left(1)).toEqual({ app: 0, sessions: 0, letters: 0, parcels: 0 })
    expect(await house.request(late.id)).toMatchObject({ state: 'planned' })
    expect(await house.left(2)).toEqual({ ...whole, sessions: 0 })
    const [run] = await house.control.query(
      z.object({ state: z.string(), seconds: z.number() }),
      `SELECT state, extract(epoch FROM next_attempt_at - clock_timestamp())::double precision AS seconds
       FROM lethe_control.runs WHERE kind = 'erasure.cascade' ORDER BY created_at DESC LIMIT 1`,
    )
    expect(run?.state).toBe('waiting')
    expect(run?.seconds).toBeGreaterThan(10)
    expect(run?.seconds).toBeLessThanOrEqual(60)
    proxy.heal()
    await house.later()
    expect(await house.left(2)).toEqual({ app: 0, sessions: 0, letters: 0, parcels: 0 })
  }, 90_000)

  test('and without a confirmed lock too', async () => {
    await withBucket()
    await house.control.execute('UPDATE lethe_control.evidence_log SET locked_for = NULL')
    const { id } = await house.ask(1)
    await house.work()
    expect(await house.left(1)).toEqual({ ...whole, sessions: 0 })
    expect(await house.request(id)).toMatchObject({ state: 'planned' })
  })

  test('is voided where the person changes their mind between the entries and the first call', async () => {
    await withBucket()
    proxy.cut()
    const [stays, goes] = [await house.ask(1), await house.ask(2)]
    await house.work()
    expect(await house.ledger(1, 2)).toEqual([...everywhere(1), ...everywhere(2)].sort())
    await cancelRequest(house.context, stays.id, await house.by('erasure.cancel', stays.id))
    expect(await house.ledger(1, 2)).toEqual(everywhere(2))
    proxy.heal()
    await house.later()
    expect(await house.request(goes.id)).toMatchObject({ state: 'completed-with-retained' })
    expect(await house.left(1)).toEqual({ ...whole, sessions: 0 })
    expect([...new Set(await inBucket())].sort()).toEqual(
      stores.flatMap((store) => [`erase ${store}`, `void ${store}`]).sort(),
    )
  }, 90_000)

  test('is voided for who is held before the first call, also by another run than the one that wrote it', async () => {
    await withBucket()
    proxy.cut()
    const { id } = await house.ask(1)
    await house.work()
    expect(await house.ledger(1)).toEqual(everywhere(1))
    await house.hold({ level: 'subject', subject: 'person', key: ['1'] })
    proxy.heal()
    await house.later()
    expect(await house.request(id)).toMatchObject({ state: 'on-hold' })
    expect(await house.ledger(1)).toEqual([])
    expect([...new Set(await inBucket())].sort()).toEqual(
      stores.flatMap((store) => [`erase ${store}`, `void ${store}`]).sort(),
    )
  }, 90_000)

  test('says nothing of who takes it back before the entries are written', async () => {
    await house.control.execute(
      `CREATE FUNCTION public.cancel_first() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         RAISE EXCEPTION 'away' USING ERRCODE = 'connection_failure'; END $$`,
    )
    await house.control.execute(
      `CREATE TRIGGER cancel_first BEFORE INSERT ON lethe_control.erasures EXECUTE FUNCTION public.cancel_first()`,
    )
    const { id } = await house.ask(1)
    await house.work()
    await house.control.execute('DROP FUNCTION public.cancel_first CASCADE')
    expect(await house.request(id)).toMatchObject({ state: 'planned' })
    expect(await house.left(1)).toEqual({ ...whole, sessions: 0 })
    await cancelRequest(house.context, id, await house.by('erasure.cancel', id))
    await house.later()
    expect(await house.ledger(1)).toEqual([])
    expect(await house.left(1)).toEqual({ ...whole, sessions: 0 })
  })

  test('keeps what an earlier request of the same person erased', async () => {
    await house.ask(1)
    await house.work()
    const before = await house.ledger(1)
    await house.people(1)
    const again = await house.ask(1, { kind: 'account-closure' })
    await house.work()
    await cancelRequest(house.context, again.id, await house.by('erasure.cancel', again.id))
    expect(await house.ledger(1)).toEqual(before)
    expect(house.letters.letters.get(emailOf(1))).toBe(2)
  })

  test('goes on in the same run after the map changed', async () => {
    house.letters.before = () => ({ status: 500 })
    await house.ask(1)
    await house.work()
    house.letters.before = undefined
    await house.configure({}, { contact: `root.email || ''` })
    const { id } = await house.ask(2)
    await house.work()
    expect(await house.request(id)).toMatchObject({ state: 'completed-with-retained' })
  })
})
