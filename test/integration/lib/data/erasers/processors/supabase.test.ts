import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  supabaseEraser,
  type SupabasePlan,
} from '../../../../../../lib/data/erasers/processors/supabase/eraser.ts'
import type { SupabaseOptions } from '../../../../../../lib/data/erasers/processors/supabase/client.ts'
import { breakEach } from '../../../../../support/stages/break-each.ts'
import {
  freePace,
  never,
  person,
  request,
  knowing,
  type Known,
} from '../../../../../support/stages/erasing.ts'
import { startProxy } from '../../../../../support/servers/servers.ts'
import { startSupabase, type FakeSupabase } from '../../../../../support/vendors/supabase.ts'

const quick = { deadlineMs: 400, attempts: 1 }
const byId: Known<SupabasePlan> = { user: 'id', identifiers: ({ key }) => ({ id: key }) }
const byEmail: Known<SupabasePlan> = { email: 'email', identifiers: ({ key }) => ({ email: key }) }

describe('Supabase Auth', () => {
  let supabase: FakeSupabase
  beforeAll(async () => {
    supabase = await startSupabase()
  })
  afterAll(() => supabase.close())
  beforeEach(() => supabase.empty())

  const open = (more: Partial<SupabaseOptions> = {}) =>
    knowing(
      supabaseEraser({
        store: 'auth',
        url: supabase.url,
        secretKey: supabase.secretKey,
        pace: freePace(),
        patience: { deadlineMs: 5000 },
        ...more,
      }),
    )
  const seed = (count: number) =>
    Array.from({ length: count }, (_, n) => supabase.add(`person.${n}@example.org`))

  test('reads on past the ninth page, where the client loses count', async () => {
    seed(43)
    expect(await open().verify([person('Person.0@Example.org')], byEmail, never)).toMatchObject([
      { absent: false, left: { users: 1 } },
    ])
  })

  test('lists again where a deletion meanwhile has moved a user to a page already read', async () => {
    seed(6)
    let once = true
    supabase.fault = ({ query }) => {
      if (query.get('page') === '2' && once) {
        once = false
        supabase.users = supabase.users.filter(({ email }) => email !== 'person.5@example.org')
      }
      return null
    }
    // The third-newest moves from the second page to the first.
    expect(await open().verify([person('person.3@example.org')], byEmail, never)).toMatchObject([
      { absent: false },
    ])
    expect(supabase.seen.filter(({ query }) => query.get('page') === '1')).toHaveLength(2)
  })

  test('says of nobody to be absent where users go at every listing', async () => {
    seed(20)
    supabase.fault = ({ query }) => {
      if (query.get('page') === '2') supabase.users.pop()
      return null
    }
    await expect(open().verify([person('person.3@example.org')], byEmail, never)).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
    })
  })

  test('a list without its total is not taken for whole', async () => {
    seed(3)
    supabase.fault = ({ query }) =>
      query.get('page') === '1'
        ? { before: { status: 200, body: { users: [{ id: randomUUID(), email: 'x@example.org' }] } } }
        : null
    await expect(open().verify([person('person.0@example.org')], byEmail, never)).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
    })
  })

  test('asks for the hard deletion', async () => {
    const [id = ''] = seed(1)
    await open().erase([person(id)], byId, request(), never)
    const [deletion] = supabase.seen.filter(({ method }) => method === 'DELETE')
    expect(JSON.parse(deletion?.text ?? '')).toEqual({ should_soft_delete: false })
  })

  test('says plainly that the database refused, at the first answer, and does the others', async () => {
    const ids = seed(3)
    supabase.referred.add(ids[1] ?? '')
    const page = await open().erase(ids.map(person), byId, request(), never)
    expect(page).toMatchObject({ removed: { users: 2 }, more: false })
    expect(page.messages).toEqual([
      expect.stringMatching(/^1 of users refused by the database \(500\).*foreign key/),
    ])
    expect(supabase.seen.filter(({ method }) => method === 'DELETE')).toHaveLength(3)
  })

  test('an id that is none holds up nobody and is not taken for absent', async () => {
    const [id = ''] = seed(1)
    const people = [person('1 or 1=1'), person(id)]
    expect(await open().erase(people, byId, request(), never)).toMatchObject({
      removed: { users: 1 },
      messages: [expect.stringContaining('1 of the subjects could not be looked for')],
    })
    await expect(open().verify(people, byId, never)).rejects.toMatchObject({ code: 'E_IDENTIFIER' })
  })

  test('a wrong address or key is refused and not taken for absence', async () => {
    const [id = ''] = seed(1)
    for (const wrong of [open({ url: `${supabase.url}/wrong` }), open({ secretKey: 'not-the-key' })]) {
      await expect(wrong.probe(byId, never)).rejects.toMatchObject({ code: 'E_STORE_REFUSED' })
      const failed = await wrong.verify([person(id)], byId, never).catch((error: unknown) => error)
      expect(failed).toMatchObject({ code: 'E_STORE_REFUSED' })
      expect(failed instanceof Error ? `${failed.stack} ${JSON.stringify(failed)}` : '').not.toMatch(
        new RegExp(`not-the-key|${id}`),
      )
    }
  })

  test('a lost answer to a deletion changes nothing, a 429 is waited for, a redirect is not followed', async () => {
    const [id = ''] = seed(1)
    const pace = freePace()
    const faults = [
      { before: { status: 429, headers: { 'retry-after': '0' }, body: {} } },
      { after: 'cut' as const },
    ]
    supabase.fault = ({ method }) => (method === 'DELETE' ? (faults.shift() ?? null) : null)
    await open({ pace }).erase([person(id)], byId, request(), never)
    expect(pace.rests).toEqual([0])
    expect(await open().verify([person(id)], byId, never)).toMatchObject([{ absent: true }])
    supabase.fault = () => ({ before: { status: 302, headers: { location: `${supabase.url}/admin/users` } } })
    await expect(open().verify([person(id)], byId, never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
      message: expect.stringContaining('redirect'),
    })
    expect(supabase.seen.at(-1)?.path).toContain(id)
  })

  test.each(['cut', 'blackhole'] as const)(
    'broken anywhere on the way (%s), the next call ends it',
    async (fault) => {
      const proxy = await startProxy('127.0.0.1', supabase.port, { protocol: 'raw' })
      const through = () => open({ url: proxy.rewrite(supabase.url), patience: quick })
      let ann = person('')
      const broken = await breakEach(
        proxy,
        fault,
        () => {
          supabase.empty()
          ann = person(supabase.add('ann@example.org'))
          return through().erase([ann], byId, request(), never)
        },
        async ({ error }) => {
          expect(error).toMatchObject({ code: 'E_STORE_UNAVAILABLE', retryable: true })
          await through().erase([ann], byId, request(), never)
          expect(await through().verify([ann], byId, never)).toMatchObject([{ absent: true }])
        },
      )
      expect(broken).toBeGreaterThanOrEqual(2)
      await proxy.close()
    },
  )
})
