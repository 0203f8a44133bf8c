import { ensureCascade } from '../../../../jobs/erasure/index.ts'
import { listRequests } from '../../../../lib/record/requests/index.ts'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  armStatement,
  decide,
  decisionStatement,
  effectivePeriod,
  findPolicy,
  setMode,
} from '../../../../jobs/retention/index.ts'
import { cutoffNow } from '../../../../jobs/retention/rules.ts'
import { registry } from '../../../../jobs/registry.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'

let house: RetentionHouse
beforeAll(async () => {
  house = await openRetentionHouse()
})
afterAll(() => house.close())
beforeEach(() => house.empty())

const ago = (period: string) => `now() - interval '${period}'`

async function person(id: number, columns: Record<string, string>): Promise<void> {
  const names = ['id', ...Object.keys(columns)].join(', ')
  await house.app.execute(
    `INSERT INTO people (${names}) VALUES (${[id, ...Object.values(columns)].join(', ')})`,
  )
}

describe('the retention clock', () => {
  test('of a minor waits for the 25th birthday, whatever the last contact was', async () => {
    await person(1, { born: `(${ago('25 years 1 day')})::date`, last_seen: ago('20 years') })
    await person(2, { born: `(${ago('24 years 360 days')})::date`, last_seen: ago('20 years') })
    await person(3, { born: `(${ago('60 years')})::date`, last_seen: ago('8 years 1 day') })
    await person(4, { born: `(${ago('60 years')})::date`, last_seen: ago('7 years 360 days') })
    await house.arm('minors')
    await house.decide(await house.sweep('minors'))
    expect(await house.ids('people')).toEqual([2, 4])
  })

  test('that is no instant, has no zone, or does not parse is refused with its policy and key', async () => {
    for (const [clock, code, text] of [
      ['root.email', 'E_POLICY_CLOCK', 'text'],
      ['root.keep', 'E_POLICY_SQL', 'clock'],
      ['root.nowhere', 'E_POLICY_SQL', 'clock'],
      ['max(root.deleted_at)', 'E_POLICY_SQL', 'clock'],
      ['root.naive_at', 'E_POLICY_CLOCK', 'app'],
    ] as const) {
      await house.configure({}, { closed: { clock } })
      const run = await house.sweep('closed')
      expect(run, clock).toMatchObject({ state: 'failed', errorCode: code })
      expect(run.errorMessage).toContain('closed')
      expect(run.errorMessage).toContain(text)
    }
    await house.configure({}, { closed: { unless: [{ name: 'typo', sql: 'root.keepp' }] } })
    expect((await house.sweep('closed')).errorMessage).toContain('unless typo')
    await house.configure({}, { closed: { period: '99999999 years' } })
    expect((await house.sweep('closed')).errorMessage).toContain('period or clamp')
  })

  test('without a zone is read in the zone that the store declares', async () => {
    await house.configure(
      { stores: { app: { kind: 'postgres', url: 'env:APP_URL', time_zone: 'Pacific/Kiritimati' } } },
      { closed: { clock: 'root.naive_at', period: '1 day' } },
    )
    // 14 hours ahead of UTC: what stands there as 12 hours ago by UTC's wall is 26 hours old
    await person(1, { naive_at: `(now() AT TIME ZONE 'UTC') - interval '12 hours'` })
    await person(2, { naive_at: `(now() AT TIME ZONE 'UTC') - interval '8 hours'` })
    await house.arm('closed')
    await house.decide(await house.sweep('closed'))
    expect(await house.ids('people')).toEqual([2])
  })
})

describe('clamps', () => {
  const minimum = { period: '60 days', source: 'records act' }
  const maximum = { period: '20 days', source: 'privacy act' }

  test('keep a row for the legal minimum, and say which clamp decided', async () => {
    await house.configure({}, { closed: { clamp: { minimum } } })
    await person(1, { deleted_at: ago('61 days') })
    await person(2, { deleted_at: ago('59 days') })
    await house.arm('closed')
    const run = await house.decide(await house.sweep('closed'))
    expect(await house.ids('people')).toEqual([2])
    expect((await house.report(run)).clamped).toBe(
      'raised from 30 days to the minimum of 60 days (records act)',
    )
  })

  test('let a row go at the legal maximum', async () => {
    await house.configure({}, { closed: { clamp: { maximum } } })
    await person(1, { deleted_at: ago('21 days') })
    await person(2, { deleted_at: ago('19 days') })
    await house.arm('closed')
    await house.decide(await house.sweep('closed'))
    expect(await house.ids('people')).toEqual([2])
  })

  test('in months hold in every month: the cutoff is never later than the period and the minimum both allow', async () => {
    await house.configure(
      {},
      { closed: { period: '30 days', clamp: { minimum: { period: '1 month', source: 'act' } } } },
    )
    const policy = findPolicy(house.context, 'closed')
    const cutoff = await cutoffNow(house.app, policy)
    const [row] = await house.app.query(
      z.object({ days: z.date(), month: z.date() }),
      `SELECT now() - interval '30 days' AS days, now() - interval '1 month' AS month`,
    )
    const earliest = Math.min(row?.days.getTime() ?? 0, row?.month.getTime() ?? 0)
    expect(Math.abs(cutoff.getTime() - earliest)).toBeLessThan(5_000)
    expect(effectivePeriod(policy).clamped).toContain('minimum of 1 month')
  })
})

test('A legal minimum on one row makes the whole subject wait, with the reason.', async () => {
  for (const id of [1, 2, 3]) await person(id, { deleted_at: ago('40 days') })
  await house.app.execute(
    `INSERT INTO records VALUES (1, 1, now() + interval '1 day'), (2, 2, now() - interval '1 day')`,
  )
  await house.app.execute('INSERT INTO visits VALUES (1, 1), (2, 2)')
  await house.arm('closed')
  const run = await house.decide(await house.sweep('closed'))
  expect(await house.ids('people')).toEqual([1])
  expect(await house.ids('visits')).toEqual([1])
  expect(await house.report(run)).toMatchObject({ excluded: { 'minimum:public.records': 1 } })
})

test('A row without a time on its clock is never due; one with an endless past is due, and breaks no figure.', async () => {
  await person(1, {})
  await person(2, { deleted_at: `'-infinity'` })
  await person(3, { deleted_at: `'infinity'` })
  await house.arm('closed')
  const waiting = await house.sweep('closed')
  expect(await house.proposal(waiting)).toMatchObject({ population: 1, oldest: null, newest: null })
  await house.decide(waiting)
  expect(await house.ids('people')).toEqual([1, 3])
})

test('A policy on a subject that is also in other stores hands its approved subjects over as erasure requests.', async () => {
  await house.configure({
    stores: {
      app: { kind: 'postgres', url: 'env:APP_URL' },
      files: { kind: 'declared', owner: 'operations', holds: 'old logs', gone_after: '30 days' },
    },
    subjects: {
      person: {
        store: 'app',
        root: 'public.people',
        tenant: 'tenant',
        contact: 'root.email',
        other_stores: ['files'],
      },
    },
  })
  for (const id of [1, 2, 3]) await person(id, { deleted_at: `now() - interval '40 days'` })
  await house.arm('closed')
  const waiting = await house.sweep('closed')
  // one who came back between the approval and its execution stays
  await house.app.execute('UPDATE people SET deleted_at = NULL WHERE id = 2')
  const run = await house.decide(waiting)
  expect(run).toMatchObject({ state: 'succeeded', outcome: 'handed-over' })
  expect(await house.ids('people')).toEqual([1, 2, 3])
  expect(await house.report(run)).toMatchObject({
    subjects: { erased: 0, skipped: { 'handed-over': 2, 'not-due': 1 } },
  })
  await ensureCascade(house.context, 'person')
  await house.work()
  expect(await house.ids('people')).toEqual([2])
  const requests = await listRequests(house.control)
  expect(requests.map(({ state }) => state)).toEqual(['completed-with-retained', 'completed-with-retained'])
  expect(requests[0]).toMatchObject({ kind: 'retention', requester: 'policy', identityBy: 'cto' })
})

describe('a table policy', () => {
  beforeEach(async () => {
    for (const id of [1, 2]) await person(id, {})
    await house.app.execute(
      `INSERT INTO messages SELECT n, 1 + n % 2, now() - interval '300 days' * (n / 2) FROM generate_series(2, 7) n`,
    )
    await house.arm('messages')
  })

  test('removes the table’s own rows and leaves the subject', async () => {
    await house.decide(await house.sweep('messages'))
    expect(await house.ids('messages')).toEqual([2, 3])
    expect(await house.ids('people')).toEqual([1, 2])
  })

  test('keeps the rows of a subject that is held, of its tenant, or by another of its rows', async () => {
    const held = await house.hold({ level: 'subject', subject: 'person', key: ['1'] })
    const waiting = await house.sweep('messages')
    expect(await house.proposal(waiting)).toMatchObject({ excluded: { 'subject-held': 2 } })
    await house.hold({ level: 'row', table: 'public.people', key: ['2'] })
    await house.decide(waiting)
    expect(await house.ids('messages')).toEqual([2, 3, 4, 5, 6, 7])
    await house.release(held.id)
    await house.decide(await house.sweep('messages'))
    expect(await house.ids('messages')).toEqual([2, 3, 5, 7])
  })
})

test('A policy is behind from the first time it fell due without a finished run since; by hand or not any more, it never is.', async () => {
  const behind = async () => {
    await registry.get('retention.sweep').observe?.(house.context)
    const { body } = await house.context.metrics.expose()
    return new Map(
      [...body.matchAll(/^lethe_policy_behind_seconds{policy="(\w+)"} ([\d.]+)$/gm)].map((found) => [
        found[1],
        Math.round(Number(found[2]) / 3600),
      ]),
    )
  }
  await house.control.execute(
    `INSERT INTO lethe_control.schedules (id, kind, payload, cron, catch_up, enabled) VALUES
       ('sweep:closed', 'retention.sweep', '{"policy":"closed"}', '0 2 * * 0', 'latest', true),
       ('sweep:inactive', 'retention.sweep', '{"policy":"inactive"}', '0 2 * * *', 'latest', true),
       ('sweep:gone', 'retention.sweep', '{"policy":"gone"}', '0 2 * * *', 'latest', false)`,
  )
  await house.control.execute(
    `INSERT INTO lethe_control.occurrences (schedule_id, at, outcome)
     SELECT s.id, now() - hours * interval '1 hour', 'run' FROM lethe_control.schedules s, unnest(ARRAY[200, 50, 26]) hours
     WHERE s.id <> 'sweep:inactive'`,
  )
  expect(await behind()).toEqual(
    new Map([
      ['closed', 200],
      ['inactive', 0],
    ]),
  )
  await house.sweep('closed')
  await house.control.execute(`UPDATE lethe_control.runs SET finished_at = now() - interval '40 hours'`)
  expect((await behind()).get('closed')).toBe(26)
  await house.sweep('closed')
  expect((await behind()).get('closed')).toBe(0)
})

describe('a policy that was disarmed', () => {
  test.each(['light', 'heavy', 'locked'])(
    'ends its run in its next step, also where nobody asked the run to cancel (%s)',
    async (phase) => {
      await person(1, { deleted_at: ago('90 days') })
      await house.arm('closed')
      const waiting = await house.sweep('closed')
      const proposal = await house.proposal(waiting)
      const decision = { outcome: 'destroy' as const, overrides: [], reason: 'x' }
      const by = await house.sign(decisionStatement(proposal, decision))
      await decide(house.context, { proposalId: proposal.id, ...decision }, by)
      // it has begun when somebody disarms, and the request to cancel is lost
      await house.control.execute(
        `UPDATE lethe_control.runs SET cursor = cursor || jsonb_build_object('phase', $1::text) WHERE id = $2`,
        [phase, waiting.id],
      )
      const policy = findPolicy(house.context, 'closed')
      await setMode(
        house.context,
        'closed',
        'observe',
        await house.sign(armStatement(policy, 'observe', 'x')),
      )
      await house.control.execute(
        `UPDATE lethe_control.runs SET request = NULL, requested_by = NULL WHERE id = '${waiting.id}'`,
      )
      await house.work()
      expect(await house.run(waiting)).toMatchObject({ state: 'cancelled', outcome: 'cancelled' })
      expect(await house.ids('people')).toEqual([1])
    },
  )
})
