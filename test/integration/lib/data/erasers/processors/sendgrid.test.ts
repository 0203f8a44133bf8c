import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ErasePage, SubjectRef } from '../../../../../../lib/data/erasers/index.ts'
import { freePace, never, person, request } from '../../../../../support/stages/erasing.ts'
import {
  mailOf,
  openSendgridHouse,
  type SendgridHouse,
} from '../../../../../support/stages/sendgrid-house.ts'
import { startProxy } from '../../../../../support/servers/servers.ts'

let house: SendgridHouse
beforeAll(async () => {
  house = await openSendgridHouse()
})
afterAll(() => house.server.close())
beforeEach(() => house.server.reset())

const jobsOf = (page: ErasePage) => page.pending.map(({ job }) => job)
const calls = (path: string) => house.server.requests.filter((one) => one.path.startsWith(path))
const list = (name: string, ...ids: string[]) => house.server.lists.set(name, new Set(ids.map(mailOf)))
/** Nothing that is told to anybody names a person. */
const expectNobodyIn = (value: unknown) => {
  expect(JSON.stringify(value)).not.toMatch(/example\.org|c-p\d/)
}

describe('many subjects', () => {
  test('share searches of a hundred, deletions of a hundred and one erasure job', async () => {
    const ids = Array.from({ length: 250 }, (_, place) => `p${place}`)
    for (const id of ids) house.addContact(id)
    const page = await house.eraser().erase(ids.map(person), house.plan, request(), never)
    expect(page.removed).toEqual({ contacts: 250 })
    expect(calls('/v3/marketing/contacts/search').length).toBe(3)
    expect(calls('/v3/marketing/contacts').filter(({ method }) => method === 'DELETE').length).toBe(3)
    expect(calls('/v3/recipients/erasejob').length).toBe(1)
    expect(house.server.erased).toEqual(ids.map(mailOf))
  })

  test('go on where the part before ended, also where nothing of it was there', async () => {
    const subjects = ['p1', 'p2', 'p3'].map(person)
    const eraser = house.eraser()
    const first = await eraser.erase(subjects, house.plan, request(2), never)
    expect(first).toMatchObject({ removed: {}, more: true })
    const second = await eraser.erase(subjects, house.plan, request(2, jobsOf(first)), never)
    expect(second.more).toBe(false)
    expect(house.server.erased).toEqual(['p1', 'p2', 'p3'].map(mailOf))
  })

  test('with a value that is no address lose only that, and none leads to a whole list', async () => {
    house.addContact('p1')
    list('bounces', 'p1', 'p2')
    const values: Record<string, string[]> = { odd: ['', ' ', 'n/a', 'a@b,c@d'], p1: [mailOf('p1')] }
    const plan = {
      email: 'email',
      identifiers: ({ key: [id = ''] }: SubjectRef) => ({ email: values[id] ?? [] }),
    }
    const eraser = house.eraser({ deleteSuppressions: ['bounces'] })
    const page = await eraser.erase([person('odd'), person('p1')], plan, request(), never)
    expect(page).toMatchObject({ removed: { contacts: 1, bounces: 1 } })
    expect(page.messages).toContain('4 values passed over: no mail address.')
    expect(house.server.lists.get('bounces')).toEqual(new Set([mailOf('p2')]))
  })

  test('of whom one is refused are searched and erased without it, and it is not called absent', async () => {
    const plan = {
      email: 'email',
      identifiers: ({ key: [id = ''] }: SubjectRef) => ({ email: [id === 'p2' ? 'p2@nowhere' : mailOf(id)] }),
    }
    for (const id of ['p1', 'p2', 'p3']) house.addContact(id)
    house.server.refused.add('p2@nowhere')
    const subjects = ['p1', 'p2', 'p3'].map(person)
    const page = await house.eraser().erase(subjects, plan, request(), never)
    expect(page.removed).toEqual({ contacts: 2 })
    expect(page.messages).toEqual([
      '1 address could not be searched for: refused by SendGrid.',
      '1 address not taken by an erasure job: refused by SendGrid.',
    ])
    expect(house.server.erased).toEqual([mailOf('p1'), mailOf('p3')])
    const found = await house.eraser().verify(subjects, plan, never)
    expect(found.map(({ absent }) => absent)).toEqual([true, false, true])
    expectNobodyIn(page)
  })
})

describe('a contact', () => {
  test('is deleted by a job that is looked at and not started again', async () => {
    house.server.atOnce = false
    house.addContact('p1')
    const eraser = house.eraser()
    const first = await eraser.erase([person('p1')], house.plan, request(), never)
    expect(first).toMatchObject({ removed: { contacts: 1 }, more: true })
    expect(jobsOf(first)).toEqual([
      expect.stringMatching(/^contacts:12a975bd-/),
      expect.stringMatching(/^erasure:12a975bd-/),
    ])
    const early = await eraser.erase([person('p1')], house.plan, request(1000, jobsOf(first)), never)
    expect(early).toMatchObject({ removed: {}, more: true })
    expect(jobsOf(early)).toEqual(jobsOf(first).slice(0, 1))
    expect(await eraser.verify([person('p1')], house.plan, never)).toMatchObject([{ left: { contacts: 1 } }])
    house.server.settle()
    const late = await eraser.erase([person('p1')], house.plan, request(1000, jobsOf(early)), never)
    expect(late).toMatchObject({ pending: [], more: false, messages: [] })
    expect(await eraser.verify([person('p1')], house.plan, never)).toMatchObject([{ absent: true }])
    expect(calls('/v3/recipients/erasejob').length).toBe(1)
  })

  test.each(['failed', 'errored'] as const)(
    'whose job %s in the end is still there, and it is said',
    async (end) => {
      Object.assign(house.server, { atOnce: false, deletion: end })
      house.addContact('p1')
      const eraser = house.eraser()
      const first = await eraser.erase([person('p1')], house.plan, request(), never)
      house.server.settle()
      const late = await eraser.erase([person('p1')], house.plan, request(1000, jobsOf(first)), never)
      expect(late).toMatchObject({ pending: [], more: false })
      expect(late.messages[0]).toContain(`ended with errors (${end})`)
      expect(await eraser.verify([person('p1')], house.plan, never)).toMatchObject([{ absent: false }])
    },
  )

  test('whose job is forgotten at SendGrid is left to reading back', async () => {
    const jobs = ['contacts:never-was', 'nonsense', 'contacts:../../user']
    const page = await house.eraser().erase([person('p1')], house.plan, request(1000, jobs), never)
    expect(page).toMatchObject({ pending: [], more: false })
    expect(page.messages).toEqual([
      'SendGrid no longer knows its deletion of contacts never-was: only reading back tells.',
    ])
    expect(house.server.requests.length).toBe(1)
  })

  test('of somebody else that holds the address as an alternate one is left alone and reported', async () => {
    house.addContact('other', [mailOf('p1')])
    const page = await house.eraser().erase([person('p1')], house.plan, request(), never)
    expect(page.removed).toEqual({})
    expect(page.messages[0]).toContain('left alone')
    expect(house.server.contacts.length).toBe(1)
    expect(await house.eraser().verify([person('p1')], house.plan, never)).toMatchObject([
      { absent: false, left: { 'contacts of another address': 1 } },
    ])
    const both = { email: 'email', identifiers: () => ({ email: [mailOf('p1'), mailOf('other')] }) }
    await house.eraser().erase([person('p1')], both, request(), never)
    expect(house.server.contacts).toEqual([])
  })

  test('that came along with a search and was not asked for stays', async () => {
    const result = { [mailOf('other')]: { contact: { id: 'c-other' } } }
    house.server.fail = ({ path }) =>
      path.endsWith('/search/emails') ? { status: 200, body: { result } } : undefined
    const page = await house.eraser().erase([person('p1')], house.plan, request(), never)
    expect(page.removed).toEqual({})
    expect(calls('/v3/marketing/contacts').some(({ method }) => method === 'DELETE')).toBe(false)
  })

  test('is found in whatever case the address was written', async () => {
    house.addContact('p1')
    const plan = { email: 'email', identifiers: () => ({ email: [' P1@Example.ORG '] }) }
    expect(await house.eraser().locate([person('p1')], plan, never)).toEqual({ counts: { contacts: 1 } })
    await house.eraser().erase([person('p1')], plan, request(), never)
    expect(house.server.erased).toEqual(['P1@Example.ORG', mailOf('p1')])
    expect(await house.eraser().verify([person('p1')], plan, never)).toMatchObject([{ absent: true }])
  })
})

describe('a suppression', () => {
  const all = ['unsubscribes', 'group 7', 'spam_reports', 'bounces', 'blocks', 'invalid_emails']
  const kinds = [
    'unsubscribes',
    'group_unsubscribes',
    'spam_reports',
    'bounces',
    'blocks',
    'invalid_emails',
  ] as const

  test('is kept by default, with a ground that warns of deleting it', async () => {
    for (const name of all) list(name, 'p1')
    const page = await house.eraser().erase([person('p1')], house.plan, request(), never)
    const [found] = await house.eraser().verify([person('p1')], house.plan, never)
    expect(page.removed).toEqual({})
    expect(found).toMatchObject({ absent: true, left: {} })
    expect(found?.retained).toEqual(page.retained)
    expect(page.retained.map(({ place }) => place).sort()).toEqual([...kinds].sort())
    expect(page.retained[0]?.ground).toMatch(/Art\. 21\(3\).*mail would be sent again/)
    expect([...house.server.lists.values()].every((one) => one.size === 1)).toBe(true)
  })

  test.each(kinds)(
    'of %s goes where that is configured, and no other address and no other list',
    async (kind) => {
      for (const name of all) list(name, 'p1', 'p2')
      const eraser = house.eraser({ deleteSuppressions: [kind] })
      expect(eraser.capabilities.sideEffects.join()).toContain('mail to it is sent again')
      expect(await eraser.locate([person('p1')], house.plan, never)).toEqual({ counts: { [kind]: 1 } })
      expect(await eraser.verify([person('p1')], house.plan, never)).toMatchObject([{ left: { [kind]: 1 } }])
      const page = await eraser.erase([person('p1')], house.plan, request(), never)
      expect(page.removed).toEqual({ [kind]: 1 })
      const [found] = await eraser.verify([person('p1')], house.plan, never)
      expect(found).toMatchObject({ absent: true, left: {} })
      expect(found?.retained.length).toBe(kinds.length - 1)
      expect([...house.server.lists.values()].flatMap((one) => [...one]).length).toBe(all.length * 2 - 1)
    },
  )

  test('counts to the limit of a call like everything else', async () => {
    for (const name of all) list(name, 'p1')
    const eraser = house.eraser({ deleteSuppressions: kinds })
    const first = await eraser.erase([person('p1')], house.plan, request(4), never)
    expect(Object.keys(first.removed).length).toBe(4)
    expect(first.more).toBe(true)
    const second = await eraser.erase([person('p1')], house.plan, request(4, jobsOf(first)), never)
    expect(Object.keys(second.removed).length).toBe(2)
    expect(second.more).toBe(false)
    expect(house.server.erased).toEqual([mailOf('p1')])
  })
})

describe('an account', () => {
  test('that is a subuser is asked on behalf of, and its contacts are not guessed from those above', async () => {
    house.addContact('p1')
    const eraser = house.eraser({ subuser: 'clinic-north' })
    await eraser.erase([person('p1')], house.plan, request(), never)
    await eraser.verify([person('p1')], house.plan, never)
    expect(calls('/v3/marketing')).toEqual([])
    expect(house.server.erased).toEqual([mailOf('p1')])
    expect(house.server.requests.every(({ headers }) => headers['on-behalf-of'] === 'clinic-north')).toBe(
      true,
    )
    expect(eraser.capabilities.sideEffects.join()).toContain('contacts are not reached')
  })

  test('without erasure jobs is found out by the probe, which changes nothing', async () => {
    await house.eraser().probe(house.plan, never)
    house.server.scopes = ['mail.send']
    await expect(house.eraser().probe(house.plan, never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
      message: 'SendGrid (mailing) has no erasure jobs for this key or account.',
    })
    expect(house.server.erased).toEqual([])
  })

  test('that is not allowed to is an error, not a subject that is set aside', async () => {
    house.addContact('p1')
    house.server.fail = ({ path }) => (path.endsWith('erasejob') ? { status: 403, body: {} } : undefined)
    const failed = house.eraser().erase([person('p1'), person('p2')], house.plan, request(), never)
    await expect(failed).rejects.toMatchObject({ code: 'E_STORE_REFUSED' })
    expect(calls('/v3/recipients/erasejob').length).toBe(1)
  })
})

describe('a call that fails', () => {
  const verify = (options = {}) => house.eraser(options).verify([person('p1')], house.plan, never)

  test('is made again after as long as SendGrid asked for, which all workers are told', async () => {
    const pace = freePace()
    let limited = 1
    house.server.fail = () =>
      limited-- > 0 ? { status: 429, headers: { 'x-ratelimit-reset': '0' }, body: {} } : undefined
    await verify({ pace, patience: { attempts: 2 } })
    expect(pace.rests).toEqual([0])
  })

  test.each(['retry-after', 'x-ratelimit-reset'])(
    'by the limit is left for later where %s is far',
    async (header) => {
      house.server.fail = () => ({ status: 429, headers: { [header]: '3000' }, body: {} })
      await expect(verify({ patience: { attempts: 3 } })).rejects.toMatchObject({
        code: 'E_STORE_THROTTLED',
        facts: { retryAfterSeconds: 3000 },
      })
      expect(house.server.requests.length).toBe(1)
    },
  )

  test.each([
    ['an error of theirs', { status: 500, body: {} }, 'E_STORE_UNAVAILABLE'],
    ['an answer that is none', { status: 200, body: 'a gateway speaks' }, 'E_STORE_UNAVAILABLE'],
    [
      'a key that is wrong',
      { status: 401, body: { errors: [{ message: mailOf('p1') }] } },
      'E_STORE_REFUSED',
    ],
    [
      'a redirect',
      { status: 302, headers: { location: 'http://127.0.0.1:1/' }, body: {} },
      'E_STORE_REFUSED',
    ],
  ])('with %s says so and concludes nothing', async (_, answer, code) => {
    house.server.fail = () => answer
    const error: unknown = await verify().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code })
    expectNobodyIn(error)
  })

  test('by its deadline ends then', async () => {
    house.server.fail = () => 'hang'
    await expect(verify({ patience: { deadlineMs: 50, attempts: 1 } })).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
      facts: { reason: 'deadline' },
    })
  })

  test('because we were told to stop ends at once, with the reason', async () => {
    const stop = new AbortController()
    house.server.fail = () => {
      stop.abort(new Error('stop'))
      return 'hang'
    }
    await expect(house.eraser().locate([person('p1')], house.plan, stop.signal)).rejects.toThrow('stop')
  })

  test('after its effect is made again and does no harm', async () => {
    house.addContact('p1')
    let drops = 1
    house.server.fail = ({ method, path }) =>
      method === 'DELETE' && path === '/v3/marketing/contacts' && drops-- > 0 ? 'drop' : undefined
    const eraser = house.eraser({ patience: { attempts: 2 } })
    await eraser.erase([person('p1')], house.plan, request(), never)
    expect(await eraser.verify([person('p1')], house.plan, never)).toMatchObject([{ absent: true }])
  })
})

describe('through a path that breaks', () => {
  test('every call may be cut: whoever comes next ends it', async () => {
    const proxy = await startProxy('127.0.0.1', house.server.port, { protocol: 'raw' })
    const eraser = house.eraser({ baseUrl: `http://127.0.0.1:${proxy.port}` })
    const subjects = ['p1', 'p2'].map(person)
    try {
      for (let message = 1, cut = true; cut; message++) {
        house.server.reset()
        for (const id of ['p1', 'p2']) house.addContact(id)
        list('bounces', 'p1')
        cut = false
        proxy.counter.count = 0
        proxy.counter.onMessage = (n) => {
          if (n === message) cut = true
          return n !== message
        }
        const failed: unknown = await eraser
          .erase(subjects, house.plan, request(), never)
          .then(() => null)
          .catch((error: unknown) => error)
        expect(failed).toEqual(cut ? expect.objectContaining({ code: 'E_STORE_UNAVAILABLE' }) : null)
        expect(cut || message > 1, 'the first message is cut').toBe(true)
        expectNobodyIn(failed)
        delete proxy.counter.onMessage
        proxy.heal()
        await house.eraser().erase(subjects, house.plan, request(), never)
        const found = await house.eraser().verify(subjects, house.plan, never)
        expect(found.map(({ absent }) => absent)).toEqual([true, true])
        expect(message).toBeLessThan(100)
      }
    } finally {
      await proxy.close()
    }
  })

  test('half open it is an error after the deadline, never an absence', async () => {
    const proxy = await startProxy('127.0.0.1', house.server.port, { protocol: 'raw' })
    try {
      proxy.blackhole()
      const eraser = house.eraser({
        baseUrl: `http://127.0.0.1:${proxy.port}`,
        patience: { deadlineMs: 100, attempts: 2 },
      })
      await expect(eraser.verify([person('p1')], house.plan, never)).rejects.toMatchObject({
        code: 'E_STORE_UNAVAILABLE',
      })
    } finally {
      await proxy.close()
    }
  })
})
