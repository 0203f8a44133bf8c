import { generateKeyPairSync } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { SubjectRef } from '../../../../../../lib/data/erasers/index.ts'
import {
  opendsrEraser,
  type OpendsrEraserOptions,
} from '../../../../../../lib/data/erasers/processors/opendsr/eraser.ts'
import type { OpendsrPlan } from '../../../../../../lib/data/erasers/processors/opendsr/requests.ts'
import { freePace, never, knowing, type Known } from '../../../../../support/stages/erasing.ts'
import { json } from '../../../../../support/servers/http-server.ts'
import {
  authorization,
  startOpendsrProcessor,
  type OpendsrProcessor,
} from '../../../../../support/vendors/opendsr-processor.ts'
import { startProxy, type FaultProxy } from '../../../../../support/servers/servers.ts'

/** For what never answers; a busy machine answers late. */
const hasty = { deadlineMs: 500, attempts: 2, waitSeconds: 0 }
const address = 'canary@example.org'
const person: SubjectRef = { kind: 'person', key: ['1'], identifiers: {} }
const plan: Known<OpendsrPlan> = {
  identities: [{ type: 'email', format: 'raw', from: 'email' }],
  identifiers: (subject) => ({
    email: [subject.key[0] === '1' ? address : `p${subject.key[0]}@example.org`],
  }),
}
const request = { runId: 'run-1', fence: 1n, limit: 1000 }

describe('a processor that speaks OpenDSR', () => {
  let processor: OpendsrProcessor
  let proxy: FaultProxy
  beforeAll(async () => {
    processor = await startOpendsrProcessor()
  })
  beforeEach(async () => {
    processor.reset()
    processor.profiles.add(address)
    proxy = await startProxy(processor.host, processor.port, { protocol: 'raw' })
  })
  afterEach(() => proxy.close())
  afterAll(() => processor.close())

  const eraser = (options: Partial<OpendsrEraserOptions> = {}) =>
    knowing(
      opendsrEraser({
        store: 'insights',
        url: `${processor.url}/v3`,
        authorization,
        certificate: processor.publicKey,
        requestKey: 'secret of the tests',
        allowPrivate: true,
        pace: freePace(),
        patience: { deadlineMs: 10_000, attempts: 2, waitSeconds: 0 },
        ...options,
      }),
    )
  const posts = () => processor.asked.filter(({ method }) => method === 'POST')
  const id = () => [...processor.requests.keys()][0] ?? ''

  test('gets one request a subject, under an id that tells nobody whose it is', async () => {
    const page = await eraser().erase([person], plan, request, never)
    expect(page.pending).toEqual([{ job: id(), pollAfterSeconds: 3600 }])
    processor.requests.clear()
    await eraser({ requestKey: 'another' }).erase([person], plan, request, never)
    expect(id()).not.toBe(page.pending[0]?.job)
  })

  test('that was asked before is not asked again by the same run, and is by another', async () => {
    const first = await eraser().erase([person], plan, request, never)
    const second = await eraser().erase([person], plan, request, never)
    expect(second.pending).toEqual(first.pending)
    expect(posts()).toHaveLength(1)
    await eraser().erase([person], plan, { ...request, runId: 'run-2' }, never)
    expect(processor.requests.size).toBe(2)
  })

  test('whose receipt was lost on the way has one request all the same', async () => {
    processor.rewrite = (asked, usual) => (asked.method === 'POST' && posts().length === 1 ? null : usual)
    const page = await eraser().erase([person], plan, request, never)
    expect(page).toMatchObject({ pending: [{ job: id() }], messages: [] })
    expect(processor.requests.size).toBe(1)
    expect(posts()).toHaveLength(2)
  })

  test('is told once for the identities that are hashed', async () => {
    const hashed = { ...plan, identities: [{ type: 'email', format: 'sha256', from: 'email' }] } as const
    await eraser().erase([person], hashed, request, never)
    expect(posts()[0]?.body).not.toContain(address)
  })

  test('that moves on is waited for, and counts once it has completed', async () => {
    const { pending } = await eraser().erase([person], plan, request, never)
    const jobs = pending.map(({ job }) => job)
    for (const status of ['pending', 'in_progress'] as const) {
      processor.requests.set(id(), { emails: [address], status })
      expect(await eraser().erase([person], plan, { ...request, jobs }, never)).toMatchObject({
        removed: {},
        pending: [{ job: id() }],
        more: true,
      })
    }
    processor.settle()
    expect(await eraser().erase([person], plan, { ...request, jobs }, never)).toMatchObject({
      removed: { subjects: 1 },
      pending: [],
      more: false,
    })
  })

  test('that cancels a request has not erased, and that is said', async () => {
    const { pending } = await eraser().erase([person], plan, request, never)
    processor.requests.set(id(), { emails: [address], status: 'cancelled' })
    const page = await eraser().erase(
      [person],
      plan,
      { ...request, jobs: pending.map(({ job }) => job) },
      never,
    )
    expect(page).toMatchObject({
      removed: {},
      pending: [],
      messages: ['1 request cancelled at the processor.'],
    })
  })

  test('whose absence nobody can see is not verifiable, and nobody is said to be absent', async () => {
    const lethe = eraser()
    expect(lethe.capabilities.verifiable).toBe(false)
    expect(await lethe.verify([person], plan, never)).toEqual([{ absent: false, left: {}, retained: [] }])
  })

  test('sends its credentials to no other origin than its own', async () => {
    const verifyUrl = `${proxy.rewrite(processor.url)}profiles?email={email}`
    await expect(eraser({ verifyUrl }).verify([person], plan, never)).rejects.toMatchObject({
      facts: { status: 401 },
    })
  })

  test.each([
    ['has no signature', (headers: Record<string, string>) => delete headers['x-opendsr-signature']],
    [
      'is signed for another domain',
      (headers: Record<string, string>) => (headers['x-opendsr-processor-domain'] = 'x'),
    ],
    ['has another signature', (headers: Record<string, string>) => (headers['x-opendsr-signature'] = 'AAAA')],
  ])('whose receipt %s is not believed', async (_, spoil) => {
    processor.rewrite = (_, usual) => {
      const headers = { ...usual.headers }
      spoil(headers)
      return { ...usual, headers }
    }
    const page = await eraser().erase([person], plan, request, never)
    expect(page).toMatchObject({ pending: [], messages: ['1 request refused, lost or not properly signed.'] })
  })

  test('whose receipt is signed with another key, or changed after it was signed, is not believed', async () => {
    processor.signWith = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    expect(await eraser().erase([person], plan, request, never)).toMatchObject({ pending: [] })
    processor.reset()
    processor.rewrite = (_, usual) => ({
      ...usual,
      body: usual.body?.replace('controller-1', 'controller-2') ?? '',
    })
    expect(await eraser().erase([person], plan, request, never)).toMatchObject({ pending: [] })
  })

  test('whose receipt is for another controller is not believed', async () => {
    const lethe = eraser({ controllerId: 'controller-9' })
    expect(await lethe.erase([person], plan, request, never)).toMatchObject({ pending: [] })
  })

  test('with an EC key signs as well', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    processor.signWith = privateKey
    const certificate = publicKey.export({ type: 'spki', format: 'pem' }).toString()
    expect((await eraser({ certificate }).erase([person], plan, request, never)).pending).toHaveLength(1)
  })

  test('that cannot do what is wanted of it is found out by the probe', async () => {
    await eraser().probe(plan, never)
    const other = { ...plan, identities: [{ type: 'email', format: 'sha256', from: 'email' }] } as const
    await expect(eraser().probe(other, never)).rejects.toThrow('does not know email as sha256')
    await expect(eraser({ authorization: 'Basic wrong' }).probe(plan, never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
    })
    expect(posts()).toEqual([])
    expect(() => eraser({ certificate: 'none' })).toThrow(expect.objectContaining({ code: 'E_CONFIG' }))
  })

  test('that refuses our credentials ends the call at once, whoever is asked for', async () => {
    const many = Array.from({ length: 20 }, (_, place): SubjectRef => ({
      kind: 'person',
      key: [String(place)],
      identifiers: {},
    }))
    await expect(eraser({ authorization: 'no' }).erase(many, plan, request, never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
    })
    expect(processor.asked).toHaveLength(1)
  })

  test('that quotes what it was sent is not quoted', async () => {
    processor.refused.add(address)
    const page = await eraser().erase([person], plan, request, never)
    expect(page.messages).toHaveLength(1)
    expect(JSON.stringify(page)).not.toContain(address)
    processor.rewrite = () => json(403, { error: address })
    const error: unknown = await eraser()
      .erase([person], plan, request, never)
      .catch((thrown: unknown) => thrown)
    expect(`${String(error)}${JSON.stringify(error)}`).not.toContain(address)
  })

  test('that asks to come back later, or redirects, is left alone', async () => {
    processor.rewrite = () => ({ status: 429, headers: { 'retry-after': '60' } })
    await expect(eraser().erase([person], plan, request, never)).rejects.toMatchObject({
      code: 'E_STORE_THROTTLED',
    })
    processor.rewrite = () => ({ status: 302, headers: { location: `${processor.url}/v3/discovery` } })
    await expect(eraser().erase([person], plan, request, never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
    })
    expect(processor.asked).toHaveLength(2)
  })

  test('cut off at any message gets one request, and is found absent in the end', async () => {
    for (let message = 1; message <= 4; message += 1) {
      processor.reset()
      processor.profiles.add(address)
      proxy.counter.count = 0
      proxy.counter.onMessage = (n) => n < message
      const url = `${proxy.rewrite(processor.url)}v3`
      const lethe = eraser({ url, verifyUrl: `${proxy.rewrite(processor.url)}profiles?email={email}` })
      await lethe.erase([person], plan, request, never).catch(() => undefined)
      delete proxy.counter.onMessage
      proxy.heal()
      const { pending } = await lethe.erase([person], plan, request, never)
      expect(pending).toHaveLength(1)
      expect(processor.requests.size).toBe(1)
      expect(await lethe.verify([person], plan, never)).toEqual([{ absent: true, left: {}, retained: [] }])
    }
  })

  test('half open is unavailable by its deadline', async () => {
    proxy.blackhole()
    const lethe = eraser({ url: `${proxy.rewrite(processor.url)}v3`, patience: hasty })
    await expect(lethe.erase([person], plan, request, never)).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
      facts: { reason: 'deadline' },
    })
  })
})
