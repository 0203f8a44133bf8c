/** What goes from S3 and what stays: versions, markers, locks, uploads, odd keys. */
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  PutObjectLegalHoldCommand,
} from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import type { SubjectRef } from '../../../../../../../lib/data/erasers/index.ts'
import type { S3Plan } from '../../../../../../../lib/data/erasers/stores/s3/plan.ts'
import { never, type Known } from '../../../../../../support/stages/erasing.ts'
import { askedToDelete, isDelete } from '../../../../../../support/servers/s3-between.ts'
import {
  stageS3,
  client,
  between,
  eraser,
  bucket,
  one,
  two,
  makeBucket,
  setVersioning,
  useBucket,
  put,
  hide,
  there,
  plan,
  erase,
  verify,
  verifyEach,
} from '../../../../../../support/stages/s3-stage.ts'

stageS3()

describe('what goes', () => {
  test.each(['Enabled', 'Suspended', 'never'] as const)(
    'versioning %s: everything, markers too',
    async (kind) => {
      await makeBucket(kind === 'never' ? 'never' : 'Enabled')
      await put('patients/1/a')
      await put('patients/1/a')
      if (kind === 'Suspended') await setVersioning('Suspended')
      // In a suspended bucket both of these are the version `null`.
      await put('patients/1/a')
      await put('patients/1/b')
      await hide('patients/1/b')
      await put('patients/10/a')
      expect((await erase()).messages).toEqual([])
      expect(await there()).toEqual(['patients/10/a'])
      expect(await verify()).toEqual({ absent: true, left: {}, retained: [] })
    },
  )

  test('what only a delete marker hides is not absent', async () => {
    await makeBucket('Enabled')
    await put('patients/1/a')
    await hide('patients/1/a')
    expect(await verify()).toMatchObject({ absent: false, left: { files: 2 } })
  })

  test('a marker with nothing under it is not absent either: its key is in it', async () => {
    await makeBucket('Enabled')
    await hide('patients/1/surname-forename')
    expect(await verify()).toMatchObject({ absent: false, left: { files: 1 } })
    expect((await erase()).removed).toEqual({ files: 1 })
  })

  test('a key is that key, not one that begins with it', async () => {
    await makeBucket('Enabled')
    for (const key of ['docs/1', 'docs/1', 'docs/10', 'docs/1/x', 'docs/1.bak']) await put(key)
    const places = [{ name: 'documents', key: '{document_key}' }]
    expect((await erase([one], places)).removed).toEqual({ documents: 2 })
    expect(await there()).toEqual(['docs/1.bak', 'docs/1/x', 'docs/10'])
  })

  test('more than one list and one delete hold', async () => {
    await makeBucket('Enabled')
    for (let start = 0; start < 1100; start += 50)
      await Promise.all(Array.from({ length: 50 }, (_, n) => put(`patients/1/${start + n}`)))
    await put('patients/2/a')
    expect(await eraser.locate([one, two], plan(), never)).toEqual({ counts: { files: 1101 } })
    expect((await erase([one, two])).removed).toEqual({ files: 1101 })
    expect(between.seen.filter(isDelete).map((seen) => askedToDelete(seen).length)).toEqual([1000, 101])
    expect(await there()).toEqual([])
  }, 120_000)

  test('places that overlap count an object once', async () => {
    await makeBucket('Enabled')
    await put('patients/1/a')
    const places = [
      { name: 'files', prefix: 'patients/{id}/' },
      { name: 'inner', prefix: 'patients/{id}/a' },
      { name: 'letter', key: 'patients/{id}/a' },
    ]
    expect(await eraser.locate([one, one], plan(places), never)).toEqual({ counts: { files: 1 } })
    expect((await erase([one, one], places)).removed).toEqual({ files: 1 })
  })

  test.each([
    'a b',
    ' lead and trail ',
    'a+b',
    'a&b=c?d#e',
    '%20 %2F',
    '&amp;',
    '<"\'>',
    'Zoë/Ångström',
    'Zoe\u0308',
    '🙂 患者',
    '../q',
    '/double//',
    '',
    '007',
    'raw\u0001control',
    'line\r\nend',
  ])('the key %j', async (name) => {
    await makeBucket('Enabled')
    await put(`patients/1/${name}`)
    await put('patients/1/company')
    expect(await eraser.locate([one], plan(), never)).toEqual({ counts: { files: 2 } })
    expect(await erase()).toMatchObject({ removed: { files: 2 }, messages: [] })
    expect(await there()).toEqual([])
  })

  test.each([
    ['in one call', null],
    [
      'of each by itself where the whole is refused',
      { status: 403, body: '<Error><Code>AccessDenied</Code></Error>' },
    ],
    [
      'of each by itself where there are too many for one page',
      {
        status: 200,
        body: '<ListMultipartUploadsResult><IsTruncated>true</IsTruncated></ListMultipartUploadsResult>',
      },
    ],
  ])('uploads of several subjects are found %s', async (_how, answer) => {
    await makeBucket('Enabled')
    for (const Key of ['patients/1/a', 'patients/2/b', 'patients/10/c'])
      await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key }))
    between.answer = ({ url }) =>
      url.includes('uploads') && /prefix=patients%2F(&|$)/.test(url) ? answer : null
    expect((await erase([one, two])).removed).toEqual({ files: 2 })
    expect(
      between.seen.filter(({ method, url }) => method === 'GET' && url.includes('uploads')),
    ).toHaveLength(answer === null ? 1 : 3)
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
    expect(Uploads.map(({ Key }) => Key)).toEqual(['patients/10/c'])
  })

  test('uploads in progress are ended, those of others go on', async () => {
    await makeBucket('Enabled')
    const begin = async (Key: string) =>
      (await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key }))).UploadId ?? ''
    for (const key of ['patients/1/a b+c', 'patients/1/a b+c', 'patients/1/ü', 'docs/1']) await begin(key)
    const others = [await begin('patients/10/a'), await begin('docs/10')]
    const places = [
      { name: 'files', prefix: 'patients/{id}/' },
      { name: 'documents', key: '{document_key}' },
    ]
    expect(await verify(one, places)).toMatchObject({ absent: false, left: { files: 3, documents: 1 } })
    expect((await erase([one], places)).removed).toEqual({ files: 3, documents: 1 })
    expect(await verify(one, places)).toMatchObject({ absent: true })
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
    expect(new Set(Uploads.map(({ UploadId }) => UploadId))).toEqual(new Set(others))
    for (const [place, Key] of ['patients/10/a', 'docs/10'].entries())
      await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId: others[place] }))
  })
})

describe('what stays', () => {
  const later = () => new Date(Math.ceil(Date.now() / 1000) * 1000 + 3_600_000)
  const held = (mode: 'COMPLIANCE' | 'GOVERNANCE', until: Date) => ({
    ObjectLockMode: mode,
    ObjectLockRetainUntilDate: until,
  })

  test.each(['COMPLIANCE', 'GOVERNANCE'] as const)('a lock in mode %s, until it ends', async (mode) => {
    await makeBucket('locked')
    const until = later()
    await put('patients/1/kept', held(mode, until))
    await put('patients/1/free')
    const retained = [{ place: 'files', ground: 'object lock until', until: until.toISOString(), count: 1 }]
    expect(await erase()).toEqual({ removed: { files: 1 }, retained, pending: [], messages: [], more: false })
    expect(await verify()).toEqual({ absent: true, left: {}, retained })
    expect(await there()).toEqual(['patients/1/kept'])
    expect(between.seen.some(({ headers }) => 'x-amz-bypass-governance-retention' in headers)).toBe(false)
  })

  test('a lock that has ended keeps nothing', async () => {
    await makeBucket('locked')
    const until = new Date(Math.ceil(Date.now() / 1000) * 1000 + 2000)
    await put('patients/1/a', held('COMPLIANCE', until))
    await expect
      .poll(async () => (await erase()).removed, { timeout: 10_000, interval: 300 })
      .toEqual({ files: 1 })
    expect(await verify()).toEqual({ absent: true, left: {}, retained: [] })
  })

  test('a legal hold, until it is lifted, whatever lock is under it', async () => {
    await makeBucket('locked')
    const version = await put('patients/1/a', { ObjectLockLegalHoldStatus: 'ON' })
    await put('patients/1/b', { ...held('COMPLIANCE', later()), ObjectLockLegalHoldStatus: 'ON' })
    const retained = [{ place: 'files', ground: 'legal hold', until: null, count: 2 }]
    expect(await erase()).toMatchObject({ removed: {}, retained, more: false })
    expect(await verify()).toEqual({ absent: true, left: {}, retained })
    const lift = {
      Bucket: bucket,
      Key: 'patients/1/a',
      VersionId: version,
      LegalHold: { Status: 'OFF' as const },
    }
    await client.send(new PutObjectLegalHoldCommand({ ...lift, ChecksumAlgorithm: 'SHA256' }))
    expect((await erase()).removed).toEqual({ files: 1 })
  })

  test('a marker that hides what is kept, so that nobody can read it again', async () => {
    await makeBucket('locked')
    await put('patients/1/a', held('GOVERNANCE', later()))
    await put('patients/1/a')
    await hide('patients/1/a')
    const page = await erase()
    expect(page.removed).toEqual({ files: 1 })
    expect(page.retained).toMatchObject([{ count: 2 }])
    await expect(client.send(new GetObjectCommand({ Bucket: bucket, Key: 'patients/1/a' }))).rejects.toThrow()
    expect(await verify()).toMatchObject({ absent: true, retained: page.retained })
  })

  test('what nobody may look at, and it does not count as absent', async () => {
    await makeBucket('locked')
    await put('patients/1/a')
    between.answer = ({ url }) =>
      url.includes('legal-hold')
        ? { status: 403, body: '<Error><Code>AccessDenied</Code><Message>patients/1/a</Message></Error>' }
        : null
    const page = await erase()
    expect(page).toMatchObject({ removed: {}, messages: ['1 in files refused: AccessDenied.'] })
    expect(await verify()).toMatchObject({ absent: false, left: { files: 1 } })
    expect(await there()).toEqual(['patients/1/a'])
  })
})

const denied = '<Error><Code>AccessDenied</Code></Error>'

describe('what is refused', () => {
  test.each([
    [{ name: 'files', prefix: 'patients/{id}' }],
    [{ name: 'files', prefix: 'patients/' }],
    [{ name: 'files', prefix: '' }],
    [{ name: 'files', key: 'patients/list.csv' }],
  ])('the place %j', async (place) => {
    await makeBucket('never')
    await put('patients/10/a')
    for (const call of [() => erase([one], [place]), () => verify(one, [place])])
      await expect(call()).rejects.toMatchObject({ code: 'E_CONFIG', retryable: false })
    expect(await there()).toEqual(['patients/10/a'])
  })

  test('a bucket that is not there is not one without data', async () => {
    useBucket('there-is-none')
    for (const call of [erase, verify])
      await expect(call()).rejects.toMatchObject({ code: 'E_STORE_REFUSED' })
  })

  test('a subject whose identifier leads nowhere is told of, and does not hold up another', async () => {
    await makeBucket('never')
    await put('patients/1/a')
    const stray: SubjectRef = { kind: 'patient', key: [''], identifiers: {} }
    const page = await erase([stray, one])
    expect(page).toMatchObject({
      removed: { files: 1 },
      messages: [expect.stringContaining('1 of the subjects')],
    })
    expect(await verifyEach([stray, one])).toEqual([
      { absent: false, left: {}, retained: [] },
      { absent: true, left: {}, retained: [] },
    ])
    await expect(verify(stray)).rejects.toMatchObject({ code: 'E_IDENTIFIER' })
  })

  test("one subject's place that may not be listed does not hold up another's", async () => {
    await makeBucket('never')
    await put('patients/1/a')
    await put('patients/2/a')
    between.answer = ({ url }) =>
      url.includes('versions') && url.includes('patients%2F1') ? { status: 403, body: denied } : null
    const page = await erase([one, two])
    expect(page.removed).toEqual({ files: 1 })
    expect(page.messages).toEqual(["A subject's part of files could not be read: AccessDenied."])
    expect((await verifyEach([one, two])).map(({ absent }) => absent)).toEqual([false, true])
    await expect(verify(one)).rejects.toMatchObject({ code: 'E_STORE_REFUSED', retryable: false })
    expect(await there()).toEqual(['patients/1/a'])
  })

  test('a list of something else', async () => {
    await makeBucket('never')
    await put('patients/10/a')
    between.answer = ({ url }) =>
      url.includes('versions')
        ? {
            status: 200,
            body: '<ListVersionsResult><Version><Key>patients/10/a</Key><VersionId>null</VersionId></Version></ListVersionsResult>',
          }
        : null
    await expect(erase()).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' })
    expect(await there()).toEqual(['patients/10/a'])
  })
})

describe('reading back', () => {
  test('tells of each subject what leads to it, also what several share', async () => {
    await makeBucket('Enabled')
    for (const key of ['patients/1/a', 'patients/1/b', 'family/7/x', 'patients/2/family/x']) await put(key)
    const places = [
      { name: 'files', prefix: 'patients/{id}/' },
      { name: 'family', prefix: 'family/{family}/' },
      { name: 'inner', prefix: 'patients/{id}/family/' },
    ]
    const shared: Known<S3Plan> = {
      ...plan(places),
      identifiers: ({ key: [id = ''] }) => ({ id: [id], family: id === '3' ? [] : ['7'] }),
    }
    const three: SubjectRef = { kind: 'patient', key: ['3'], identifiers: {} }
    expect(await eraser.verify([three, two, one], shared, never)).toEqual([
      { absent: true, left: {}, retained: [] },
      { absent: false, left: { files: 1, family: 1 }, retained: [] },
      { absent: false, left: { files: 2, family: 1 }, retained: [] },
    ])
    // Once for the shared prefix, not once a subject, and uploads once for all.
    expect(between.seen.filter(({ url }) => url.includes('family%2F7'))).toHaveLength(1)
    expect(between.seen.filter(({ url }) => url.includes('uploads'))).toHaveLength(1)
    expect((await eraser.locate([three, two, one], shared, never)).counts).toEqual({ files: 3, family: 1 })
  })

  test('of places in several buckets looks and deletes in each', async () => {
    await makeBucket('Enabled')
    const first = bucket
    await put('patients/1/a')
    await makeBucket('locked')
    await put('patients/1/a')
    await put('patients/10/a')
    const places = [
      { name: 'files', bucket: first, prefix: 'patients/{id}/' },
      { name: 'scans', prefix: 'patients/{id}/' },
    ]
    expect(await verify(one, places)).toMatchObject({ left: { files: 1, scans: 1 } })
    expect((await erase([one], places)).removed).toEqual({ files: 1, scans: 1 })
    expect(await verify(one, places)).toMatchObject({ absent: true })
    expect(await there()).toEqual(['patients/10/a'])
  })
})

describe('a probe', () => {
  const probe = (places?: Parameters<typeof plan>[0]) => eraser.probe(plan(places), never)

  test.each([
    ['versions', 'list'],
    ['uploads', 'list'],
    ['object-lock', 'say whether it locks'],
    ['retention', 'say what it locks'],
    ['legal-hold', 'say what it locks'],
  ])('that may not ask for %s says so', async (word, what) => {
    await makeBucket('locked')
    await probe()
    between.answer = ({ url }) => (url.includes(word) ? { status: 403, body: denied } : null)
    await expect(probe()).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
      message: expect.stringContaining(what),
    })
  })

  test('looks in every bucket, and only reads', async () => {
    await makeBucket('locked')
    await put('patients/1/a')
    await probe()
    expect(new Set(between.seen.map(({ method }) => method))).toEqual(new Set(['GET']))
    const places = [
      { name: 'files', prefix: 'patients/{id}/' },
      { name: 'gone', bucket: 'there-is-none', key: '{id}' },
    ]
    await expect(probe(places)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
      facts: { bucket: 'there-is-none', reason: 'NoSuchBucket' },
    })
  })
})
