import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  addAppraisal,
  appraisalStatement,
  decisionStatement,
  decide,
  findPolicy,
  renderReport,
  revocationStatement,
  revokeAppraisal,
} from '../../../../jobs/retention/index.ts'
import { liveErasures } from '../../../../lib/record/erasures/index.ts'
import { requestRun } from '../../../../lib/record/ledger/index.ts'
import { runStory } from '../../../../jobs/run-story.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'

let house: RetentionHouse
beforeAll(async () => {
  house = await openRetentionHouse()
})
afterAll(() => house.close())
beforeEach(() => house.empty())

const days = (count: number) => `now() - interval '${count} days'`

async function people(ids: readonly number[], deletedAt = days(40)): Promise<void> {
  const list = [[...ids]]
  await house.app.execute(
    `INSERT INTO people (id, email, deleted_at) SELECT id, 'p' || id || '@example.org', ${deletedAt} FROM unnest($1::bigint[]) id`,
    list,
  )
  await house.app.execute(
    `INSERT INTO visits SELECT id * 10 + n, id FROM unnest($1::bigint[]) id, generate_series(1, 3) n`,
    list,
  )
}

async function armed(): Promise<void> {
  await house.arm('closed')
}

async function keysLeft(): Promise<number> {
  const [row] = await house.app.query(
    z.object({ n: z.coerce.number() }),
    'SELECT count(*) AS n FROM lethe.population',
  )
  return row?.n ?? 0
}

async function liveEntries(): Promise<number> {
  const scopes = await house.control.query(
    z.object({ id: z.string() }),
    'SELECT id FROM lethe_control.erasure_scopes',
  )
  let count = 0
  for (const { id } of scopes) count += (await liveErasures(house.control, id)).length
  return count
}

describe('a policy that was never armed', () => {
  test('plans and reports, and deletes nothing', async () => {
    await people([1, 2])
    const run = await house.sweep('closed')
    expect(run).toMatchObject({ state: 'succeeded', outcome: 'observed' })
    expect(await house.ids('people')).toEqual([1, 2])
    expect(await house.report(run)).toMatchObject({ population: 2, outcome: 'observed', approval: null })
    expect(await keysLeft()).toBe(0)
  })

  test('observes again once it was changed after it was armed', async () => {
    await people([1])
    await armed()
    await house.configure({}, { closed: { period: '10 days' } })
    expect(await house.sweep('closed')).toMatchObject({ outcome: 'observed' })
    await house.configure({}, { closed: { throttle: { max_rows: 500 } } })
    expect(await house.sweep('closed')).toMatchObject({ state: 'waiting' })
  })
})

describe('a run that used up its attempts', () => {
  const breaks = async (how: string) =>
    house.app.execute(
      `CREATE OR REPLACE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${how} RETURN old; END $$`,
    )
  afterEach(() => house.app.execute('DROP FUNCTION IF EXISTS away CASCADE'))

  test('is settled by the next sweep: entries of who stayed are voided, its batches counted, its keys gone', async () => {
    await people([1, 2])
    await breaks('PERFORM pg_terminate_backend(pg_backend_pid());')
    await house.app.execute(
      'CREATE TRIGGER away BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION away()',
    )
    await house.configure({
      accept: [{ finding: 'delete-trigger:app/public.people.away', reason: 'ends its own connection' }],
    })
    await armed()
    const waiting = await house.sweep('closed')
    const lost = await house.decide(waiting)
    expect(lost).toMatchObject({ state: 'failed' })
    expect([await liveEntries(), await keysLeft()]).toEqual([2, 2])

    await breaks('')
    await house.app.execute('UPDATE people SET deleted_at = NULL WHERE id = 1')
    const next = await house.sweep('closed')
    expect([await liveEntries(), await keysLeft()]).toEqual([0, 1])
    expect(await house.proposal(lost)).toMatchObject({ state: 'cancelled' })
    const { events } = await runStory(house.control, lost.id)
    expect(events.map((event) => event.type)).toEqual(
      expect.arrayContaining(['proposal.cancelled', 'erasure.voided', 'erasure.verified']),
    )
    expect(await house.decide(next)).toMatchObject({ state: 'succeeded' })
    expect(await house.ids('people')).toEqual([1])
    expect([await liveEntries(), await keysLeft()]).toEqual([1, 0])
  })
})

describe('an approved sweep', () => {
  test('removes what is due with all its rows, reads it back and reports who decided', async () => {
    await people([1, 2])
    await people([3], days(5))
    await people([4], 'NULL')
    await people([5], `now() + interval '1 day'`)
    await armed()
    const waiting = await house.sweep('closed')
    expect(waiting).toMatchObject({ state: 'waiting', waitingFor: 'approval' })
    expect(await house.proposal(waiting)).toMatchObject({
      population: 2,
      rows: { 'public.people': 2, 'public.visits': 6 },
      state: 'waiting',
    })
    const run = await house.decide(waiting)
    expect(run).toMatchObject({ state: 'succeeded', outcome: 'executed' })
    expect(await house.ids('people')).toEqual([3, 4, 5])
    expect(await house.ids('visits')).toHaveLength(9)
    const report = await house.report(run)
    expect(report).toMatchObject({
      subjects: { erased: 2 },
      rows: { removed: { 'public.people': 2, 'public.visits': 6 } },
      verification: { checked: 2, left: {} },
      approval: { actor: 'cto', method: 'ssh', reason: 'schedule 7.2' },
      ledgerEntries: 2,
    })
    expect(renderReport(report)).toContain('2 subjects read back')
    expect(JSON.stringify(report)).not.toContain('example.org')
    expect(await keysLeft()).toBe(0)
  })

  test('leaves what was restored, held by the application or touched since the proposal', async () => {
    await people([1, 2, 3, 4])
    await armed()
    const waiting = await house.sweep('closed')
    await house.app.execute('UPDATE people SET deleted_at = NULL WHERE id = 1')
    await house.app.execute('UPDATE people SET keep = true WHERE id = 2')
    await house.app.execute('UPDATE people SET deleted_at = now() WHERE id = 3')
    const run = await house.decide(waiting)
    expect(await house.ids('people')).toEqual([1, 2, 3])
    expect(await house.report(run)).toMatchObject({
      subjects: { erased: 1, skipped: { 'unless:keep': 1, 'not-due': 2 } },
      ledgerEntries: 1,
    })
    expect(await liveEntries()).toBe(1)
  })

  test('leaves what fell due after the proposal to the next one', async () => {
    await people([1])
    await armed()
    const waiting = await house.sweep('closed')
    await people([2])
    await house.decide(waiting)
    expect(await house.ids('people')).toEqual([2])
  })

  test('is refused when an unclassified table has appeared since', async () => {
    await people([1])
    await armed()
    const waiting = await house.sweep('closed')
    await house.app.execute('CREATE TABLE newcomers (id int PRIMARY KEY)')
    const run = await house.decide(waiting)
    await house.app.execute('DROP TABLE newcomers')
    expect(run).toMatchObject({ state: 'refused', errorCode: 'E_MAP_FINDINGS' })
    expect(await house.proposal(run)).toMatchObject({ state: 'cancelled' })
    expect(await house.report(run)).toMatchObject({ outcome: 'refused' })
    expect(await keysLeft()).toBe(0)
  })

  const changes = {
    policy: [{}, { closed: { period: '31 days' } }],
  } as const
  test.each(Object.entries(changes))('is refused when the %s changed since', async (what, [map, policy]) => {
    await people([1])
    await armed()
    const waiting = await house.sweep('closed')
    await house.configure(map, policy)
    const run = await house.decide(waiting)
    expect(run).toMatchObject({ state: 'refused', errorCode: 'E_PLAN_CHANGED' })
    expect(run.errorMessage).toContain(`the ${what}`)
    expect(await house.ids('people')).toEqual([1])
    expect(await house.report(run)).toMatchObject({ outcome: 'refused', subjects: { erased: 0 } })
    expect(await house.proposal(run)).toMatchObject({ state: 'cancelled' })
    expect(await keysLeft()).toBe(0)
  })

  test('stops when approved subjects have grown beyond the tolerance, and voids the entries of those who stay', async () => {
    await house.configure({}, { closed: { growth_tolerance: 0 } })
    const all = Array.from({ length: 200 }, (_, i) => i + 1)
    await people(all)
    await armed()
    const waiting = await house.sweep('closed')
    await house.app.execute(
      `INSERT INTO visits SELECT 100000 + id * 100 + n, id FROM generate_series(1, 200) id, generate_series(1, 40) n`,
    )
    // of the batch that still runs when the other one stops, half are entered in the ledger and stay
    await house.app.execute('UPDATE people SET deleted_at = NULL WHERE id % 2 = 0')
    const run = await house.decide(waiting)
    expect(run).toMatchObject({ state: 'refused', errorCode: 'E_GROWTH' })
    const left = await house.ids('people')
    expect(left.length).toBeGreaterThan(0)
    expect(left.length).toBeLessThan(200)
    expect(await liveEntries()).toBe(200 - left.length)
    expect(await house.report(run)).toMatchObject({
      outcome: 'refused',
      subjects: { erased: 200 - left.length },
      verification: { checked: 200 - left.length, left: {} },
    })
    expect((await runStory(house.control, run.id)).scopes).toMatchObject([{ verifiedAt: expect.any(Date) }])
    expect(await keysLeft()).toBe(0)
  })

  test('fails with the figures where rows of a removed subject are still there', async () => {
    await people([1, 2])
    await armed()
    const waiting = await house.sweep('closed')
    // an application that brings the row back behind the sweep: the key exists again when it is read back
    await house.app.execute(`
      CREATE FUNCTION bring_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO people (id) VALUES (1) ON CONFLICT DO NOTHING; RETURN NULL; END $$`)
    await house.app.execute(
      `CREATE CONSTRAINT TRIGGER bring_back AFTER UPDATE ON lethe.population DEFERRABLE INITIALLY DEFERRED
       FOR EACH ROW WHEN (NEW.state = 'erased') EXECUTE FUNCTION bring_back()`,
    )
    const run = await house.decide(waiting)
    await house.app.execute('DROP TRIGGER bring_back ON lethe.population')
    await house.app.execute('DROP FUNCTION bring_back')
    expect(run).toMatchObject({ state: 'failed', errorCode: 'E_VERIFY' })
    expect(run.errorMessage).toContain('public.people 1')
    expect(await house.report(run)).toMatchObject({
      outcome: 'not-verified',
      verification: { left: { 'public.people': 1 } },
    })
  })

  test('that is cancelled before its decision removes nothing and forgets the keys', async () => {
    await people([1])
    await armed()
    const waiting = await house.sweep('closed')
    await requestRun(house.control, waiting.id, 'cancel', 'cto')
    await house.work()
    expect(await house.run(waiting)).toMatchObject({ state: 'cancelled' })
    expect(await house.ids('people')).toEqual([1])
    expect(await keysLeft()).toBe(0)
    await expect(house.decide(waiting)).rejects.toMatchObject({ code: 'E_PROPOSAL_DECIDED' })
  })
})

describe('a decision', () => {
  test('is made by a role that may, and only once', async () => {
    await people([1])
    await armed()
    const waiting = await house.sweep('closed')
    await expect(house.decide(waiting, {}, 'desk')).rejects.toMatchObject({ code: 'E_ROLE_MISSING' })
    expect(await house.decide(waiting, { outcome: 'reject' }, 'clerk')).toMatchObject({ outcome: 'rejected' })
    await expect(house.decide(waiting)).rejects.toMatchObject({ code: 'E_PROPOSAL_DECIDED' })
    expect(await house.ids('people')).toEqual([1])
  })

  test('can extend until a date: the subjects stay out of the policy until then', async () => {
    await people([1])
    await armed()
    const until = new Date('2999-01-01T00:00:00Z')
    expect(await house.decide(await house.sweep('closed'), { outcome: 'extend', until })).toMatchObject({
      outcome: 'extended',
    })
    const next = await house.sweep('closed')
    expect(next).toMatchObject({ outcome: 'nothing-due' })
    expect(await house.report(next)).toMatchObject({ excluded: { exempted: 1 } })
    await house.app.execute(`UPDATE lethe.exemptions SET until = ${days(1)}`)
    expect(await house.decide(await house.sweep('closed'))).toMatchObject({ outcome: 'executed' })
    expect(await house.ids('people')).toEqual([])
  })

  test('can preserve for good, and can not extend into the past', async () => {
    await people([1])
    await armed()
    const waiting = await house.sweep('closed')
    const past = new Date('2001-01-01T00:00:00Z')
    await expect(house.decide(waiting, { outcome: 'extend', until: past })).rejects.toMatchObject({
      code: 'E_USAGE',
    })
    expect(await house.decide(waiting, { outcome: 'preserve' })).toMatchObject({ outcome: 'preserved' })
    expect(await house.sweep('closed')).toMatchObject({ outcome: 'nothing-due' })
  })

  test('that passes the blast radius needs the limit by name, from a cto', async () => {
    await house.configure({}, { closed: { limits: { rows: 3, share: 1, median_multiple: 1000 } } })
    await people([1])
    await armed()
    const waiting = await house.sweep('closed')
    await expect(house.decide(waiting)).rejects.toMatchObject({
      code: 'E_LIMITS',
      message: expect.stringContaining('rows: 4, the limit is 3'),
    })
    await expect(house.decide(waiting, { overrides: ['rows'] }, 'clerk')).rejects.toMatchObject({
      code: 'E_ROLE_MISSING',
    })
    await expect(house.decide(waiting, { overrides: ['rows', 'size'] })).rejects.toMatchObject({
      code: 'E_USAGE',
    })
    expect(await house.decide(waiting, { overrides: ['rows'] })).toMatchObject({ outcome: 'executed' })
  })

  test('whose record was changed behind its signature destroys nothing', async () => {
    await people([1])
    await armed()
    const waiting = await house.sweep('closed')
    const proposal = await house.proposal(waiting)
    const decision = { outcome: 'preserve', overrides: [], reason: 'history' } as const
    await decide(
      house.context,
      { proposalId: proposal.id, ...decision },
      await house.sign(decisionStatement(proposal, decision)),
    )
    await house.control.execute(`UPDATE lethe_control.approvals SET outcome = 'destroy'`)
    await house.work()
    expect(await house.run(waiting)).toMatchObject({ state: 'refused', errorCode: 'E_APPROVAL_FORGED' })
    expect(await house.ids('people')).toEqual([1])
  })

  test('that came while the run was just going to wait is not slept through', async () => {
    await people([1])
    await armed()
    const waiting = await house.sweep('closed')
    const proposal = await house.proposal(waiting)
    const decision = { outcome: 'destroy', overrides: [], reason: 'schedule' } as const
    await decide(
      house.context,
      { proposalId: proposal.id, ...decision },
      await house.sign(decisionStatement(proposal, decision)),
    )
    // as if the run had looked before the decision, and waited after it
    await house.control.execute(
      `UPDATE lethe_control.runs SET state = 'waiting', waiting_for = 'approval', next_attempt_at = 'infinity' WHERE id = $1`,
      [waiting.id],
    )
    await house.work()
    expect(await house.run(waiting)).toMatchObject({ state: 'waiting' })
    const kind = (await import('../../../../jobs/registry.ts')).registry.get('retention.sweep')
    await kind.observe?.(house.context)
    await house.work()
    expect(await house.run(waiting)).toMatchObject({ outcome: 'executed' })
  })
})

describe('a standing appraisal', () => {
  const until = (months: number) =>
    new Date(Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth() + months, 1))

  async function appraise(ceiling: number): Promise<string> {
    const appraisal = { policy: 'closed', ceiling, validUntil: until(6), reason: 'yearly review' }
    const statement = appraisalStatement(findPolicy(house.context, 'closed'), appraisal)
    return addAppraisal(house.context, appraisal, await house.sign(statement))
  }

  beforeEach(async () => {
    await house.configure({}, { closed: { approval: 'standing' } })
    await armed()
  })

  test('approves by itself what it covers, and says on whose word', async () => {
    await people([1, 2])
    await appraise(2)
    const run = await house.sweep('closed')
    expect(run).toMatchObject({ outcome: 'executed' })
    expect(await house.report(run)).toMatchObject({
      approval: { actor: 'cto', method: 'standing appraisal, ssh', reason: 'yearly review' },
    })
  })

  test('does not cover more subjects than its ceiling, another version of the policy, or a run after it was revoked', async () => {
    await people([1, 2, 3])
    const id = await appraise(2)
    const waiting = await house.sweep('closed')
    expect(waiting).toMatchObject({ state: 'waiting', waitingFor: 'approval' })
    await house.decide(waiting, { outcome: 'reject' })
    await house.app.execute('DELETE FROM visits WHERE person_id = 3')
    await house.app.execute('DELETE FROM people WHERE id = 3')
    await house.configure({}, { closed: { approval: 'standing', period: '20 days' } })
    await armed()
    const other = await house.sweep('closed')
    expect(other).toMatchObject({ state: 'waiting' })
    await house.decide(other, { outcome: 'reject' })
    await house.configure({}, { closed: { approval: 'standing' } })
    await armed()
    await revokeAppraisal(house.context, id, await house.sign(revocationStatement(id, 'over')))
    expect(await house.sweep('closed')).toMatchObject({ state: 'waiting' })
    expect(await house.ids('people')).toEqual([1, 2])
  })

  test('ends within twelve months', async () => {
    const appraisal = { policy: 'closed', ceiling: 1, validUntil: until(14), reason: 'for ever' }
    const statement = appraisalStatement(findPolicy(house.context, 'closed'), appraisal)
    await expect(addAppraisal(house.context, appraisal, await house.sign(statement))).rejects.toMatchObject({
      code: 'E_APPRAISAL',
    })
  })
})

test('The story of a run names each of its phases.', async () => {
  await people([1])
  await armed()
  const run = await house.decide(await house.sweep('closed'))
  const story = await runStory(house.control, run.id)
  const types = story.events.map((event) => event.type)
  expect(types).toEqual(
    expect.arrayContaining([
      'proposal.created',
      'proposal.approved',
      'erasure.verified',
      'tidy.done',
      'report.written',
      'run.succeeded',
    ]),
  )
})
