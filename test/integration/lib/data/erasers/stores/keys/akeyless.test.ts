import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { keysEraser } from '../../../../../../../lib/data/erasers/stores/keys/eraser.ts'
import { startAkeyless, type AkeylessServer } from '../../../../../../support/vendors/akeyless.ts'
import {
  freePace,
  never,
  people,
  person,
  request,
  knowing,
} from '../../../../../../support/stages/erasing.ts'
import { keysPlan } from '../../../../../../support/stages/keys-stage.ts'
import { startProxy } from '../../../../../../support/servers/servers.ts'

const plan = keysPlan([{ name: 'records', key: '/records/{id}' }])

describe('keys in Akeyless', () => {
  let server: AkeylessServer
  beforeAll(async () => {
    server = await startAkeyless()
  })
  afterAll(() => server.close())
  beforeEach(() => {
    server.items.clear()
    server.asked = []
    server.fail = undefined
    server.lies = undefined
  })

  const eraserOf = (baseUrl = server.url, accessKey = server.accessKey, pace = freePace()) =>
    knowing(
      keysEraser({
        backend: 'akeyless',
        store: 'akeyless',
        pace,
        baseUrl,
        accessId: server.accessId,
        accessKey,
        patience: { deadlineMs: 1000, attempts: 2 },
      }),
    )
  const seed = (count: number) => {
    const subjects = people(count)
    for (const { key } of subjects) server.items.set(`/records/${key[0]}`, { type: 'AES256GCM' })
    return subjects
  }
  const count = (path: string) => server.asked.filter((asked) => asked === path).length

  test('deletes a key at once, alone or among others, in one call for all', async () => {
    const [one] = seed(1)
    const eraser = eraserOf()
    await eraser.erase(one === undefined ? [] : [one], plan, request(), never)
    expect(server.items.size).toBe(0)
    const many = seed(40)
    server.asked = []
    const page = await eraser.erase(many, plan, request(), never)
    expect(page).toMatchObject({ removed: { records: 40 }, more: false })
    expect(server.items.size).toBe(0)
    expect(count('/delete-items')).toBe(1)
    expect(count('/delete-item')).toBe(0)
  })

  test('does the others one by one where one of them holds up the whole call', async () => {
    const subjects = seed(3)
    server.items.set('/records/2', { type: 'AES256GCM', protected: true })
    const page = await eraserOf().erase(subjects, plan, request(), never)
    expect(page).toMatchObject({ removed: { records: 2 }, more: false })
    expect(page.messages).toEqual([expect.stringContaining('1 of the keys were left')])
    expect([...server.items.keys()]).toEqual(['/records/2'])
  })

  test('keeps as retained what waits for its date already', async () => {
    const subjects = seed(1)
    server.items.set('/records/1', { type: 'AES256GCM', deletionDate: '2099-01-01T00:00:00Z' })
    expect(await eraserOf().verify(subjects, plan, never)).toMatchObject([
      { absent: true, retained: [{ ground: 'Akeyless waiting period', until: '2099-01-01T00:00:00.000Z' }] },
    ])
  })

  test('logs in again where its token has ended, and only once where it is not known', async () => {
    const subjects = seed(1)
    const eraser = eraserOf()
    await eraser.probe(plan, never)
    server.forgetTokens()
    expect((await eraser.erase(subjects, plan, request(), never)).removed).toEqual({ records: 1 })
    server.asked = []
    await expect(eraserOf(server.url, 'no such key').probe(plan, never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
      message: expect.not.stringMatching(/no such key|p-tests/),
    })
    expect(count('/auth')).toBe(1)
  })

  test('leaves names that stand for several items, or lead to another folder', async () => {
    const subjects = [person('*'), person('a/b'), ...seed(1)]
    const page = await eraserOf().erase(subjects, plan, request(), never)
    expect(page.removed).toEqual({ records: 1 })
    expect((await eraserOf().verify(subjects, plan, never)).map(({ absent }) => absent)).toEqual([
      false,
      false,
      true,
    ])
  })

  test('does not take an answer that is no item for one, nor for a missing one', async () => {
    const subjects = seed(1)
    server.fail = (path) => (path === '/describe-item' ? { status: 200 } : undefined)
    await expect(eraserOf().verify(subjects, plan, never)).rejects.toMatchObject({ code: 'E_STORE_REFUSED' })
  })

  test('is told to come back later, and comes back no sooner', async () => {
    const subjects = seed(1)
    server.fail = (path) => (path === '/delete-item' ? { status: 429, retryAfter: '60' } : undefined)
    const pace = freePace()
    await expect(
      eraserOf(server.url, undefined, pace).erase(subjects, plan, request(), never),
    ).rejects.toMatchObject({ code: 'E_STORE_THROTTLED', facts: { retryAfterSeconds: 60 } })
    expect(pace.rests).toEqual([60])
  })

  test('goes on where the deletion failed after its effect', async () => {
    const subjects = seed(2)
    server.fail = (path) => (path === '/delete-items' ? { status: 500, after: true } : undefined)
    await expect(eraserOf().erase(subjects, plan, request(), never)).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
    })
    server.fail = undefined
    expect(await eraserOf().erase(subjects, plan, request(), never)).toMatchObject({
      removed: {},
      more: false,
    })
  })

  test('gives up on a path that is cut or half-open, and is done when it heals', async () => {
    const subjects = seed(2)
    const proxy = await startProxy(server.host, server.port, { protocol: 'raw' })
    try {
      const eraser = eraserOf(`http://127.0.0.1:${proxy.port}`)
      for (const fault of [() => proxy.cut(), () => proxy.blackhole()]) {
        fault()
        await expect(eraser.erase(subjects, plan, request(), never)).rejects.toMatchObject({
          code: 'E_STORE_UNAVAILABLE',
        })
        proxy.heal()
      }
      expect((await eraser.erase(subjects, plan, request(), never)).removed).toEqual({ records: 2 })
    } finally {
      await proxy.close()
    }
  })
})
