import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { SubjectRef } from '../../../../../../lib/data/erasers/index.ts'
import {
  posthogEraser,
  type PosthogPlan,
} from '../../../../../../lib/data/erasers/processors/posthog/eraser.ts'
import type { PosthogOptions } from '../../../../../../lib/data/erasers/processors/posthog/client.ts'
import { breakEach } from '../../../../../support/stages/break-each.ts'
import { freePace, never, request, knowing, type Known } from '../../../../../support/stages/erasing.ts'
import { startPosthog, type FakePosthog } from '../../../../../support/vendors/posthog.ts'
import { startProxy } from '../../../../../support/servers/servers.ts'

const quick = { deadlineMs: 400, attempts: 1 }
const person = (id: string, email = `${id}@example.org`): SubjectRef => ({
  kind: 'person',
  key: [id, email],
  identifiers: {},
})
const byId: Known<PosthogPlan> = { distinctId: 'id', identifiers: ({ key: [id = ''] }) => ({ id: [id] }) }
const byEmail: Known<PosthogPlan> = {
  email: 'email',
  identifiers: ({ key: [, email = ''] }) => ({ email: [email] }),
}

describe('PostHog', () => {
  let posthog: FakePosthog
  beforeAll(async () => {
    posthog = await startPosthog()
  })
  afterAll(() => posthog.close())
  beforeEach(() => posthog.empty())

  const open = (more: Partial<PosthogOptions> = {}) =>
    knowing(
      posthogEraser({
        store: 'analytics',
        url: posthog.url,
        project: '7',
        apiKey: posthog.apiKey,
        pace: freePace(),
        patience: { deadlineMs: 5000 },
        ...more,
      }),
    )

  test('events that wait for the weekend are left until they are gone, and a repeated call changes nothing', async () => {
    posthog.idle = false
    posthog.add(['ann'], 'ann@example.org', 3)
    const page = await open().erase([person('ann')], byId, request(), never)
    expect(page).toMatchObject({
      removed: { persons: 1 },
      messages: ['Events and recordings of 1 persons go in the days that follow.'],
    })
    expect(await open().erase([person('ann')], byId, request(), never)).toMatchObject({
      removed: {},
      messages: [],
    })
    expect(await open().verify([person('ann')], byId, never)).toEqual([
      { absent: false, left: { events: 3 }, retained: [] },
    ])
    posthog.weekend()
    expect(await open().verify([person('ann')], byId, never)).toEqual([
      { absent: true, left: {}, retained: [] },
    ])
    expect(open().capabilities.settleSeconds).toBeGreaterThan(7 * 86_400)
  })

  test('events without a person, which nothing can delete, are left over', async () => {
    posthog.add(['ann'], 'ann@example.org', 2)
    posthog.persons = []
    expect(await open().erase([person('ann')], byId, request(), never)).toMatchObject({
      removed: {},
      more: false,
    })
    expect(await open().verify([person('ann')], byId, never)).toMatchObject([
      { absent: false, left: { events: 2 } },
    ])
  })

  test('an address finds every person who has it, however it is written; no other', async () => {
    for (const [id, email] of [
      ['a', 'Ann@Example.org'],
      ['b', 'ann@example.org'],
      ['c', 'joann@example.org'],
    ] as const)
      posthog.add([id], email, 1)
    await open().erase([person('', 'ANN@example.org')], byEmail, request(), never)
    expect(posthog.persons.map(({ email }) => email)).toEqual(['joann@example.org'])
  })

  test('a thousand subjects share look-ups of two hundred and one deletion, with events and recordings', async () => {
    const people = Array.from({ length: 1000 }, (_, n) => person(`user-${n}`))
    for (const { key } of people) posthog.add([key[0] ?? ''], '', 1)
    expect(await open().erase(people, byId, request(), never)).toMatchObject({
      removed: { persons: 1000 },
      more: false,
    })
    expect(posthog.seen.map(({ path }) => path.replace('/api/projects/7', ''))).toEqual([
      ...Array.from({ length: 5 }, () => '/persons/batch_by_distinct_ids/'),
      '/persons/bulk_delete/',
    ])
    expect(JSON.parse(posthog.seen.at(-1)?.text ?? '')).toMatchObject({
      delete_events: true,
      delete_recordings: true,
      keep_person: false,
    })
  })

  test('no identifier stands in an address, where logs would keep it', async () => {
    posthog.add(['ann'], 'ann@example.org', 1)
    const both = {
      distinctId: 'id',
      email: 'email',
      identifiers: ({ key: [id = '', email = ''] }: SubjectRef) => ({ id: [id], email: [email] }),
    }
    await open().erase([person('ann')], both, request(), never)
    await open().verify([person('ann')], both, never)
    for (const { path, query } of posthog.seen) expect(`${path}?${query.toString()}`).not.toContain('ann')
  })

  test('a call that queued persons but not their events says so', async () => {
    posthog.add(['ann'], 'ann@example.org', 1)
    posthog.fault = ({ path }) =>
      path.includes('bulk_delete')
        ? {
            before: {
              status: 202,
              body: {
                persons_found: 1,
                persons_deleted: 1,
                events_queued_for_deletion: false,
                recordings_queued_for_deletion: true,
              },
            },
          }
        : null
    const { messages } = await open().erase([person('ann')], byId, request(), never)
    expect(messages).toContain('PostHog did not queue events or recordings of some persons for deletion.')
  })

  test('a probe fails for a key that is none and a project that is not there', async () => {
    await open().probe(byId, never)
    await expect(open({ apiKey: 'phx_wrong' }).probe(byId, never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
      message: expect.stringContaining('401 authentication_failed'),
    })
    await expect(open({ project: '8' }).probe(byId, never)).rejects.toMatchObject({ code: 'E_STORE_REFUSED' })
  })

  test('a project that is not there is not taken for an absent person', async () => {
    await expect(open({ project: '8' }).verify([person('ann')], byId, never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
    })
  })

  test('a lost answer to a deletion changes nothing, and a 429 is waited for', async () => {
    posthog.add(['ann'], 'ann@example.org', 1)
    const pace = freePace()
    const faults = [{ before: { status: 429, headers: { 'retry-after': '0' } } }, { after: 'cut' as const }]
    posthog.fault = ({ path }) => (path.includes('bulk_delete') ? (faults.shift() ?? null) : null)
    await open({ pace }).erase([person('ann')], byId, request(), never)
    expect(pace.rests).toEqual([0])
    expect(await open().verify([person('ann')], byId, never)).toMatchObject([{ absent: true }])
  })

  test('an answer of another form is no absence, and no error says whom it was about', async () => {
    posthog.add(['ann'], 'ann@example.org', 1)
    for (const body of [
      '<html>ann</html>',
      { results: { ann: { uuid: 'ann@example.org' } } },
      { query_status: { id: 'ann' } },
    ]) {
      posthog.fault = () => ({ before: { status: 200, body } })
      const failed = await open({ patience: quick })
        .verify([person('ann')], byId, never)
        .catch((error: unknown) => error)
      expect(failed).toMatchObject({ code: 'E_STORE_UNAVAILABLE' })
      expect(failed instanceof Error ? `${failed.stack} ${JSON.stringify(failed)}` : '').not.toContain('ann@')
    }
  })

  test.each(['cut', 'blackhole'] as const)(
    'broken anywhere on the way (%s), the next call ends it',
    async (fault) => {
      const proxy = await startProxy('127.0.0.1', posthog.port, { protocol: 'raw' })
      const through = () => open({ url: proxy.rewrite(posthog.url), patience: quick })
      const broken = await breakEach(
        proxy,
        fault,
        () => {
          posthog.empty()
          posthog.add(['ann'], 'ann@example.org', 1)
          return through().erase([person('ann')], byId, request(), never)
        },
        async ({ error }) => {
          expect(error).toMatchObject({ code: 'E_STORE_UNAVAILABLE', retryable: true })
          await through().erase([person('ann')], byId, request(), never)
          expect(await through().verify([person('ann')], byId, never)).toMatchObject([{ absent: true }])
        },
      )
      expect(broken).toBeGreaterThanOrEqual(2)
      await proxy.close()
    },
  )
})
