/** What waits for what: rows for nobody, a cache for the store it is filled from. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startCloudfront, type CloudfrontServer } from '../../../support/cloudfront.ts'
import { emailOf, openErasureHouse, otherStores, type ErasureHouse } from '../../../support/erasure-house.ts'

let house: ErasureHouse
let cloudfront: CloudfrontServer
beforeAll(async () => {
  cloudfront = await startCloudfront()
  house = await openErasureHouse({
    CDN_KEY: cloudfront.credentials.accessKeyId,
    CDN_SECRET: cloudfront.credentials.secretAccessKey,
  })
  await house.configure(
    {},
    { other_stores: [...Object.keys(otherStores), 'photos'] },
    {
      photos: {
        kind: 'cloudfront',
        distribution: cloudfront.distribution,
        endpoint: cloudfront.url,
        access_key_id: 'env:CDN_KEY',
        secret_access_key: 'env:CDN_SECRET',
        origin: 'letters',
        places: [{ name: 'photos', path: '/photos/{id}.jpg' }],
        verify_urls: cloudfront.url,
      },
    },
  )
})
afterAll(async () => {
  await house.close()
  await cloudfront.close()
})

test('a cache is purged once its origin is emptied, whoever else is down', async () => {
  await house.people(1)
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
