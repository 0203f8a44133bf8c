import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  cloudfrontEraser,
  type CloudfrontEraserOptions,
  type CloudfrontPlan,
} from '../../../../../../lib/data/erasers/processors/cloudfront/eraser.ts'
import {
  startCloudfront,
  xmlError,
  type CloudfrontServer,
} from '../../../../../support/vendors/cloudfront.ts'
import { freePace, never, person, knowing, type Known } from '../../../../../support/stages/erasing.ts'
import { startProxy, type FaultProxy } from '../../../../../support/servers/servers.ts'

/** For what never answers; a busy machine answers late. */
const hasty = { deadlineMs: 500, attempts: 2, waitSeconds: 0 }
const plan: Known<CloudfrontPlan> = {
  places: [{ name: 'photos', template: '/photos/{id}.jpg' }],
  identifiers: ({ key }) => ({ id: key }),
}
let run = 0
const request = (limit = 1000) => ({ runId: `run-${run}`, fence: 1n, limit })

describe('the eraser for CloudFront', () => {
  let server: CloudfrontServer
  let proxy: FaultProxy
  beforeAll(async () => {
    server = await startCloudfront()
  })
  beforeEach(async () => {
    server.reset()
    run += 1
    proxy = await startProxy(server.host, server.port, { protocol: 'raw' })
  })
  afterEach(() => proxy.close())
  afterAll(() => server.close())

  const eraser = (options: Partial<CloudfrontEraserOptions> = {}) =>
    knowing(
      cloudfrontEraser({
        store: 'cdn',
        distribution: server.distribution,
        credentials: server.credentials,
        endpoint: server.url,
        pace: freePace(),
        patience: { deadlineMs: 10_000, attempts: 2, waitSeconds: 0 },
        ...options,
      }),
    )
  const ids = (page: { pending: readonly { job: string }[] }) => page.pending.map(({ job }) => job)

  test('makes one invalidation for many subjects, and none again for the same run', async () => {
    const many = Array.from({ length: 50 }, (_, place) => person(`m${place}`))
    const first = await eraser().erase(many, plan, request(), never)
    const again = await eraser().erase(many, plan, request(), never)
    expect(ids(again)).toEqual(ids(first))
    expect(server.made.map((paths) => paths.length)).toEqual([50])
    run += 1
    await eraser().erase(many, plan, request(), never)
    expect(server.made).toHaveLength(2)
  })

  test('waits until an invalidation is completed, and counts it once', async () => {
    const page = await eraser().erase([person('1')], plan, request(), never)
    const look = async () => eraser().erase([person('1')], plan, { ...request(), jobs: ids(page) }, never)
    expect(await look()).toMatchObject({ removed: {}, pending: page.pending, more: true })
    server.settle()
    expect(await look()).toMatchObject({ removed: { photos: 1 }, pending: [], more: false })
    expect(await eraser().erase([person('1')], plan, request(), never)).toMatchObject({
      removed: {},
      more: false,
    })
  })

  test('begins anew where an invalidation is not known any more', async () => {
    const page = await eraser().erase([person('1')], plan, { ...request(), jobs: ['IGONE'] }, never)
    expect(page).toMatchObject({ removed: {}, pending: [], more: true })
    expect(page.messages).toHaveLength(1)
  })

  test('sends no star and no way out of a folder that came from a value', async () => {
    const odd = [person('*'), person('a/../b'), person('ä b/c?d')]
    const page = await eraser().erase(odd, plan, request(), never)
    expect(server.made).toEqual([['/photos/%2A.jpg', '/photos/%C3%A4%20b/c%3Fd.jpg']])
    expect(page.messages).toEqual(["1 subject has a value that can't stand in an address."])
    const found = await eraser().verify(odd, plan, never)
    expect(found.map(({ absent }) => absent)).toEqual([false, false, false])
  })

  test('has no more than fifteen stars in an invalidation', async () => {
    const wild = { ...plan, places: [{ name: 'folders', template: '/people/{id}/*' }] }
    const many = Array.from({ length: 20 }, (_, place) => person(`w${place}`))
    let jobs: string[] = []
    for (let call = 0, more = true; more && call < 10; call += 1) {
      const page = await eraser().erase(many, wild, { ...request(), jobs }, never)
      jobs = ids(page)
      more = page.more
      server.settle()
    }
    expect(server.made.map((paths) => paths.length)).toEqual([15, 5])
    await expect(eraser({ verifyUrls: { origin: server.url } }).probe(wild, never)).rejects.toMatchObject({
      code: 'E_CONFIG',
    })
  })

  test('without reading back is not verifiable, and tells only what was invalidated', async () => {
    const lethe = eraser()
    expect(lethe.capabilities.verifiable).toBe(false)
    const both = [person('v1'), person('v2')]
    await lethe.erase(both.slice(0, 1), plan, request(), never)
    expect((await lethe.verify(both, plan, never)).map(({ absent }) => absent)).toEqual([false, false])
    server.settle()
    expect((await lethe.verify(both, plan, never)).map(({ absent }) => absent)).toEqual([true, false])
  })

  test('reading back takes for left whatever is served, from a cache or from the origin', async () => {
    const lethe = eraser({ verifyUrls: { origin: server.url } })
    server.edge.cached.add('/photos/1.jpg')
    server.edge.origin.add('/photos/2.jpg')
    const found = await lethe.verify([person('1'), person('2'), person('3')], plan, never)
    expect(found).toEqual([
      { absent: false, left: { photos: 1 }, retained: [] },
      { absent: false, left: { photos: 1 }, retained: [] },
      { absent: true, left: {}, retained: [] },
    ])
  })

  test('reading back does not take a locked door for an empty room', async () => {
    server.rewrite = (asked, usual) => (asked.path.startsWith('/photos') ? { status: 403 } : usual)
    const verify = async (gone?: number[]) =>
      eraser({ verifyUrls: { origin: server.url, ...(gone ? { gone } : {}) } }).verify(
        [person('1')],
        plan,
        never,
      )
    expect(await verify()).toMatchObject([{ absent: false }])
    expect(await verify([403, 404])).toMatchObject([{ absent: true }])
  })

  test('leaves CloudFront alone where it is full, and tries again where it stumbles', async () => {
    server.rewrite = () => xmlError(400, 'TooManyInvalidationsInProgress', 'full of /photos/1.jpg')
    const error: unknown = await eraser()
      .erase([person('1')], plan, request(), never)
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'E_STORE_THROTTLED', facts: { retryAfterSeconds: 120 } })
    expect(String(error)).not.toContain('photos')
    let calls = 0
    server.rewrite = (_, usual) => (++calls === 1 ? xmlError(503, 'ServiceUnavailable', 'x') : usual)
    expect((await eraser().erase([person('1')], plan, request(), never)).pending).toHaveLength(1)
  })

  test('makes one invalidation where the answer to the first was lost', async () => {
    let calls = 0
    server.rewrite = (_, usual) => (++calls === 1 ? null : usual)
    expect((await eraser().erase([person('1')], plan, request(), never)).pending).toHaveLength(1)
    expect(server.made).toHaveLength(1)
  })

  test('finds out before it begins that the distribution is another', async () => {
    await eraser().probe(plan, never)
    await expect(eraser({ distribution: 'ENONE1234567' }).probe(plan, never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
    })
  })

  test('cut off in the middle or half open is unavailable, and goes on afterwards', async () => {
    const lethe = eraser({ endpoint: proxy.rewrite(server.url), patience: hasty })
    for (const harm of [() => proxy.cut(), () => proxy.blackhole()]) {
      harm()
      await expect(lethe.erase([person('1')], plan, request(), never)).rejects.toMatchObject({
        code: 'E_STORE_UNAVAILABLE',
      })
      proxy.heal()
    }
    expect((await eraser().erase([person('1')], plan, request(), never)).pending).toHaveLength(1)
  })
})
