/** A store of sessions that is down when access is cut: it holds up nobody's erasure, and nobody keeps their sessions for a month. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { ensureCascade, previewErasure, requestStatus, takeIntake } from '../../../../jobs/erasure/index.ts'
import { getRequest, legsOf } from '../../../../lib/record/requests/index.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'
import { sharedRedisUrl } from '../../../support/servers/shared.ts'

let house: RetentionHouse
beforeAll(async () => {
  house = await openRetentionHouse({ AWAY_URL: 'redis://127.0.0.1:1', THERE_URL: sharedRedisUrl() })
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.empty()
  await configure('env:AWAY_URL')
  await house.app.execute(`INSERT INTO people (id, email) SELECT id, 'p' || id FROM generate_series(1, 3) id`)
})

async function configure(url: string): Promise<void> {
  await house.configure({
    stores: {
      app: { kind: 'postgres', url: 'env:APP_URL' },
      sessions: { kind: 'redis', url, places: [{ name: 'sessions', key: 'session:{id}' }] },
    },
    subjects: {
      person: {
        store: 'app',
        root: 'public.people',
        contact: 'root.email',
        access: {
          set: [{ table: 'public.people', where: 't.id = root.id', columns: { keep: true } }],
          stores: ['sessions'],
        },
        other_stores: ['sessions'],
      },
    },
  })
}

async function ask(key: number, kind: string): Promise<string> {
  const [row] = await house.app.query(
    z.object({ id: z.string() }),
    `SELECT lethe.request_erasure('person', ARRAY[$1], kind => $2, identity => 'signed-in-session') AS id`,
    [String(key), kind],
  )
  await takeIntake(house.context, 'app')
  await ensureCascade(house.context, 'person')
  return row?.id ?? ''
}

test('who is erased at once is erased in the own store, and the other leg is tried again', async () => {
  const id = await ask(2, 'article-17')
  await house.work()
  expect(await legsOf(house.control, [id])).toMatchObject([
    { store: 'app', state: 'verified' },
    { store: 'sessions', state: 'failed', errorCode: 'E_STORE_UNAVAILABLE' },
  ])
  expect(await house.ids('people')).toEqual([1, 3])
})

test('who has a grace period waits for the end of their sessions, and says so', async () => {
  const id = await ask(3, 'account-closure')
  await house.work()
  expect(await getRequest(house.control, id)).toMatchObject({ state: 'assessed', waitingFor: 'access' })
  expect((await requestStatus(house.context, id)).next).toContain('sessions')
  await configure('env:THERE_URL')
  await house.control.execute('UPDATE lethe_control.erasure_requests SET next_at = now()')
  await ensureCascade(house.context, 'person')
  await house.work()
  expect(await getRequest(house.control, id)).toMatchObject({ state: 'grace', waitingFor: 'grace' })
})

test('a preview does not call a store uncovered that the erasure reaches', async () => {
  const preview = await previewErasure(house.context, 'person', ['1'])
  expect(preview.places.map(({ store }) => store)).toEqual(['app', 'sessions'])
  expect(preview.notCovered.join(' ')).not.toContain('sessions')
})
