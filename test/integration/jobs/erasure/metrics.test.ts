/** What the dispatcher shows of erasure requests to Prometheus: counts by state and store, nothing about a person. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { registry } from '../../../../jobs/registry.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'

let house: RetentionHouse
beforeAll(async () => {
  house = await openRetentionHouse()
})
afterAll(() => house.close())
beforeEach(() => house.empty())

async function insert(id: number, due: string, state = 'received'): Promise<string> {
  const request = `00000000-0000-7000-8000-00000000000${id}`
  await house.control.execute(
    `INSERT INTO lethe_control.erasure_requests (id, subject_kind, store, subject_hash, key_id, kind, ground, requester, actor, origin,
       state, due_at, next_at)
     VALUES ($1::uuid, 'person', 'app', sha256($1::uuid::text::bytea), 'k', 'article-17', 'g', 'subject', 'desk', 'command-line',
       $2, clock_timestamp() + $3::interval, 'infinity')`,
    [request, state, due],
  )
  return request
}

/** `{ 'lethe_erasure_due_soon': 2, 'lethe_erasure_requests{state="received"}': 3 }`. */
async function shown(): Promise<Record<string, number>> {
  await registry.get('erasure.cascade').observe?.(house.context)
  const { body } = await house.context.metrics.expose()
  const lines = body.split('\n').filter((line) => line.startsWith('lethe_erasure_'))
  return Object.fromEntries(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  )
}

test('requests by state and by what is left of the month, and stuck legs by store', async () => {
  await insert(1, '-1 day')
  await insert(2, '20 hours')
  await insert(3, '4 days', 'grace')
  await insert(4, '8 days')
  const stuck = await insert(5, '20 days', 'needs-attention')
  await house.control.execute(
    `INSERT INTO lethe_control.erasure_legs (request_id, store, kind, state, next_at)
     VALUES ($1, 'mail', 'sendgrid', 'failed', 'infinity'), ($1, 'search', 'opensearch', 'failed', now())`,
    [stuck],
  )
  expect(await shown()).toEqual({
    'lethe_erasure_requests{state="received"}': 3,
    'lethe_erasure_requests{state="grace"}': 1,
    'lethe_erasure_requests{state="needs-attention"}': 1,
    lethe_erasure_due_now: 2,
    lethe_erasure_due_soon: 3,
    'lethe_erasure_legs_stuck{store="mail"}': 1,
    lethe_erasure_ledger_behind_seconds: 0,
  })
  await house.control.execute('UPDATE lethe_control.erasure_requests SET finished_at = now()')
  expect(await shown()).toEqual({
    lethe_erasure_due_now: 0,
    lethe_erasure_due_soon: 0,
    lethe_erasure_ledger_behind_seconds: 0,
  })
})

test('the ledger is behind only where it has a bucket to be copied to', async () => {
  await house.control.execute(
    `INSERT INTO lethe_control.ledger_objects (number, body, at) VALUES (1, '{}', now() - interval '1 hour')`,
  )
  expect((await shown())['lethe_erasure_ledger_behind_seconds']).toBe(0)
  const bucket = { name: 'evidence', region: 'eu-west-2', lock: '6 years' }
  await house.configure({ locked_bucket: bucket })
  expect((await shown())['lethe_erasure_ledger_behind_seconds']).toBeGreaterThanOrEqual(3600)
})
