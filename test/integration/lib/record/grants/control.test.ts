/**
 * Whoever holds a login of support staff, or of those who decide, and writes SQL by hand; issue 10, C3 (races/b-forge.test.ts).
 * What a role may not write it can't forge; what it may write is verified by the worker (jobs/verify-decision.ts).
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  addAppraisal,
  appraisalStatement,
  armStatement,
  decide,
  decisionStatement,
  findPolicy,
  policyMode,
  revocationStatement,
  revokeAppraisal,
  setMode,
  startSweep,
} from '../../../../../jobs/retention/index.ts'
import { eraseText, eraseTextStatement } from '../../../../../jobs/evidence/index.ts'
import { addHold, holdStatement, releaseHold, releaseStatement } from '../../../../../jobs/holds.ts'
import { runJob } from '../../../../../jobs/runner.ts'
import { registry } from '../../../../../jobs/registry.ts'
import { grantsSql } from '../../../../../lib/record/grants/index.ts'
import { requestRun, takeForEnqueue } from '../../../../../lib/record/ledger/index.ts'
import { statementHash } from '../../../../../lib/record/decisions/index.ts'
import { planDeletion } from '../../../../../lib/data/deletion/index.ts'
import { storeCatalogue } from '../../../../../lib/data/datamap/index.ts'
import { openContext, type OpenContext } from '../../../../../workers/context.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../../support/stages/retention-house.ts'
import { testRoles } from '../../../../support/servers/roles.ts'

const roles = testRoles('worker', 'operator', 'approver', 'auditor')
const logins = testRoles('its_worker', 'its_operator', 'its_approver')
let house: RetentionHouse
let worker: OpenContext
let operator: OpenContext
let approver: OpenContext

const hold = {
  level: 'table' as const,
  store: 'app',
  table: 'public.visits',
  kind: 'legal-claim' as const,
  owner: 'legal',
  reason: 'claim',
  reviewAt: '2999-01-01',
}

beforeAll(async () => {
  house = await openRetentionHouse()
  const { control, app, context } = house
  await control.execute(grantsSql('control', { roles }))
  const catalogue = await storeCatalogue(app, context.config.file, 'app')
  const plans = [planDeletion(context.config.file, 'app', { subject: 'person' }, catalogue)]
  await app.execute(grantsSql('target', { roles, plans }))
  for (const [login, role] of [
    [logins.its_worker, roles.worker],
    [logins.its_operator, roles.operator],
    [logins.its_approver, roles.approver],
  ])
    await control.execute(`CREATE ROLE ${login} LOGIN IN ROLE ${role}`)
  worker = await openAs(logins.its_worker)
  operator = await openAs(logins.its_operator)
  approver = await openAs(logins.its_approver)
})
afterAll(async () => {
  await Promise.all([worker, operator, approver].map((one) => one.close()))
  await house.close()
})
beforeEach(async () => {
  await house.empty()
  await house.app.execute(
    `INSERT INTO people (id, deleted_at) SELECT g, now() - interval '90 days' FROM generate_series(1, 3) g`,
  )
})

function openAs(login: string): Promise<OpenContext> {
  const as = (url: string | undefined) => {
    const own = new URL(url ?? '')
    own.username = login
    return own.toString()
  }
  const { LETHE_CONTROL_URL: control, APP_URL: app } = house.environment
  return openContext(login, { ...house.environment, LETHE_CONTROL_URL: as(control), APP_URL: as(app) })
}

async function work(): Promise<void> {
  for (;;) {
    const due = await takeForEnqueue(worker.context.control)
    if (due.length === 0) return
    for (const job of due) await runJob(worker.context, registry, job, new AbortController().signal)
  }
}

const mode = (to: 'armed' | 'observe') => armStatement(findPolicy(house.context, 'closed'), to, 'reviewed')

async function proposed() {
  await setMode(approver.context, 'closed', 'armed', await house.sign(mode('armed')))
  const run = await startSweep(operator.context, 'closed', 'test')
  await work()
  return { run, proposal: await house.proposal(run) }
}

describe('the login of support staff', () => {
  test('starts, pauses, resumes and calls off runs, disarms and holds', async () => {
    const { run } = await proposed()
    for (const verb of ['pause', 'resume'] as const)
      await requestRun(operator.context.control, run.id, verb, 'desk')
    const added = await house.sign(holdStatement(operator.context, hold), 'desk')
    await addHold(operator.context, hold, added)
    await setMode(operator.context, 'closed', 'observe', await house.sign(mode('observe'), 'desk'))
    expect((await policyMode(house.control, findPolicy(house.context, 'closed'))).mode).toBe('observe')
    await work()
    expect(await house.run(run)).toMatchObject({ state: 'cancelled' })
  })

  test('can write no arming, approval, override, appraisal, release or other text by SQL', async () => {
    const { run, proposal } = await proposed()
    const { id } = await addHold(
      operator.context,
      hold,
      await house.sign(holdStatement(house.context, hold), 'desk'),
    )
    const hash = `decode('${statementHash('x')}', 'hex')`
    await house.control.execute(
      `INSERT INTO lethe_control.statements (hash, statement, signature) VALUES (${hash}, 'x', 'oidc:')`,
    )
    for (const sql of [
      `INSERT INTO lethe_control.policies (name, mode, armed_version, armed_by, statement_hash) VALUES ('inactive', 'armed', 'v', 'cto', ${hash})`,
      `UPDATE lethe_control.policies SET mode = 'armed'`,
      `INSERT INTO lethe_control.approvals (id, proposal_id, outcome, actor, method, statement_hash)
       VALUES (gen_random_uuid(), '${proposal.id}', 'destroy', 'cto', 'oidc', ${hash})`,
      `UPDATE lethe_control.proposals SET state = 'approved'`,
      `INSERT INTO lethe_control.appraisals (id, policy, policy_version, records_class, ceiling_subjects, valid_until, actor, method, statement_hash)
       VALUES (gen_random_uuid(), 'closed', 'v', 'c', 9, now() + interval '1 month', 'cto', 'oidc', ${hash})`,
      `UPDATE lethe_control.holds SET released_at = now() WHERE id = '${id}'`,
      `UPDATE lethe_control.holds SET store = 'elsewhere' WHERE id = '${id}'`,
      `UPDATE lethe_control.statements SET statement = NULL, signature = NULL, erased_at = now()`,
      `UPDATE lethe_control.runs SET cursor = '{"phase": "light"}' WHERE id = '${run.id}'`,
      `INSERT INTO lethe_control.issuer_keys (issuer, thumbprint, jwk, mark, key_id) VALUES ('i', 't', '{}', '', '')`,
      `SELECT lethe_control.approve_by_appraisal(gen_random_uuid(), '${proposal.id}')`,
    ])
      await expect(operator.context.control.execute(sql), sql).rejects.toMatchObject({
        code: 'E_DATABASE_PRIVILEGE',
      })
  })
})

describe('the login of those who decide', () => {
  test('arms, approves, appraises, releases and erases texts, and does what support staff do', async () => {
    const { run, proposal } = await proposed()
    const { context } = approver
    const decision = { outcome: 'destroy' as const, overrides: [], reason: 'x' }
    await decide(
      context,
      { proposalId: proposal.id, ...decision },
      await house.sign(decisionStatement(proposal, decision)),
    )
    await work()
    expect(await house.run(run)).toMatchObject({ state: 'succeeded', outcome: 'executed' })

    const added = await house.sign(holdStatement(context, hold))
    const { id } = await addHold(context, hold, added)
    await releaseHold(context, id, await house.sign(releaseStatement(id, 'settled')))
    const text = statementHash(added.statement)
    await eraseText(context, text, await house.sign(eraseTextStatement(text, 'a name')))

    await house.configure({}, { closed: { approval: 'standing' } })
    const day = {
      policy: 'closed',
      ceiling: 5,
      validUntil: new Date(Date.now() + 30 * 86_400_000),
      reason: 'x',
    }
    const changed = await openAs(logins.its_approver)
    try {
      const signed = await house.sign(appraisalStatement(findPolicy(house.context, 'closed'), day))
      const appraisal = await addAppraisal(changed.context, day, signed)
      await revokeAppraisal(changed.context, appraisal, await house.sign(revocationStatement(appraisal, 'x')))
    } finally {
      await changed.close()
    }
  })

  test('can change nothing of what was proposed, how far a run is, or when something came in', async () => {
    const { run, proposal } = await proposed()
    const hash = `decode('${statementHash('y')}', 'hex')`
    for (const sql of [
      `UPDATE lethe_control.proposals SET limits = '[]'`,
      `UPDATE lethe_control.proposals SET population = 1`,
      `UPDATE lethe_control.runs SET cursor = '{"phase": "light"}' WHERE id = '${run.id}'`,
      `INSERT INTO lethe_control.runs (id, kind, queue, scope, state, max_attempts, created_by, cursor)
       VALUES (gen_random_uuid(), 'retention.sweep', 'retention', 'x', 'queued', 1, 'x', '{"phase": "light"}')`,
      `INSERT INTO lethe_control.statements (hash, statement, signature, at) VALUES (${hash}, 'y', 'z', now() - interval '1 day')`,
      `INSERT INTO lethe_control.statements (hash, statement, signature, number) OVERRIDING SYSTEM VALUE VALUES (${hash}, 'y', 'z', 1)`,
      `INSERT INTO lethe_control.approvals (id, proposal_id, outcome, actor, method, statement_hash, at)
       VALUES (gen_random_uuid(), '${proposal.id}', 'destroy', 'cto', 'oidc', ${hash}, now() - interval '1 day')`,
      `INSERT INTO lethe_control.events (type, actor, data, at) VALUES ('x', 'cto', '{}', now() - interval '1 day')`,
      `INSERT INTO lethe_control.events (type, actor, data, xact) VALUES ('x', 'cto', '{}', '1')`,
      `DELETE FROM lethe_control.policies`,
      `UPDATE lethe_control.policies SET name = 'inactive'`,
      `UPDATE lethe_control.policies SET armed_version = 'v'`,
    ])
      await expect(approver.context.control.execute(sql), sql).rejects.toMatchObject({
        code: 'E_DATABASE_PRIVILEGE',
      })
  })
})
