import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  cloudflareEraser,
  type CloudflareEraserOptions,
  type CloudflarePlan,
} from '../../../../../../lib/data/erasers/processors/cloudflare/eraser.ts'
import {
  startCloudflare,
  token,
  zone,
  type CloudflareServer,
} from '../../../../../support/vendors/cloudflare.ts'
import { freePace, never, person, knowing, type Known } from '../../../../../support/stages/erasing.ts'
import { json } from '../../../../../support/servers/http-server.ts'
import { startProxy, type FaultProxy } from '../../../../../support/servers/servers.ts'

/** For what never answers; a busy machine answers late. */
const hasty = { deadlineMs: 500, attempts: 2, waitSeconds: 0 }
const request = { runId: 'run-1', fence: 1n, limit: 1000 }

describe('the eraser for Cloudflare', () => {
  let server: CloudflareServer
  let proxy: FaultProxy
  let plan: Known<CloudflarePlan>
  beforeAll(async () => {
    server = await startCloudflare()
    plan = {
      places: [{ name: 'photos', template: `${server.url}/photos/{id}.jpg` }],
      identifiers: ({ key }) => ({ id: key }),
    }
  })
  beforeEach(async () => {
    server.reset()
    proxy = await startProxy(server.host, server.port, { protocol: 'raw' })
  })
  afterEach(() => proxy.close())
  afterAll(() => server.close())

  const eraser = (options: Partial<CloudflareEraserOptions> = {}) =>
    knowing(
      cloudflareEraser({
        store: 'cdn',
        zone,
        token,
        baseUrl: server.baseUrl,
        pace: freePace(),
        patience: { deadlineMs: 10_000, attempts: 2, waitSeconds: 0 },
        ...options,
      }),
    )

  test('names as many files in a call as the plan of the zone allows', async () => {
    const many = Array.from({ length: 250 }, (_, place) => person(String(place)))
    await eraser().erase(many, plan, request, never)
    expect(server.purges.map((files) => files.length)).toEqual([100, 100, 50])
  })

  test('without reading back claims nothing: what was cached nobody saw', async () => {
    const lethe = eraser()
    expect(lethe.capabilities.verifiable).toBe(false)
    server.edge.cached.add('/photos/1.jpg')
    expect(await lethe.erase([person('1')], plan, request, never)).toMatchObject({
      removed: {},
      messages: ['1 address purged; whether it was cached is not known.'],
      more: false,
    })
    expect(server.edge.cached.size).toBe(0)
    expect(await lethe.verify([person('1')], plan, never)).toMatchObject([{ absent: false }])
  })

  test('does the others where one address is refused, and names none', async () => {
    server.refused.add('/photos/37.jpg')
    const many = Array.from({ length: 100 }, (_, place) => person(String(place)))
    for (const { key } of many) server.edge.cached.add(`/photos/${key[0]}.jpg`)
    const page = await eraser({ verifyUrls: {} }).erase(many, plan, request, never)
    expect(page).toMatchObject({
      removed: { photos: 99 },
      messages: ['1 address of photos refused by Cloudflare.'],
    })
    expect([...server.edge.cached]).toEqual(['/photos/37.jpg'])
  })

  test('purges also what it does not see: another place of the network may have it', async () => {
    await eraser({ verifyUrls: {} }).erase([person('1')], plan, request, never)
    expect(server.purges).toEqual([[`${server.url}/photos/1.jpg`]])
  })

  test('takes a failure in the clothes of a success for what it is', async () => {
    server.rewrite = () =>
      json(200, { success: false, errors: [{ code: 1234, message: 'photos' }], result: { id: zone } })
    const page = await eraser().erase([person('1')], plan, request, never)
    expect(page.messages).toEqual(['1 address of photos refused by Cloudflare.'])
  })

  test('leaves Cloudflare alone as long as it asks to, and tries again where it stumbles', async () => {
    server.rewrite = () => ({ status: 429, headers: { 'retry-after': '30' } })
    await expect(eraser().erase([person('1')], plan, request, never)).rejects.toMatchObject({
      code: 'E_STORE_THROTTLED',
      facts: { retryAfterSeconds: 30 },
    })
    expect(server.purges).toHaveLength(1)
    let calls = 0
    server.rewrite = (_, usual) => (++calls === 1 ? { status: 502, body: '<html>' } : usual)
    await eraser().erase([person('1')], plan, request, never)
    expect(calls).toBe(2)
  })

  test('purges again where the answer was lost, which changes nothing', async () => {
    let calls = 0
    server.rewrite = (_, usual) => (++calls === 1 ? null : usual)
    expect(await eraser().erase([person('1')], plan, request, never)).toMatchObject({ more: false })
    expect(server.purges).toHaveLength(2)
  })

  test('follows no redirect with its token', async () => {
    server.rewrite = () => ({ status: 307, headers: { location: `${server.url}/elsewhere` } })
    await expect(eraser().probe(plan, never)).rejects.toMatchObject({ code: 'E_STORE_REFUSED' })
  })

  test('finds out before it begins that token, zone or address do not fit', async () => {
    await eraser().probe(plan, never)
    await expect(eraser({ token: 'wrong' }).probe(plan, never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
    })
    await expect(eraser({ zone: 'f'.repeat(32) }).probe(plan, never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
    })
    const elsewhere = { ...plan, places: [{ name: 'photos', template: 'https://example.org/{id}' }] }
    await expect(eraser().probe(elsewhere, never)).rejects.toMatchObject({ code: 'E_CONFIG' })
    const anywhere = { ...plan, places: [{ name: 'photos', template: 'https://{id}/x' }] }
    await expect(eraser().probe(anywhere, never)).rejects.toMatchObject({ code: 'E_CONFIG' })
  })

  test('puts neither address nor token into an error', async () => {
    server.rewrite = ({ body }) =>
      json(403, { success: false, errors: [{ code: 9, message: body }], result: null })
    const error: unknown = await eraser()
      .erase([person('canary')], plan, request, never)
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'E_STORE_REFUSED' })
    expect(`${String(error)}${JSON.stringify(error)}`).not.toMatch(/canary|test-token/)
  })

  test('cut off in the middle or half open is unavailable, and goes on afterwards', async () => {
    const lethe = eraser({ baseUrl: `${proxy.rewrite(server.url)}client/v4`, patience: hasty })
    for (const harm of [() => proxy.cut(), () => proxy.blackhole()]) {
      harm()
      await expect(lethe.erase([person('1')], plan, request, never)).rejects.toMatchObject({
        code: 'E_STORE_UNAVAILABLE',
      })
      proxy.heal()
    }
    await eraser().erase([person('1')], plan, request, never)
    expect(server.purges).toHaveLength(1)
  })
})
