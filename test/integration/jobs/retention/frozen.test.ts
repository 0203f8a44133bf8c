/** A population is written by the run's newest claim only, and what executes is what was signed. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { findPolicy } from '../../../../jobs/retention/index.ts'
import { decisionStatement } from '../../../../jobs/retention/decisions/statements.ts'
import { loadPolicyPlan } from '../../../../jobs/retention/plan.ts'
import { propose } from '../../../../jobs/retention/propose.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'

let house: RetentionHouse
beforeAll(async () => {
  house = await openRetentionHouse()
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.empty()
  await house.app.execute(
    `INSERT INTO people (id, deleted_at) SELECT g, now() - interval '90 days' FROM generate_series(1, 3) g`,
  )
  await house.arm('closed')
})

async function population(): Promise<string[]> {
  const rows = await house.app.query(
    z.object({ key: z.array(z.string()) }),
    'SELECT root_key AS key FROM lethe.population ORDER BY ordinal',
  )
  return rows.map(({ key }) => key.join())
}

test('a worker that was overtaken while it proposed does not rewrite the population of a proposal that waits', async () => {
  const run = await house.sweep('closed')
  const proposal = await house.proposal(run)
  expect(await population()).toEqual(['1', '2', '3'])
  await house.app.execute(`INSERT INTO people (id, deleted_at) VALUES (4, now() - interval '90 days')`)
  const policy = findPolicy(house.context, 'closed')
  const plan = await loadPolicyPlan(house.context, policy)
  const late = { id: run.id, fence: run.fence - 1n }
  await expect(propose(house.app, policy, plan, proposal.id, undefined, late)).rejects.toMatchObject({
    code: 'E_FENCED',
  })
  expect(await population()).toEqual(['1', '2', '3'])
})

test.each([
  ['another key', `UPDATE lethe.population SET root_key = ARRAY['4'] WHERE ordinal = 2`],
  [
    'one more',
    `INSERT INTO lethe.population (proposal_id, ordinal, root_key) SELECT proposal_id, 9, ARRAY['4'] FROM lethe.population LIMIT 1`,
  ],
  ['one less', `DELETE FROM lethe.population WHERE ordinal = 2`],
])(
  'a population that differs from what was signed (%s) is refused, and nobody is erased',
  async (_how, change) => {
    await house.app.execute(`INSERT INTO people (id) VALUES (4)`)
    const run = await house.sweep('closed')
    await house.app.execute(change)
    expect(await house.decide(run)).toMatchObject({ state: 'refused', errorCode: 'E_PLAN_CHANGED' })
    expect(await house.ids('people')).toEqual([1, 2, 3, 4])
  },
)

test('what is signed names the population by its hash, which says nothing of the keys, and an unchanged one runs', async () => {
  const run = await house.sweep('closed')
  const proposal = await house.proposal(run)
  expect(proposal.populationHash).toMatch(/^[0-9a-f]{64}$/)
  const decision = { outcome: 'destroy' as const, overrides: [], reason: 'schedule 7.2' }
  expect(decisionStatement(proposal, decision).facts['populationHash']).toBe(proposal.populationHash)
  expect((await house.decide(run)).state).toBe('succeeded')
  expect(await house.ids('people')).toEqual([])
})
