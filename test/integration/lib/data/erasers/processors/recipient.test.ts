import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { SubjectRef } from '../../../../../../lib/data/erasers/index.ts'
import {
  recipientEraser,
  type RecipientOptions,
  type RecipientPlan,
} from '../../../../../../lib/data/erasers/processors/recipient/eraser.ts'
import { freePace, never, person, knowing, type Known } from '../../../../../support/stages/erasing.ts'
import { startRecipient, type Recipient } from '../../../../../support/vendors/recipient.ts'

const plan: Known<RecipientPlan> = {
  sends: ['email'],
  identifiers: ({ key: [id = ''] }) =>
    id === '9' ? { name: ['unknown there'] } : { email: [`p${id}@example.org`], name: ['not to be sent'] },
}
const request = { runId: 'run-1', fence: 1n, limit: 1000, requests: ['r1', 'r2', 'r3'] }

describe('a recipient', () => {
  let recipient: Recipient
  beforeAll(async () => {
    recipient = await startRecipient()
  })
  beforeEach(() => recipient.reset())
  afterAll(() => recipient.close())

  const eraser = (options: Partial<RecipientOptions> = {}) =>
    knowing(
      recipientEraser({
        store: 'laboratory',
        url: recipient.url,
        secret: recipient.secret,
        requestKey: 'a key of this store',
        allowPrivate: true,
        pace: freePace(),
        patience: { deadlineMs: 10_000, attempts: 1, waitSeconds: 0 },
        ...options,
      }),
    )
  const idsOf = () => recipient.notices.map(({ id }) => id)
  const tell = (subject: SubjectRef, options: Partial<RecipientOptions> = {}, requests = ['r1']) =>
    eraser(options).erase([subject], plan, { ...request, requests }, never)

  test('gets one signed notice for each person, with the identifiers that the map names, and no others', async () => {
    const page = await eraser().erase([person(1), person(2), person(9)], plan, request, never)
    expect(page).toEqual({ removed: {}, retained: [], pending: [], messages: [], more: false })
    const told = recipient.notices.map(({ kind, identifiers }) => [kind, identifiers])
    expect(told).toHaveLength(2)
    expect(told).toContainEqual(['person', { email: ['p1@example.org'] }])
    expect(told).toContainEqual(['person', { email: ['p2@example.org'] }])
  })

  test('knows a notice that came before by its id, whoever sends it', async () => {
    await tell(person(1))
    await tell(person(1))
    await eraser().erase([person(2), person(1)], plan, { ...request, requests: ['r2', 'r1'] }, never)
    const ids = idsOf()
    expect(ids[1]).toBe(ids[0])
    expect(ids.filter((id) => id === ids[0])).toHaveLength(3)
    expect(new Set(ids).size).toBe(2)
  })

  test('is told anew of another request of the same person, and no id can be made without the key', async () => {
    await tell(person(1))
    await tell(person(1), {}, ['r7'])
    await tell(person(1), { requestKey: 'another' })
    expect(new Set(idsOf()).size).toBe(3)
  })

  test('that takes the notice and answers nobody is told again, under the same id', async () => {
    let calls = 0
    recipient.answer = () => (++calls === 1 ? null : undefined)
    await tell(person(1), { patience: { attempts: 2 } })
    expect(recipient.notices).toHaveLength(2)
    expect(new Set(idsOf()).size).toBe(1)
  })

  test('that refuses one notice has the others once, also when the call is repeated in halves', async () => {
    recipient.answer = ({ identifiers }) =>
      identifiers['email']?.[0] === 'p2@example.org' ? { status: 422 } : undefined
    const one = eraser()
    const all = [person(1), person(2), person(3)]
    await expect(one.erase(all, plan, request, never)).rejects.toMatchObject({ code: 'E_STORE_REFUSED' })
    await one.erase([person(1)], plan, request, never)
    await one.erase([person(3)], plan, { ...request, requests: ['r3'] }, never)
    expect(recipient.notices.map(({ identifiers }) => String(identifiers['email'])).sort()).toEqual([
      'p1@example.org',
      'p2@example.org',
      'p3@example.org',
    ])
  })

  test.each([
    [429, { 'retry-after': '77' }, { code: 'E_STORE_THROTTLED', facts: { retryAfterSeconds: 77 } }],
    [500, {}, { code: 'E_STORE_UNAVAILABLE' }],
    [410, {}, { code: 'E_STORE_REFUSED' }],
    [302, { location: 'http://169.254.169.254/' }, { code: 'E_STORE_REFUSED' }],
  ])('that answers %i was not told', async (status, headers, failure) => {
    recipient.answer = () => ({ status, headers })
    await expect(tell(person(1))).rejects.toMatchObject(failure)
    expect(recipient.notices).toHaveLength(1)
  })

  test('on a private network is not called unless the map allows it', async () => {
    const url = recipient.url.replace('http:', 'https:')
    expect(() => eraser({ url, allowPrivate: false })).toThrow('private network')
    const named = url.replace('127.0.0.1', 'localhost')
    await expect(tell(person(1), { url: named, allowPrivate: false })).rejects.toMatchObject({
      code: 'E_CONFIG',
    })
    expect(recipient.notices).toEqual([])
  })

  test('is never taken for read back, and not told by a probe or after a stop', async () => {
    const one = eraser()
    expect(one.capabilities.verifiable).toBe(false)
    await one.erase([person(1)], plan, request, never)
    expect(await one.verify([person(1), person(9)], plan, never)).toEqual([
      { absent: false, left: {}, retained: [] },
      { absent: true, left: {}, retained: [] },
    ])
    await one.probe(plan, never)
    const stop = AbortSignal.abort(new Error('stop'))
    await expect(one.erase([person(2)], plan, request, stop)).rejects.toThrow('stop')
    expect(recipient.notices).toHaveLength(1)
  })
})
