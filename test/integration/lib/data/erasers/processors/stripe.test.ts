import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ErasePage } from '../../../../../../lib/data/erasers/index.ts'
import type { StripeEraserOptions } from '../../../../../../lib/data/erasers/processors/stripe/plan.ts'
import { freePace, never, person, request } from '../../../../../support/stages/erasing.ts'
import { startProxy } from '../../../../../support/servers/servers.ts'
import { openStripeHouse, type StripeHouse } from '../../../../../support/stages/stripe-house.ts'

let house: StripeHouse
beforeAll(async () => {
  house = await openStripeHouse()
})
afterAll(() => house.server.close())
beforeEach(() => house.server.reset())

const jobsOf = (page: ErasePage) => page.pending.map(({ job }) => job)
const states = () => Object.fromEntries(house.server.customers.map(({ id, state }) => [id, state]))
const expectNobodyIn = (value: unknown) => {
  expect(JSON.stringify(value)).not.toMatch(/example\.org|cus_/i)
}

describe('a customer', () => {
  test('found by id is deleted, and what Stripe keeps of it is reported with a ground', async () => {
    house.addCustomer('p1')
    const page = await house.eraser().erase([person('p1'), person('p2')], house.byId, request(), never)
    expect(page).toMatchObject({ removed: { customers: 1 }, more: false })
    const found = await house.eraser().verify([person('p1'), person('p2')], house.byId, never)
    expect(found[0]).toMatchObject({ absent: true, retained: page.retained })
    expect(found[1]).toEqual({ absent: true, left: {}, retained: [] })
    expect(page.retained).toMatchObject([{ place: 'payments of deleted customers', count: 1, until: null }])
    expect(page.retained[0]?.ground).toContain('Art. 17(3)(b)')
  })

  test('that id and address lead to is one, and others of the address on later pages go too', async () => {
    for (const id of ['p1', 'p1b', 'p1c', 'p1d', 'p1e']) house.addCustomer(id, 'p1@example.org')
    house.addCustomer('p2')
    const plan = {
      customer: 'customer',
      email: 'email',
      identifiers: () => ({ customer: ['cus_p1'], email: ['p1@example.org'] }),
    }
    expect(await house.eraser({ search: false }).locate([person('p1')], plan, never)).toEqual({
      counts: { customers: 5 },
    })
    await house.eraser({ search: false }).erase([person('p1')], plan, request(), never)
    expect(Object.entries(states()).filter(([, state]) => state === 'present')).toEqual([
      ['cus_p2', 'present'],
    ])
  })

  test('is found in whatever case its address was written, by search, and without it not', async () => {
    house.addCustomer('p1', "O'Neil@Example.org")
    const plan = { email: 'email', identifiers: () => ({ email: ["o'neil@example.ORG"] }) }
    expect(await house.eraser({ search: false }).locate([person('p1')], plan, never)).toEqual({ counts: {} })
    expect(await house.eraser().locate([person('p1')], plan, never)).toEqual({ counts: { customers: 1 } })
  })

  test("that the search still shows is neither found nor deleted where it is gone or another's by now", async () => {
    house.addCustomer('p1', 'new@example.org')
    house.server.stale = [
      { id: 'cus_p1', email: 'P1@example.org', state: 'present' },
      { id: 'cus_gone', email: 'P1@example.org', state: 'present' },
    ]
    const page = await house.eraser().erase([person('p1')], house.byEmail, request(), never)
    expect(page.removed).toEqual({})
    expect(states()).toEqual({ cus_p1: 'present' })
  })

  test.each(['', ' ', '.', '..', 'cus_1/../cus_2', 'cus_1?x=1'])(
    'is never asked for by the odd id "%s"',
    async (odd) => {
      house.addCustomer('p1')
      const plan = { customer: 'customer', identifiers: () => ({ customer: [odd] }) }
      const page = await house.eraser().erase([person('p1')], plan, request(), never)
      expect(page).toMatchObject({ removed: {}, messages: ["1 value passed over: no customer's id."] })
      expect(await house.eraser().verify([person('p1')], plan, never)).toMatchObject([{ absent: false }])
      expect(house.server.requests).toEqual([])
    },
  )

  test('is never asked for by an empty address, which would mean everybody', async () => {
    house.addCustomer('p1')
    const plan = { email: 'email', identifiers: () => ({ email: ['', ' ', 'x'] }) }
    expect((await house.eraser().erase([person('p1')], plan, request(), never)).removed).toEqual({})
    expect(house.server.requests).toEqual([])
  })

  test('that came along where the filter was ignored stays', async () => {
    house.addCustomer('p1')
    house.addCustomer('p2')
    const data = house.server.customers.map(({ id, email }) => ({ id, object: 'customer', email }))
    house.server.fail = ({ path }) =>
      path.startsWith('/v1/customers') && !path.startsWith('/v1/customers/cus_')
        ? { status: 200, body: { object: 'list', has_more: false, data } }
        : undefined
    await house.eraser().erase([person('p1')], house.byEmail, request(), never)
    expect(states()).toEqual({ cus_p1: 'deleted', cus_p2: 'present' })
  })
})

describe('redaction', () => {
  const redacting = (options: Partial<StripeEraserOptions> = {}) =>
    house.eraser({ redaction: true, ...options })
  const erase = (ids: string[], jobs: readonly string[] = [], limit = 1000) =>
    redacting().erase(ids.map(person), house.byId, request(limit, jobs), never)
  /** To the end; every page. */
  const eraseAll = async (ids: string[], limit = 1000) => {
    const pages = [await erase(ids, [], limit)]
    while (pages.at(-1)?.more === true) {
      house.server.settle()
      pages.push(
        await erase(
          ids,
          pages.flatMap((page) => jobsOf(page).slice(0, page === pages.at(-1) ? 99 : 0)),
          limit,
        ),
      )
      expect(pages.length).toBeLessThan(30)
    }
    return pages
  }
  const redacted = (pages: readonly ErasePage[]) =>
    pages.reduce((all, { removed }) => all + (removed['customers'] ?? 0), 0)

  test('takes ten customers a job, validates, runs and waits, and reads back what became of them', async () => {
    const ids = Array.from({ length: 25 }, (_, place) => `p${place}`)
    for (const id of ids) house.addCustomer(id)
    const first = await erase(ids)
    expect(first).toMatchObject({ removed: {}, more: true })
    expect(house.server.jobs.map(({ customers }) => customers.length)).toEqual([10, 10, 5])
    expect(jobsOf(first)).toEqual(house.server.jobs.map(({ id }) => `redaction:${id}`))
    const found = await redacting().verify(ids.map(person), house.byId, never)
    expect(found.every(({ absent }) => !absent)).toBe(true)
    const pages = await eraseAll(ids)
    expect(redacted(pages)).toBe(25)
    expect(house.server.jobs.length).toBe(3)
    const later = await redacting().verify(ids.map(person), house.byId, never)
    expect(later).toEqual(ids.map(() => ({ absent: true, left: {}, retained: [] })))
    expect(await erase(ids)).toMatchObject({ removed: {}, pending: [], more: false })
  })

  test('that fails for one customer is done for the others, and the failed job holds nobody', async () => {
    for (const id of ['p1', 'p2', 'p3']) house.addCustomer(id)
    house.server.refused.add('cus_p2')
    const pages = await eraseAll(['p1', 'p2', 'p3'])
    const messages = pages.flatMap((page) => page.messages)
    expect(messages.every((message) => message.includes('failed validation (invalid_state)'))).toBe(true)
    expect(messages.length).toBe(2)
    expectNobodyIn(messages)
    expect(states()).toEqual({ cus_p1: 'redacted', cus_p2: 'present', cus_p3: 'redacted' })
    expect(house.server.jobs.some(({ status }) => status === 'failed')).toBe(false)
    house.server.refused.clear()
    await eraseAll(['p1', 'p2', 'p3'])
    expect(states()).toMatchObject({ cus_p2: 'redacted' })
  })

  test('whose job was started and not recorded is found again in the same run', async () => {
    for (const id of ['p1', 'p2']) house.addCustomer(id)
    const lost = await erase(['p1', 'p2'])
    const again = await erase(['p1', 'p2'])
    expect(jobsOf(again)).toEqual(jobsOf(lost))
    expect(house.server.jobs.length).toBe(1)
  })

  test("goes on after a part, also past customers that can't be redacted", async () => {
    for (const id of ['p1', 'p2', 'p3', 'p4', 'p5']) house.addCustomer(id)
    for (const id of ['cus_p1', 'cus_p2']) house.server.refused.add(id)
    const pages = await eraseAll(['p1', 'p2', 'p3', 'p4', 'p5'], 2)
    expect(redacted(pages)).toBe(3)
    expect(states()).toMatchObject({ cus_p1: 'present', cus_p3: 'redacted', cus_p5: 'redacted' })
  })

  test('that is said to have succeeded and did nothing is caught by reading back', async () => {
    house.addCustomer('p1')
    house.server.lies.add('cus_p1')
    await eraseAll(['p1'])
    expect(await redacting().verify([person('p1')], house.byId, never)).toMatchObject([{ absent: false }])
  })

  test('is off where nobody asked for it, and a probe says where the account lacks it', async () => {
    house.addCustomer('p1')
    await house.eraser().erase([person('p1')], house.byId, request(), never)
    expect(house.server.jobs).toEqual([])
    await redacting().probe(house.byId, never)
    house.server.preview = false
    await house.eraser().probe(house.byId, never)
    await expect(redacting().probe(house.byId, never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
      message: 'Stripe (billing) has no redaction jobs for this account or key.',
    })
  })

  test('cut anywhere is ended by whoever comes next, with one job', async () => {
    const proxy = await startProxy('127.0.0.1', house.server.port, { protocol: 'raw' })
    const eraser = redacting({ baseUrl: `http://127.0.0.1:${proxy.port}` })
    try {
      for (let message = 1, cut = true; cut; message++) {
        house.server.reset()
        house.addCustomer('p1')
        cut = false
        proxy.counter.count = 0
        proxy.counter.onMessage = (n) => {
          if (n === message) cut = true
          return n !== message
        }
        const failed: unknown = await eraser
          .erase([person('p1')], house.byId, request(), never)
          .then(() => null)
          .catch((error: unknown) => error)
        expect(failed).toEqual(cut ? expect.objectContaining({ code: 'E_STORE_UNAVAILABLE' }) : null)
        expect(cut || message > 1, 'the first message is cut').toBe(true)
        expectNobodyIn(failed)
        delete proxy.counter.onMessage
        proxy.heal()
        expect(redacted(await eraseAll(['p1']))).toBe(1)
        expect(house.server.jobs.length).toBe(1)
        expect(message).toBeLessThan(50)
      }
    } finally {
      await proxy.close()
    }
  })
})

describe('a call that fails', () => {
  const verify = (options = {}) => house.eraser(options).verify([person('p1')], house.byEmail, never)

  test('by the limit waits as long as Stripe says, and all workers are told', async () => {
    const pace = freePace()
    let limited = 1
    house.server.fail = () =>
      limited-- > 0
        ? { status: 429, headers: { 'retry-after': '0' }, body: { error: { code: 'rate_limit' } } }
        : undefined
    await verify({ pace, patience: { attempts: 2 } })
    expect(pace.rests).toEqual([0])
  })

  test.each([
    ['an error of theirs', { status: 500, body: { error: { type: 'api_error' } } }, 'E_STORE_UNAVAILABLE'],
    ['an answer that is none', { status: 200, body: 'a gateway speaks' }, 'E_STORE_UNAVAILABLE'],
    [
      'a lock held by another',
      { status: 409, body: { error: { code: 'lock_timeout' } } },
      'E_STORE_UNAVAILABLE',
    ],
    [
      'a key that is wrong',
      { status: 401, body: { error: { message: 'p1@example.org' } } },
      'E_STORE_REFUSED',
    ],
    ['a redirect', { status: 302, headers: { location: 'http://127.0.0.1:1/' } }, 'E_STORE_REFUSED'],
  ])('with %s says so, names nobody and concludes nothing', async (_, answer, code) => {
    house.server.fail = () => answer
    const error: unknown = await verify().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code })
    expectNobodyIn(error)
    expect(house.server.requests.length).toBe(1)
  })

  test('by its deadline ends then', async () => {
    house.server.fail = () => 'hang'
    await expect(verify({ patience: { deadlineMs: 50, attempts: 1 } })).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
      facts: { reason: 'deadline' },
    })
  })

  test('after its effect is made again and does no harm', async () => {
    house.addCustomer('p1')
    let drops = 1
    house.server.fail = ({ method }) => (method === 'DELETE' && drops-- > 0 ? 'drop' : undefined)
    const eraser = house.eraser({ patience: { attempts: 2 } })
    const page = await eraser.erase([person('p1')], house.byEmail, request(), never)
    expect(page.messages).toEqual([])
    expect(await eraser.verify([person('p1')], house.byEmail, never)).toMatchObject([{ absent: true }])
  })
})
