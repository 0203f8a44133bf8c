/** What support reads of a request: why it stands where it is, and commands that can be copied as they are. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { registry } from '../../../../jobs/registry.ts'
import { requestStatus, retryLeg } from '../../../../jobs/erasure/index.ts'
import { beatWorker, listRuns } from '../../../../lib/record/ledger/index.ts'
import { lethe } from '../../../support/stages/cli.ts'
import { openErasureHouse, otherStores, type ErasureHouse } from '../../../support/stages/erasure-house.ts'

let house: ErasureHouse
beforeAll(async () => {
  house = await openErasureHouse()
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.empty()
  await house.people(1, 2)
})

const alive = async () => {
  const { version: configVersion } = house.context.config
  await beatWorker(house.control, { id: 'w', roles: ['dispatcher', 'erasure'], version: '1', configVersion })
}
const status = (id: string) => requestStatus(house.context, id)
const observe = async () => registry.get('erasure.cascade').observe?.(house.context)

/** Each command of the sentence, as whoever copies it types it. */
async function commands(id: string): Promise<string[][]> {
  const { next } = await status(id)
  const given: Record<string, string> = {
    '"WHY"': 'ticket 9',
    METHOD: 'staff-check',
    REFERENCE: 'letter 3',
    '"GROUND"': 'Art. 17(3)(b)',
  }
  return [...next.matchAll(/lethe (erasure (?:(?! \(|\. |, then|\n).)+)/gu)].map(([, words = '']) =>
    words.split(' ').map((word) => given[word] ?? word),
  )
}

async function type(words: readonly string[]) {
  const env = { ...house.env, LETHE_SSH_KEY: house.keyOf('cto') }
  const result = await lethe(words, env)
  expect(result.stderr).toBe('')
  expect(result.code).toBe(0)
  return result.stdout
}

const refusing = { status: 403 }

describe('while the map has findings', () => {
  beforeEach(alive)
  const broken = async (use: (id: string) => Promise<void>) => {
    const { id } = await house.ask(1)
    await house.app.execute('ALTER TABLE visits ADD COLUMN surprise text')
    try {
      await house.work()
      await use(id)
    } finally {
      await house.app.execute('ALTER TABLE visits DROP COLUMN IF EXISTS surprise')
    }
  }

  test('a request says so, since when, and with which command to see them', async () => {
    await broken(async (id) => {
      const { request, next, standstill } = await status(id)
      expect(request.nextAt).not.toBeNull()
      expect(standstill).toMatchObject({ stopped: { code: 'E_MAP_FINDINGS' }, absent: [] })
      const since = standstill?.stopped?.since.toISOString().slice(0, 19).replace('T', ' ') ?? ''
      expect(next).toBe(
        `The map of store app has findings (unclassified-column:app/public.visits.surprise), and every erasure of a person has stopped since ${since} UTC: lethe datamap check app lists each with its mend. Mended in lethe.yaml, start the workers again; mended in the database, it goes on by itself.`,
      )
      // the first failure counts, however often it was tried since
      await house.control.execute(
        `UPDATE lethe_control.runs SET finished_at = finished_at - interval '1 hour'`,
      )
      await house.later()
      expect((await status(id)).standstill?.stopped?.since.getTime()).toBeLessThan(Date.now() - 3_500_000)
    })
  })

  test('it begins no run every round, and goes on at once when the tables are mended', async () => {
    await broken(async (id) => {
      const runs = async () =>
        (await house.control.query(z.object({}), 'SELECT id FROM lethe_control.runs')).length
      const before = await runs()
      await observe()
      expect(await runs()).toBe(before)
      await house.app.execute('ALTER TABLE visits DROP COLUMN surprise')
      await house.configure()
      await observe()
      expect(await runs()).toBe(before + 1)
      await house.work()
      expect(await house.request(id)).toMatchObject({ state: 'completed-with-retained' })
      expect((await status(id)).standstill).toBeNull()
    })
  })

  test('it is tried at once by a worker that started since', async () => {
    await broken(async () => {
      await house.control.execute('DELETE FROM lethe_control.workers')
      await alive()
      await observe()
      const queued = await house.control.query(
        z.object({ state: z.string() }),
        `SELECT state FROM lethe_control.runs ORDER BY created_at DESC LIMIT 1`,
      )
      expect(queued).toEqual([{ state: 'queued' }])
    })
  })

  test('the metric says for how long, by kind of subject', async () => {
    const shown = async () => (await house.context.metrics.expose()).body
    await broken(async () => {
      await house.control.execute(
        `UPDATE lethe_control.runs SET finished_at = finished_at - interval '1 hour'`,
      )
      await observe()
      expect(await shown()).toMatch(/lethe_erasure_stopped_seconds\{subject="person"\} 36\d\d/)
    })
    await house.configure()
    await observe()
    await house.work()
    await observe()
    expect(await shown()).not.toMatch(/lethe_erasure_stopped_seconds\{/)
  })
})

describe('without a worker', () => {
  test('a request says so, when the last was seen, and how to start one', async () => {
    const { id } = await house.ask(1)
    expect((await status(id)).next).toBe(
      'No process runs with the role dispatcher or erasure: start one with lethe work dispatcher erasure.',
    )
    await alive()
    expect((await status(id)).next).toBe('A worker takes it up next.')
    await house.control.execute(
      `UPDATE lethe_control.workers SET roles = '{erasure}', seen_at = '2026-01-02 03:04:05Z'`,
    )
    expect((await status(id)).next).toContain('the last was seen 2026-01-02 03:04:05 UTC')
  })

  test('nothing is promised for a time that has passed', async () => {
    house.letters.before = () => ({ status: 503 })
    const { id } = await house.ask(1)
    await house.work()
    await house.control.execute(
      `UPDATE lethe_control.erasure_legs SET next_at = now() - interval '1 hour' WHERE state = 'failed'`,
    )
    const { next, legs } = await status(id)
    expect(legs.find(({ store }) => store === 'letters')?.words).toContain(
      'tried again as soon as a worker takes it up',
    )
    expect(next).toMatch(/^Open still: letters\. No process runs with the role/)
    house.letters.before = undefined
  })
})

describe('every command that a request names works as it stands', () => {
  beforeEach(alive)

  test('confirm, where identity is not known', async () => {
    const id = await house.askSql(1, `kind => 'article-17'`)
    await house.work()
    const [confirm] = await commands(id)
    expect(confirm).toEqual(['erasure', 'confirm', id, '--method', 'staff-check', '--reason', 'ticket 9'])
    expect(await type(confirm ?? [])).toContain('A worker takes it up next.')
  })

  test('assess, with every class that asks; it keeps what nobody decided to let go', async () => {
    const { tables } = house.context.config.file
    const rule = { decision: 'ask', ground: 'claims under way', until: 'now()' }
    await house.configure({
      tables: {
        app: {
          ...tables['app'],
          'public.messages': { ...tables['app']?.['public.messages'], class: 'post' },
        },
      },
      erasure: { classes: { post: rule, care: { ...rule, until: 't.keep_until' } } },
    })
    const { id } = await house.ask(1)
    await house.work()
    const [assess] = await commands(id)
    expect(assess?.slice(3)).toEqual(['--class', 'post=retain', 'care=retain', '--reason', 'ticket 9'])
    await type(assess ?? [])
    expect(await house.request(id)).toMatchObject({ retainedClasses: ['care', 'post'] })
  })

  test('retry without a store begins every leg that waits for a person anew, and accept answers for one', async () => {
    house.letters.before = () => refusing
    house.parcels.before = () => refusing
    const { id } = await house.ask(1)
    await house.work()
    for (let round = 0; round < 4; round += 1) await house.later()
    expect(await house.request(id)).toMatchObject({ state: 'needs-attention', waitingFor: 'failed-leg' })
    const [retry, ...accept] = await commands(id)
    expect(retry).toEqual(['erasure', 'retry', id, '--reason', 'ticket 9'])
    expect(accept.map((words) => words[3])).toEqual(expect.arrayContaining(['letters', 'parcels']))
    house.letters.before = undefined
    await type(retry ?? [])
    await house.later()
    expect(await house.legs(id)).toMatchObject({
      letters: { state: 'verified' },
      parcels: { state: 'failed' },
    })
    for (let round = 0; round < 4; round += 1) await house.later()
    const [, one] = await commands(id)
    await type(one ?? [])
    await house.later()
    expect(await house.request(id)).toMatchObject({ state: 'completed-with-left' })
    house.parcels.before = undefined
  }, 90_000)

  test('retry of a request that is through names the command that shows it', async () => {
    const { id } = await house.ask(1)
    await house.work()
    const by = await house.by('erasure.retry', id)
    await expect(retryLeg(house.context, id, null, by)).rejects.toMatchObject({
      code: 'E_ILLEGAL_TRANSITION',
      next: `Look at it: lethe erasure status ${id}.`,
    })
  })

  test('a variable that only the worker lacks is named by the request, with the commands that go on', async () => {
    await house.configure({}, {}, { letters: { ...otherStores.letters, secret: 'env:ONLY_THE_WORKER' } })
    const { id } = await house.ask(1)
    await house.work()
    const { next, legs } = await status(id)
    expect(next).toContain('ONLY_THE_WORKER')
    expect(next).toContain('E_CONFIG_MISSING')
    expect(legs.find(({ store }) => store === 'letters')?.words).toContain('ONLY_THE_WORKER')
    const [retry, accept] = await commands(id)
    await type(retry ?? [])
    expect(await house.request(id)).toMatchObject({ state: 'planned' })
    await house.work()
    await type(accept ?? [])
    await house.later()
    expect(await house.request(id)).toMatchObject({ state: 'completed-with-left' })
  })
})

test('a run that erased people says so in the lists', async () => {
  await house.ask(1)
  await house.ask(2)
  await house.work()
  const [run] = await listRuns(house.control)
  expect(run).toMatchObject({ outcome: 'requests-ended', counters: { ended: 2 } })
  expect(await type(['runs', 'list'])).toMatch(/requests-ended +\d+ legs, 2 ended/)
})

describe('lethe erasure list', () => {
  const json = z.object({
    data: z.object({ total: z.number(), requests: z.array(z.object({ id: z.string() })) }),
  })
  const listed = async (...words: string[]) =>
    json.parse(JSON.parse(await type(['erasure', 'list', '--json', ...words]))).data
  const insert = (count: number) =>
    house.control.execute(
      `INSERT INTO lethe_control.erasure_requests (id, subject_kind, store, subject_hash, key_id, kind, ground, requester, actor,
         origin, state, received_at, due_at, next_at)
       SELECT gen_random_uuid(), 'person', 'app', sha256(n::text::bytea), 'k', 'article-17', 'g', 'subject', 'desk', 'command-line',
         'received', now() - (n / 3) * interval '1 day', now() + (n / 7) * interval '1 day', 'infinity' FROM generate_series(1, $1) n`,
      [count],
    )

  test('says how many there are, and gives all of them, each once, in the order of a page', async () => {
    await insert(1203)
    const text = await type(['erasure', 'list'])
    expect(text.trimEnd().split('\n')).toHaveLength(1 + 50 + 1)
    expect(text).toContain('50 of 1,203; --limit N shows more, --all every one.')
    for (const due of [[], ['--due']]) {
      const all = await listed('--all', ...due)
      expect(all.total).toBe(1203)
      expect(new Set(all.requests.map(({ id }) => id)).size).toBe(1203)
      const some = await listed('--limit', '700', ...due)
      expect(some).toEqual({ total: 1203, requests: all.requests.slice(0, 700) })
    }
    expect(await listed('--state', 'grace')).toEqual({ total: 0, requests: [] })
    expect(await type(['erasure', 'list', '--limit', '1203'])).not.toContain(' of 1,203')
  }, 60_000)

  test('takes one of --limit and --all', async () => {
    const result = await lethe(['erasure', 'list', '--all', '--limit', '3'], house.env)
    expect(result).toMatchObject({ code: 2, stderr: expect.stringContaining('--all') })
  })
})
