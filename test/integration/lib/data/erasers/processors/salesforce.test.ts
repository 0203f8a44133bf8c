import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { salesforceEraser } from '../../../../../../lib/data/erasers/processors/salesforce/eraser.ts'
import type { SalesforceOptions } from '../../../../../../lib/data/erasers/processors/salesforce/client.ts'
import type { SalesforcePlan } from '../../../../../../lib/data/erasers/processors/salesforce/plan.ts'
import { breakEach } from '../../../../../support/stages/break-each.ts'
import {
  freePace,
  never,
  person,
  request,
  knowing,
  type Known,
} from '../../../../../support/stages/erasing.ts'
import {
  DELETED_AT,
  startSalesforce,
  type FakeSalesforce,
} from '../../../../../support/vendors/salesforce.ts'
import { startProxy } from '../../../../../support/servers/servers.ts'

const quick = { deadlineMs: 400, attempts: 1 }

describe('Salesforce', () => {
  let salesforce: FakeSalesforce
  beforeAll(async () => {
    salesforce = await startSalesforce()
  })
  afterAll(() => salesforce.close())
  beforeEach(() => salesforce.empty())

  const contacts = (...objects: Known<SalesforcePlan>['objects']): Known<SalesforcePlan> => ({
    objects: objects.length > 0 ? objects : [{ name: 'Contact', where: { Email: 'email' } }],
    identifiers: ({ key }) => ({ email: key }),
  })
  const open = (more: Partial<SalesforceOptions> = {}) =>
    knowing(
      salesforceEraser({
        store: 'crm',
        url: salesforce.url,
        clientId: salesforce.clientId,
        clientSecret: salesforce.clientSecret,
        pace: freePace(),
        patience: { deadlineMs: 5000 },
        ...more,
      }),
    )
  const live = () => salesforce.records.filter(({ deleted }) => !deleted).map(({ id }) => id)
  const calls = (method: string, path: RegExp) =>
    salesforce.seen.filter((seen) => seen.method === method && path.test(seen.path))

  test('one token serves until it is refused, then a new one does', async () => {
    const eraser = open()
    const id = salesforce.add('Contact', { Email: 'ann@example.org' })
    await eraser.locate([person('ann@example.org')], contacts(), never)
    const before = salesforce.tokens
    await eraser.locate([person('ann@example.org')], contacts(), never)
    expect(salesforce.tokens).toBe(before)
    salesforce.expireTokens()
    await eraser.erase([person('ann@example.org')], contacts(), request(), never)
    expect(salesforce.tokens).toBe(before + 1)
    expect(live()).not.toContain(id)
  })

  test('a wrong secret is refused by the code that Salesforce gives, and stands in no error', async () => {
    const failed = await open({ clientSecret: 'wrong-secret' })
      .locate([person('ann@example.org')], contacts(), never)
      .catch((error: unknown) => error)
    expect(failed).toMatchObject({
      code: 'E_STORE_REFUSED',
      message: expect.stringContaining('invalid_client'),
    })
    expect(everythingOf(failed)).not.toContain('wrong-secret')
  })

  test('tokens and identifiers go to the configured address, whatever a token names as its instance', async () => {
    await open().locate([person('ann@example.org')], contacts(), never)
    expect(calls('GET', /queryAll$/)).toHaveLength(1)
  })

  test('a quote in an identifier leads to nobody else', async () => {
    salesforce.add('Contact', { Email: 'ann@example.org' })
    const id = salesforce.add('Contact', { Email: String.raw`o'\"x@example.org` })
    for (const email of ["x' OR Email != '", String.raw`\' OR Email != '`, "') OR (Email != '"])
      expect(await open().locate([person(email)], contacts(), never)).toEqual({ counts: {} })
    await open().erase([person(String.raw`o'\"x@example.org`)], contacts(), request(), never)
    expect(live()).toHaveLength(1)
    expect(live()).not.toContain(id)
  })

  test('a thousand subjects share queries, and deletions of two hundred', async () => {
    salesforce.pageSize = 2000
    const people = Array.from({ length: 1000 }, (_, n) => person(`person.${n}@example.org`))
    for (const { key } of people) salesforce.add('Contact', { Email: key[0] ?? '' })
    const page = await open().erase(people, contacts(), request(), never)
    salesforce.pageSize = 3
    expect(page).toMatchObject({ removed: { Contact: 1000 }, more: false })
    expect(calls('DELETE', /sobjects$/)).toHaveLength(5)
    expect(calls('GET', /queryAll$/).length).toBeLessThan(8)
  })

  test("a record that compares equal by Salesforce's rules alone is still found to be its subject's", async () => {
    salesforce.add('Contact', { Email: 'ANN@example.org' })
    salesforce.add('Contact', { Email: 'bob@example.org  ' })
    const [ann, bob, eve] = await open().verify(
      ['ann@example.org', 'bob@example.org', 'eve@example.org'].map(person),
      contacts(),
      never,
    )
    expect([ann?.left, bob?.left, eve?.absent]).toEqual([{ Contact: 1 }, { Contact: 1 }, true])
  })

  test('an id of 15 characters leads to its record and to no other', async () => {
    const [one, other] = [
      salesforce.add('Contact', { Email: 'a' }),
      salesforce.add('Contact', { Email: 'b' }),
    ]
    const plan = contacts({ name: 'Contact', where: { Id: 'email' } })
    const short = person(one.slice(0, 15))
    expect(await open().verify([person(other), short], plan, never)).toMatchObject([
      { left: { Contact: 1 } },
      { left: { Contact: 1 } },
    ])
    await open().erase([short], plan, request(), never)
    expect(live()).toEqual([other])
  })

  test('what refers to another record goes in a call before it', async () => {
    salesforce.add('Contact', { Email: 'ann@example.org' })
    const matter = salesforce.add('Case', { SuppliedEmail: 'ann@example.org' })
    const plan = contacts(
      { name: 'Case', where: { SuppliedEmail: 'email' } },
      { name: 'Contact', where: { Email: 'email' } },
    )
    await open().erase([person('ann@example.org')], plan, request(), never)
    expect(calls('DELETE', /sobjects$/).map(({ query }) => query.get('ids') === matter)).toEqual([
      true,
      false,
    ])
  })

  test('a refused record takes no room from those that may go, and is not tried for ever', async () => {
    for (let n = 0; n < 5; n++) salesforce.add('Contact', { Email: 'ann@example.org' })
    for (const id of live().slice(0, 3)) salesforce.refusals.set(id, 'DELETE_FAILED')
    const page = await open().erase([person('ann@example.org')], contacts(), request(2), never)
    expect(page).toMatchObject({ removed: { Contact: 2 }, more: false })
    expect(page.messages).toEqual(['3 of Contact refused: DELETE_FAILED.'])
  })

  test('what was deleted is reported as kept for fifteen days', async () => {
    salesforce.add('Contact', { Email: 'ann@example.org' })
    await open().erase([person('ann@example.org')], contacts(), request(), never)
    const until = new Date(Date.parse(DELETED_AT) + 15 * 86_400_000).toISOString()
    expect(await open().verify([person('ann@example.org')], contacts(), never)).toMatchObject([
      { absent: true, retained: [{ place: 'Contact', count: 1, until }] },
    ])
  })

  describe('individuals', () => {
    const plan = contacts({ name: 'Contact', where: { Email: 'email' }, forget: true })
    const seed = () => {
      const individual = salesforce.add('Individual', { ShouldForget: false })
      return {
        individual,
        contact: salesforce.add('Contact', { Email: 'ann@example.org', IndividualId: individual }),
      }
    }

    test('are told to be forgotten before their record goes, and kept for that', async () => {
      seed()
      await open().erase([person('ann@example.org')], plan, request(), never)
      const order = salesforce.seen.filter(({ path }) => path.endsWith('/composite/sobjects'))
      expect(order.map(({ method }) => method)).toEqual(['PATCH', 'DELETE'])
      const [finding] = await open().verify([person('ann@example.org')], plan, never)
      expect(finding).toMatchObject({ absent: true, left: {} })
      expect(finding?.retained).toContainEqual(
        expect.objectContaining({ place: 'Individual', count: 1, until: null }),
      )
    })

    test('that could not be told hold their record back: nothing would lead to them any more', async () => {
      const { individual, contact } = seed()
      salesforce.refusals.set(individual, 'INSUFFICIENT_ACCESS_OR_READONLY')
      const page = await open().erase([person('ann@example.org')], plan, request(), never)
      expect(page.messages).toEqual(['1 of Individual refused: INSUFFICIENT_ACCESS_OR_READONLY.'])
      expect(live()).toContain(contact)
      expect(await open().verify([person('ann@example.org')], plan, never)).toMatchObject([
        { absent: false, left: { Contact: 1, Individual: 1 } },
      ])
    })

    test('that were not told are left over, even where their record is gone', async () => {
      const { contact } = seed()
      await open().erase([person('ann@example.org')], contacts(), request(), never)
      expect(live()).not.toContain(contact)
      expect(await open().verify([person('ann@example.org')], plan, never)).toMatchObject([
        { absent: false, left: { Individual: 1 } },
      ])
    })
  })

  test('a probe says which object this client may not delete, and refuses names that are none', async () => {
    await open().probe(contacts(), never)
    salesforce.rights.set('Contact', { deletable: false })
    await expect(open().probe(contacts(), never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
      message: expect.stringContaining('Contact: it is not deletable'),
    })
    for (const plan of [
      contacts({ name: 'Contact WHERE Id != null', where: { Email: 'email' } }),
      contacts({ name: 'Contact', where: { "Email = '' OR Id": 'email' } }),
      contacts({ name: 'Contact', where: {} }),
    ])
      await expect(open().locate([person('a')], plan, never)).rejects.toMatchObject({ code: 'E_CONFIG' })
  })

  test('an identifier that is none holds up nobody else, and is not taken for absence', async () => {
    const id = salesforce.add('Contact', { Email: 'ann@example.org' })
    const people = [person(''), person('ann@example.org')]
    const page = await open().erase(people, contacts(), request(), never)
    expect(page).toMatchObject({ removed: { Contact: 1 } })
    expect(page.messages[0]).toContain('1 of the subjects could not be looked for')
    expect(live()).not.toContain(id)
    await expect(open().verify(people, contacts(), never)).rejects.toMatchObject({ code: 'E_IDENTIFIER' })
  })

  describe('fails', () => {
    const ann = person('ann@example.org')
    beforeEach(() => {
      salesforce.add('Contact', { Email: 'ann@example.org' })
    })

    test('with the wait that a 429 asks for, and goes on after a short one', async () => {
      const pace = freePace()
      const throttle = (after: string) => {
        let told = 0
        salesforce.fault = ({ method }) =>
          method === 'DELETE' && told++ === 0
            ? {
                before: { status: 429, headers: { 'retry-after': after }, body: [{ errorCode: 'TOO_MANY' }] },
              }
            : null
      }
      throttle('0')
      expect((await open({ pace }).erase([ann], contacts(), request(), never)).removed).toEqual({
        Contact: 1,
      })
      salesforce.add('Contact', { Email: 'ann@example.org' })
      throttle('3600')
      await expect(open({ pace }).erase([ann], contacts(), request(), never)).rejects.toMatchObject({
        code: 'E_STORE_THROTTLED',
      })
      expect(pace.rests).toEqual([0, 3600])
    })

    test("as throttled where the day's calls are used up, and as refused where a right is missing", async () => {
      const patience = { attempts: 1 }
      salesforce.fault = ({ path }) =>
        path.endsWith('queryAll')
          ? { before: { status: 403, body: [{ errorCode: 'REQUEST_LIMIT_EXCEEDED', message: 'x' }] } }
          : null
      await expect(open({ patience }).locate([ann], contacts(), never)).rejects.toMatchObject({
        code: 'E_STORE_THROTTLED',
      })
      salesforce.fault = ({ path }) =>
        path.endsWith('queryAll')
          ? { before: { status: 403, body: [{ errorCode: 'API_DISABLED_FOR_ORG', message: 'x' }] } }
          : null
      await expect(open({ patience }).locate([ann], contacts(), never)).rejects.toMatchObject({
        code: 'E_STORE_REFUSED',
      })
    })

    test('not where the answer to a deletion is lost: asked again, the records are gone and counted', async () => {
      let lost = 0
      salesforce.fault = ({ method }) => (method === 'DELETE' && lost++ === 0 ? { after: 'cut' } : null)
      expect(await open().erase([ann], contacts(), request(), never)).toMatchObject({
        removed: { Contact: 1 },
        messages: [],
      })
    })

    test('where pages lead to another address, where the form is another, at a redirect: and never says whom it asked for', async () => {
      const faults = [
        { status: 200, body: { done: false, records: [], nextRecordsUrl: '//evil.example/ann@example.org' } },
        { status: 200, body: { done: true, records: [{ Id: 'ann@example.org' }] } },
        { status: 200, body: '<html>ann@example.org</html>' },
        { status: 302, headers: { location: 'http://evil.invalid/' } },
        { status: 400, body: [{ errorCode: 'MALFORMED_QUERY', message: 'ann@example.org' }] },
        { status: 500, body: [{ errorCode: 'UNKNOWN ann@example.org', message: 'x' }] },
      ]
      for (const before of faults) {
        salesforce.fault = ({ path }) => (path.endsWith('queryAll') ? { before } : null)
        const failed = await open({ patience: quick })
          .verify([ann], contacts(), never)
          .catch((error: unknown) => error)
        expect(failed).toMatchObject({ code: expect.stringMatching(/^E_STORE_/) })
        expect(everythingOf(failed)).not.toContain('ann@')
      }
    })

    test.each(['cut', 'blackhole'] as const)(
      'anywhere on the way (%s), and the next call ends it',
      async (fault) => {
        const proxy = await startProxy('127.0.0.1', salesforce.port, { protocol: 'raw' })
        const through = () => open({ url: proxy.rewrite(salesforce.url).replace(/\/$/, ''), patience: quick })
        const broken = await breakEach(
          proxy,
          fault,
          () => {
            salesforce.empty()
            salesforce.add('Contact', { Email: 'ann@example.org' })
            return through().erase([ann], contacts(), request(), never)
          },
          async ({ error }) => {
            expect(error).toMatchObject({ code: 'E_STORE_UNAVAILABLE', retryable: true })
            await through().erase([ann], contacts(), request(), never)
            expect(await through().verify([ann], contacts(), never)).toMatchObject([{ absent: true }])
          },
        )
        expect(broken).toBeGreaterThanOrEqual(3)
        await proxy.close()
      },
    )

    test('by its deadline where an answer never comes, and at once where it was told to stop', async () => {
      salesforce.fault = ({ path }) => (path.endsWith('queryAll') ? new Promise(() => undefined) : null)
      await expect(open({ patience: quick }).locate([ann], contacts(), never)).rejects.toMatchObject({
        code: 'E_STORE_UNAVAILABLE',
        facts: { reason: 'deadline' },
      })
      const stop = new AbortController()
      salesforce.fault = ({ path }) => {
        if (!path.endsWith('queryAll')) return null
        stop.abort(new Error('enough'))
        return new Promise(() => undefined)
      }
      await expect(open().erase([ann], contacts(), request(), stop.signal)).rejects.toThrow('enough')
    })
  })
})

function everythingOf(error: unknown): string {
  return error instanceof Error
    ? `${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`
    : String(error)
}
