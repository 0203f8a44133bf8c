import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { SubjectRef } from '../../../../../../lib/data/erasers/index.ts'
import {
  webhookEraser,
  type WebhookEraserOptions,
  type WebhookPlan,
} from '../../../../../../lib/data/erasers/processors/webhook/eraser.ts'
import { freePace, never, knowing, type Known } from '../../../../../support/stages/erasing.ts'
import { json, type Reply } from '../../../../../support/servers/http-server.ts'
import { startProxy, type FaultProxy } from '../../../../../support/servers/servers.ts'
import {
  startWebhookProcessor,
  type WebhookProcessor,
} from '../../../../../support/vendors/webhook-processor.ts'

/** For what never answers; a busy machine answers late. */
const hasty = { deadlineMs: 500, attempts: 2, waitSeconds: 0 }
const person: SubjectRef = { kind: 'person', key: ['1'], identifiers: {} }
const address = 'canary@example.org'
const plan: Known<WebhookPlan> = {
  sends: ['email'],
  places: ['letters', 'invoices'],
  identifiers: () => ({ email: [address], diagnosis: ['not to be sent'] }),
}
const request = { runId: 'run-1', fence: 1n, limit: 1000 }

describe('a processor of our own', () => {
  let processor: WebhookProcessor
  let proxy: FaultProxy
  beforeAll(async () => {
    processor = await startWebhookProcessor()
  })
  beforeEach(async () => {
    processor.reset()
    proxy = await startProxy(processor.host, processor.port, { protocol: 'raw' })
  })
  afterEach(() => proxy.close())
  afterAll(() => processor.close())

  const eraser = (options: Partial<WebhookEraserOptions> = {}) => {
    const pace = freePace()
    const made = knowing(
      webhookEraser({
        store: 'letters',
        url: processor.url,
        secret: processor.secret,
        allowPrivate: true,
        pace,
        patience: { deadlineMs: 10_000, attempts: 2, waitSeconds: 0 },
        ...options,
      }),
    )
    return Object.assign(made, { pace })
  }

  test('gets signed posts with the identifiers that the map names, and no others', async () => {
    processor.letters.set(address, 1)
    await eraser().erase([person], plan, { ...request, jobs: ['j'] }, never)
    expect(processor.messages).toHaveLength(1)
    expect(processor.messages[0]?.message).toMatchObject({
      type: 'lethe.erase',
      data: {
        run: 'run-1',
        limit: 1000,
        jobs: ['j'],
        subjects: [{ kind: 'person', identifiers: { email: [address] } }],
      },
    })
    expect(JSON.stringify(processor.messages)).not.toContain('diagnosis')
  })

  test('gets a message that is tried again under the same id, and each call under its own', async () => {
    let calls = 0
    processor.letters.set(address, 1)
    processor.answer = () => (++calls === 1 ? null : undefined)
    const page = await eraser().erase([person], plan, request, never)
    // What the first try did, nobody heard of: the second finds nothing, and that is no failure.
    expect(page).toMatchObject({ removed: {}, more: false })
    await eraser().erase([person], plan, request, never)
    const ids = processor.messages.map(({ id }) => id)
    expect(ids[0]).toBe(ids[1])
    expect(new Set(ids).size).toBe(2)
  })

  test('that does not know our signature is a refusal', async () => {
    const secret = Buffer.alloc(32, 7).toString('base64')
    await expect(eraser({ secret }).probe(plan, never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
      facts: { status: 401 },
    })
  })

  test('with a secret too short to sign with is a mistake in the configuration', () => {
    expect(() => eraser({ secret: 'c2hvcnQ=' })).toThrow(expect.objectContaining({ code: 'E_CONFIG' }))
  })

  test('on this machine is not called unless that is allowed', async () => {
    expect(() => eraser({ allowPrivate: false })).toThrow(expect.objectContaining({ code: 'E_CONFIG' }))
    const url = `https://localhost:${processor.port}`
    await expect(eraser({ url, allowPrivate: false }).probe(plan, never)).rejects.toMatchObject({
      code: 'E_CONFIG',
    })
    expect(processor.messages).toEqual([])
  })

  const strange: [string, Reply][] = [
    ['a place that the map does not name', json(200, { removed: { elsewhere: 1 } })],
    [
      'a ground that quotes an identifier',
      json(200, { retained: [{ place: 'letters', count: 1, ground: `of ${address}`, until: null }] }),
    ],
    ['a reason that is no word', json(200, { refused: { [address]: 1 } })],
    ["a job's id that is no word", json(200, { pending: [{ job: address, poll_after_seconds: 1 }] })],
    ['a count below zero', json(200, { removed: { letters: -1 } })],
    ['a member that nobody knows', json(200, { removed: {}, note: address })],
    ['what is no JSON', { status: 200, body: address }],
    ['a redirect', { status: 307, headers: { location: 'http://127.0.0.1:1/' } }],
    ['a refusal that quotes everything', json(400, { error: address })],
  ]
  test.each(strange)('whose answer is %s is refused, without a word of it', async (_, reply) => {
    processor.answer = () => reply
    const error: unknown = await eraser()
      .erase([person], plan, request, never)
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'E_STORE_REFUSED' })
    expect(`${String(error)} ${JSON.stringify(error)}`).not.toContain(address)
  })

  test('that finds fewer subjects than it was asked for is not believed', async () => {
    processor.answer = () => json(200, { subjects: [] })
    await expect(eraser().verify([person], plan, never)).rejects.toMatchObject({ code: 'E_STORE_REFUSED' })
  })

  const page = (type: string): Reply => ({
    status: 200,
    headers: { 'content-type': type },
    body: `<p>${address}`,
  })
  const inexact: [string, Reply, string][] = [
    ['says nothing of a subject', json(200, { subjects: [{}] }), 'subjects[0].left is missing'],
    ['says nothing at all', json(200, {}), 'subjects is missing'],
    ['says it in other words', json(200, { subjects: [{ gone: address }] }), 'subjects[0].left is missing'],
    [
      'counts in words',
      json(200, { subjects: [{ left: { [address]: 'none' } }] }),
      'subjects[0].left.… is not as it should be',
    ],
    [
      'knows more',
      json(200, { subjects: [{ left: {}, [address]: 1 }] }),
      'subjects[0] has a member that is not known',
    ],
    ['is a list', json(200, [address]), 'it is no object'],
    ['is a page', page('text/html; charset=utf-8'), 'is no JSON (content type text/html)'],
    ['is something else', page(`x/${address}`), 'is no JSON (of another content type)'],
    ['is nothing', { status: 200 }, 'is no JSON (its body is empty)'],
  ]
  test.each(inexact)('whose reading back %s has not said that anything is gone', async (_, reply, why) => {
    processor.answer = () => reply
    const error: unknown = await eraser()
      .verify([person], plan, never)
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'E_STORE_REFUSED' })
    expect(String(error)).toContain(why)
    expect(`${String(error)} ${JSON.stringify(error)}`).not.toContain(address)
  })

  test('that asks to come back later is left alone by all', async () => {
    processor.answer = () => ({ status: 429, headers: { 'retry-after': '120' } })
    const lethe = eraser()
    await expect(lethe.locate([person], plan, never)).rejects.toMatchObject({
      code: 'E_STORE_THROTTLED',
      facts: { retryAfterSeconds: 120 },
    })
    expect(lethe.pace.rests).toEqual([120])
    expect(processor.messages).toHaveLength(1)
  })

  test('that falters is tried again', async () => {
    let calls = 0
    processor.letters.set(address, 2)
    processor.answer = () => (++calls === 1 ? { status: 503 } : undefined)
    expect(await eraser().locate([person], plan, never)).toEqual({ counts: { letters: 2 } })
  })

  test('behind a broken network is unavailable, and what it holds is erased once it is back', async () => {
    processor.letters.set(address, 3)
    const lethe = eraser({ url: proxy.rewrite(processor.url), patience: hasty })
    const erase = () => lethe.erase([person], plan, request, never)
    proxy.cut()
    await expect(erase()).rejects.toMatchObject({ code: 'E_STORE_UNAVAILABLE' })
    proxy.heal()
    proxy.blackhole()
    await expect(erase()).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
      facts: { reason: 'deadline' },
    })
    proxy.heal()
    expect(await eraser().erase([person], plan, request, never)).toMatchObject({ removed: { letters: 3 } })
  })

  test('cut off in the middle of an erasure is told again, and nothing is left', async () => {
    for (let message = 1; message <= 3; message += 1) {
      processor.letters.set(address, 3)
      proxy.counter.count = 0
      proxy.counter.onMessage = (n) => n < message
      const lethe = eraser({ url: proxy.rewrite(processor.url) })
      await lethe.erase([person], plan, request, never).catch(() => undefined)
      delete proxy.counter.onMessage
      proxy.heal()
      await lethe.erase([person], plan, request, never)
      expect(await lethe.verify([person], plan, never)).toEqual([{ absent: true, left: {}, retained: [] }])
    }
  })
})
