/** What waits for what: rows for nobody, a cache for the store it is filled from; and a cache whose word is taken. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startCloudfront, type CloudfrontServer } from '../../../support/vendors/cloudfront.ts'
import {
  emailOf,
  openErasureHouse,
  otherStores,
  type ErasureHouse,
} from '../../../support/stages/erasure-house.ts'

let house: ErasureHouse
let cloudfront: CloudfrontServer
beforeAll(async () => {
  cloudfront = await startCloudfront()
  house = await openErasureHouse({
    CDN_KEY: cloudfront.credentials.accessKeyId,
    CDN_SECRET: cloudfront.credentials.secretAccessKey,
  })
})
beforeEach(async () => {
  await house.empty()
  cloudfront.reset()
  await house.people(1)
})
const subject = { other_stores: [...Object.keys(otherStores), 'photos'] }

function photos(more: Readonly<Record<string, unknown>>) {
  return {
    kind: 'cloudfront',
    distribution: cloudfront.distribution,
    endpoint: cloudfront.url,
    access_key_id: 'env:CDN_KEY',
    secret_access_key: 'env:CDN_SECRET',
    places: [{ name: 'photos', path: '/photos/{id}.jpg' }],
    ...more,
  }
}

afterAll(async () => {
  await house.close()
  await cloudfront.close()
})

test('a cache is purged once its origin is emptied, whoever else is down', async () => {
  await house.configure({}, subject, {
    photos: photos({ origin: 'letters', verify_urls: cloudfront.url }),
  })
  house.letters.before = () => ({ status: 500 })
  house.parcels.before = () => ({ status: 500 })
  const { id } = await house.ask(1)
  await house.work()
  expect(await house.left(1)).toEqual({ app: 0, sessions: 0, letters: 2, parcels: 2 })
  expect(await house.legs(id)).toMatchObject({
    letters: { state: 'failed' },
    photos: { state: 'pending', attempt: 0 },
  })
  await house.later()
  expect(cloudfront.made).toEqual([])

  house.letters.before = undefined
  await house.later()
  expect(house.letters.letters.has(emailOf(1))).toBe(false)
  expect(cloudfront.made).toEqual([['/photos/1.jpg']])
  cloudfront.settle()
  // the job has ended, and then its settling time has passed
  await house.later()
  await house.later()
  expect(await house.legs(id)).toMatchObject({ photos: { state: 'verified' }, parcels: { state: 'failed' } })
})

test('a cache that is filled from what no erasure empties is refused', async () => {
  const cdn = (origin: string) => ({
    kind: 'cloudfront',
    distribution: 'E1234567890',
    origin,
    places: [{ name: 'photos', path: '/photos/{id}.jpg' }],
  })
  const configured = (origin: string) =>
    house.configure({}, { other_stores: ['photos', 'images'] }, { photos: cdn(origin), images: cdn('app') })
  await expect(configured('letters')).rejects.toThrow('filled from letters, which is not among other_stores')
  await expect(configured('images')).rejects.toThrow('filled from images, which is a cache itself')
})

test('where nothing can be read back a person is asked, or the configuration has answered', async () => {
  const why = 'purged copies are not served; contract, section 4'
  await house.configure({}, subject, { photos: photos({}) })
  const asked = await house.ask(1)
  await house.work()
  cloudfront.settle()
  await house.later()
  await house.later()
  expect(await house.legs(asked.id)).toMatchObject({
    photos: { state: 'failed', errorCode: 'E_NOT_VERIFIABLE', nextAt: null },
  })

  await house.people(2)
  await house.configure({ erasure: { unverified: { photos: why } } }, subject, { photos: photos({}) })
  const { id } = await house.ask(2)
  await house.work()
  cloudfront.settle()
  await house.later()
  await house.later()
  const { photos: leg } = await house.legs(id)
  expect(leg).toMatchObject({ state: 'accepted-as-failed', verifiedAt: null })
  expect(leg?.acceptedAt).not.toBeNull()
  expect(leg?.messages).toContain(why)
  expect(cloudfront.made).toEqual([['/photos/1.jpg'], ['/photos/2.jpg']])
  expect(await house.request(id)).toMatchObject({ state: 'completed-with-left' })
})
