import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { opensearchEraser } from '../../../../../../../lib/data/erasers/stores/opensearch/eraser.ts'
import type { OpensearchOptions } from '../../../../../../../lib/data/erasers/stores/opensearch/client.ts'
import type { OpensearchPlace } from '../../../../../../../lib/data/erasers/stores/opensearch/plan.ts'
import {
  freePace,
  never,
  people,
  person,
  request,
  knowing,
} from '../../../../../../support/stages/erasing.ts'
import { startHttpBetween, type HttpBetween } from '../../../../../../support/servers/http-between.ts'
import {
  addPeople,
  addVisit,
  block,
  makeIndices,
  opensearchPlan as plan,
} from '../../../../../../support/stages/opensearch-stage.ts'
import {
  OPENSEARCH_START_MS,
  startOpensearch,
  type OpensearchServer,
} from '../../../../../../support/servers/opensearch.ts'
import { startProxy } from '../../../../../../support/servers/servers.ts'

vi.setConfig({ hookTimeout: OPENSEARCH_START_MS })

describe('documents in OpenSearch', () => {
  let server: OpensearchServer
  let between: HttpBetween
  beforeAll(async () => {
    server = await startOpensearch()
    between = await startHttpBetween(server.url)
  })
  afterAll(async () => {
    await between.close()
    await server.stop()
  })
  beforeEach(async () => {
    between.reset()
    await makeIndices(server)
  })

  const eraserOf = (options: Partial<OpensearchOptions> = {}) =>
    knowing(
      opensearchEraser({
        store: 'search',
        pace: freePace(),
        baseUrl: between.url,
        patience: { deadlineMs: 2000, attempts: 2 },
        ...options,
      }),
    )
  const seed = async (count: number) => {
    const subjects = people(count)
    await addPeople(server, subjects)
    return subjects
  }
  /** Of the first person, in `visits-2`. */
  const addVisits = (count: number) =>
    Promise.all(
      Array.from({ length: count }, (_, turn) =>
        server.ask('PUT', `/visits-2/_doc/extra-${turn}`, { patient: { id: '1' } }),
      ),
    )
  const starts = () => between.asked.filter(({ path }) => path.includes('_delete_by_query'))

  test('deletes of one person what no search has shown yet, wherever it was routed', async () => {
    const [one] = await seed(2)
    const eraser = eraserOf()
    const page = await eraser.erase(one === undefined ? [] : [one], plan, request(), never)
    expect(page).toEqual({
      removed: { visits: 2, mails: 2 },
      retained: [],
      pending: [],
      messages: [],
      more: false,
    })
    expect(Object.keys(await server.documents('visits'))).toEqual(['2-1', '2-2'])
    expect(Object.keys(await server.documents('mails'))).toEqual(['2-1', '2-2'])
  })

  test('asks once an index for a hundred people, and once for their findings', async () => {
    const subjects = await seed(100)
    await eraserOf().erase(subjects, plan, request(), never)
    expect(starts()).toHaveLength(2)
    between.asked = []
    const found = await eraserOf().verify(subjects, plan, never)
    expect(found.every(({ absent }) => absent)).toBe(true)
    expect(between.asked.filter(({ path }) => path.includes('_search'))).toHaveLength(2)
  })

  test('leaves a long task pending, looks at it again by its id, and starts no other', async () => {
    const subjects = await seed(1)
    await addVisits(600)
    // The throttle waits after each batch of 500.
    const eraser = eraserOf({ documentsPerSecond: 250, waitSeconds: 0 })
    const first = await eraser.erase(subjects, plan, request(), never)
    expect(first).toMatchObject({ more: true })
    const jobs = first.pending.map(({ job }) => job)
    expect(jobs.length).toBeGreaterThan(0)
    const begun = starts().length
    const again = eraserOf({ documentsPerSecond: 250, waitSeconds: 10 })
    const last = await again.erase(subjects, plan, { ...request(), jobs }, never)
    expect(starts()).toHaveLength(begun)
    expect(last.pending).toEqual([])
    expect(await again.verify(subjects, plan, never)).toMatchObject([{ absent: true }])
  })

  test('says what changed while it was deleted, and does it in the next round', async () => {
    const subjects = await seed(1)
    await addVisits(600)
    const eraser = eraserOf({ documentsPerSecond: 100, waitSeconds: 0 })
    const { pending } = await eraser.erase(subjects, plan, request(), never)
    // The task waits 5 seconds before its second batch, and knows these documents as they were.
    let waiting: string[]
    do waiting = Object.keys(await server.documents('visits-2'))
    while (waiting.length > 100)
    await Promise.all(
      waiting.map((id) => server.ask('PUT', `/visits-2/_doc/${id}`, { patient: { id: '1' } })),
    )
    const jobs = pending.map(({ job }) => job)
    const page = await eraserOf({ waitSeconds: 10 }).erase(subjects, plan, { ...request(), jobs }, never)
    expect(page).toMatchObject({ more: true, pending: [] })
    expect(page.messages.join()).toContain('changed while they were deleted')
    const next = await eraserOf().erase(subjects, plan, request(), never)
    expect(next.more).toBe(false)
    expect(await eraserOf().verify(subjects, plan, never)).toMatchObject([{ absent: true }])
  })

  test('starts anew where the node that knew a task is gone', async () => {
    const subjects = await seed(1)
    const lost = await eraserOf().erase(subjects, plan, { ...request(), jobs: ['nobody:1'] }, never)
    expect(lost).toMatchObject({ removed: {}, more: true, pending: [] })
    expect(starts()).toHaveLength(0)
    expect((await eraserOf().erase(subjects, plan, request(), never)).removed).toEqual({
      visits: 2,
      mails: 2,
    })
  })

  test('is not held up by an index that refuses more than it may delete in a call', async () => {
    const subjects = await seed(2)
    for (const subject of subjects) await addVisit(server, subject)
    await block(server, 'visits-1', true)
    const pages = []
    do pages.push(await eraserOf().erase(subjects, plan, request(3), never))
    while (pages.at(-1)?.more === true && pages.length < 10)
    expect(pages.at(-1)?.messages.join()).toContain('cluster_block_exception')
    expect(Object.keys(await server.documents('visits-2'))).toEqual([])
    expect(Object.keys(await server.documents('mails'))).toEqual([])
    expect(await eraserOf().verify(subjects, plan, never)).toMatchObject([
      { left: { visits: 2 } },
      { left: { visits: 2 } },
    ])
  })

  test.each<[string, object, Partial<OpensearchPlace>]>([
    ['analysed', { properties: { id: { type: 'text' } } }, {}],
    ['normalised', { properties: { id: { type: 'keyword', normalizer: 'lowercase' } } }, {}],
    ['not indexed', { properties: { id: { type: 'keyword', index: false } } }, {}],
    ['not mapped', { dynamic: false }, {}],
    ['a number', { properties: { id: { type: 'long' } } }, {}],
    [
      'in a nested document',
      { properties: { who: { type: 'nested', properties: { id: { type: 'keyword' } } } } },
      { field: 'who.id' },
    ],
    ['a pattern', {}, { field: '*' }],
    ['in whatever index there is', {}, { index: 'visits*' }],
    ['in all indices', {}, { index: '_all' }],
    ['the same for everybody', { properties: { id: { type: 'keyword' } } }, { value: 'patient' }],
  ])('refuses a field that is %s, before and after', async (_what, mappings, change) => {
    await server.ask('DELETE', '/odd?ignore_unavailable=true')
    await server.ask('PUT', '/odd', { mappings })
    await server.ask('PUT', '/odd/_doc/1', { id: '1', who: [{ id: '1' }] })
    const odd = { ...plan, places: [{ name: 'odd', index: 'odd', field: 'id', value: '{id}', ...change }] }
    for (const call of [
      () => eraserOf().probe(odd, never),
      () => eraserOf().erase([person(1)], odd, request(), never),
      () => eraserOf().verify([person(1)], odd, never),
    ])
      await expect(call()).rejects.toMatchObject({ code: 'E_CONFIG' })
  })

  test('refuses an alias that hides documents', async () => {
    const filter = { term: { 'patient.id': '2' } }
    await server.ask('PUT', '/visits-1/_alias/some', { filter })
    const hidden = { ...plan, places: [{ name: 'x', index: 'some', field: 'patient.id', value: '{id}' }] }
    await expect(eraserOf().verify([person(1)], hidden, never)).rejects.toMatchObject({ code: 'E_CONFIG' })
  })

  test('does not take a missing index for an empty one', async () => {
    const none = { ...plan, places: [{ name: 'x', index: 'none', field: 'id', value: '{id}' }] }
    await expect(eraserOf().verify([person(1)], none, never)).rejects.toMatchObject({
      code: 'E_STORE_REFUSED',
    })
  })

  test('takes nobody whose value is too long to be indexed for absent', async () => {
    const [one] = await seed(1)
    const long = person('x'.repeat(80))
    const subjects = one === undefined ? [long] : [long, one]
    const page = await eraserOf().erase(subjects, plan, request(), never)
    expect(page.removed).toEqual({ visits: 2, mails: 2 })
    expect(page.messages).toHaveLength(1)
    expect(await eraserOf().verify(subjects, plan, never)).toMatchObject([
      { absent: false },
      { absent: true },
    ])
  })

  test.each([
    ['a shard failed', { _shards: { failed: 1 }, timed_out: false }],
    ['it timed out', { _shards: { failed: 0 }, timed_out: true }],
  ])('takes no part of an answer for the whole: %s', async (_what, part) => {
    const subjects = await seed(1)
    between.instead = ({ path }) =>
      path.includes('_search')
        ? {
            status: 200,
            body: JSON.stringify({ ...part, aggregations: { by: { buckets: { s0: { doc_count: 0 } } } } }),
          }
        : undefined
    await expect(eraserOf().verify(subjects, plan, never)).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
    })
  })

  test('rewrites the segments at the end where it is told to', async () => {
    const subjects = await seed(1)
    const eraser = eraserOf({ expungeDeletes: true })
    const first = await eraser.erase(subjects, plan, request(), never)
    expect(first).toMatchObject({ removed: { visits: 2, mails: 2 }, more: true })
    expect(first.pending).toHaveLength(3)
    const jobs = first.pending.map(({ job }) => job)
    const last = await eraser.erase(subjects, plan, { ...request(), jobs }, never)
    expect(last).toMatchObject({ removed: {}, pending: [], more: false })
    // What the server is asked for; whether it lets go of its history then is its own affair.
    const asked = between.asked.filter(({ path }) => path.includes('/_forcemerge?only_expunge_deletes=true'))
    expect(asked).toHaveLength(3)
  })

  test('rests as long as it is asked to, and says nothing of whom it looked for', async () => {
    const subjects = await seed(1)
    between.instead = ({ path, body }) =>
      path.includes('_delete_by_query')
        ? { status: 429, headers: { 'retry-after': '60' }, body: JSON.stringify({ error: body }) }
        : undefined
    const pace = freePace()
    await expect(eraserOf({ pace }).erase(subjects, plan, request(), never)).rejects.toMatchObject({
      code: 'E_STORE_THROTTLED',
      message: expect.not.stringContaining('person-1'),
    })
    expect(pace.rests).toEqual([60])
  })

  test('is harmless where the answer to a start was lost', async () => {
    const subjects = await seed(1)
    between.lose = ({ path }) => path.includes('_delete_by_query')
    await expect(eraserOf().erase(subjects, plan, request(), never)).rejects.toMatchObject({
      code: 'E_STORE_UNAVAILABLE',
    })
    between.reset()
    while ((await eraserOf().erase(subjects, plan, request(), never)).more);
    expect(await eraserOf().verify(subjects, plan, never)).toMatchObject([{ absent: true }])
  })

  test('gives up on a path that is cut or half-open, and is done when it heals', async () => {
    const subjects = await seed(1)
    const proxy = await startProxy(server.host, server.port, { protocol: 'raw' })
    try {
      const eraser = eraserOf({ baseUrl: `http://127.0.0.1:${proxy.port}` })
      for (const fault of [() => proxy.cut(), () => proxy.blackhole()]) {
        fault()
        await expect(eraser.erase(subjects, plan, request(), never)).rejects.toMatchObject({
          code: 'E_STORE_UNAVAILABLE',
        })
        proxy.heal()
      }
      expect((await eraser.erase(subjects, plan, request(), never)).more).toBe(false)
      expect(await eraser.verify(subjects, plan, never)).toMatchObject([{ absent: true }])
    } finally {
      await proxy.close()
    }
  })
})
