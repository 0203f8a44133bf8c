/**
 * What the record says that people decided is verified by the process that destroys; issue 10, C3 (races/b-forge.test.ts). The
 * forger here writes as the owner of the tables: what a role may write is another matter.
 */
import { hash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { refreshIssuerKeys } from '../../../jobs/issuer-keys.ts'
import {
  addAppraisal,
  appraisalStatement,
  armStatement,
  decide,
  decisionStatement,
  findPolicy,
  policyVersion,
  setMode,
} from '../../../jobs/retention/index.ts'
import { databaseNow } from '../../../lib/base/db/index.ts'
import { newId } from '../../../lib/base/clock/index.ts'
import {
  attest,
  fetchIssuerKeys,
  signWithSsh,
  statementFor,
  type Attested,
  type Decided,
} from '../../../lib/people/identity/index.ts'
import { readStatement, statementHash } from '../../../lib/record/decisions/index.ts'
import type { Run } from '../../../lib/record/ledger/index.ts'
import { openRetentionHouse, type RetentionHouse } from '../../support/stages/retention-house.ts'
import { startIssuer, type Issuer } from '../../support/vendors/issuer.ts'

let house: RetentionHouse
let issuer: Issuer
const small = { limits: { rows: 1, share: 0.01, median_multiple: 2 } }

beforeAll(async () => {
  house = await openRetentionHouse()
})
afterAll(() => house.close())
// each test has an issuer of its own, so that none knows another's keys
beforeEach(async () => {
  issuer = await startIssuer()
  await house.empty()
  await house.app.execute(
    `INSERT INTO people (id, deleted_at) SELECT g, now() - interval '90 days' FROM generate_series(1, 3) g`,
  )
})
afterEach(() => issuer.close())

/** The house's people; with oidc the cto signs in at the issuer. */
async function configure(
  policy: Record<string, unknown> = {},
  { oidc = true, roles = ['records', 'cto'] } = {},
): Promise<void> {
  const { identities } = house.context.config.file
  const cto = { ...identities['cto'], roles, oidc_subjects: oidc ? ['sub-1'] : [] }
  await house.configure(
    { identities: { ...identities, cto }, ...(oidc ? { oidc: issuer.settings } : {}) },
    { closed: policy },
  )
}

async function signIn(decided: Decided, claims = {}): Promise<Attested> {
  const { keystore, config } = house.context
  const now = await databaseNow(house.control)
  const statement = statementFor({ ...decided, at: now })
  const token = await issuer.token(statement, claims)
  const seal = (text: string) => keystore.seal(text)
  return attest(config.file, decided, { kind: 'oidc', statement, token, seal }, now)
}

const arming = () => armStatement(findPolicy(house.context, 'closed'), 'armed', 'reviewed')

async function armBySignIn(): Promise<void> {
  await setMode(house.context, 'closed', 'armed', await signIn(arming()))
}

async function decideBySignIn(waiting: Run): Promise<void> {
  const proposal = await house.proposal(waiting)
  const overrides = proposal.limits.flatMap((limit) => (limit.exceeded ? [limit.name] : []))
  const decision = { outcome: 'destroy' as const, overrides, reason: 'x' }
  const by = await signIn(decisionStatement(proposal, decision))
  await decide(house.context, { proposalId: proposal.id, ...decision }, by)
}

/** A statement in the record by SQL alone. */
async function forge(decided: Decided, evidence: Partial<Attested> = {}): Promise<string> {
  const text = evidence.statement ?? statementFor({ ...decided, at: await databaseNow(house.control) })
  const named = statementHash(text)
  await house.control.execute(
    `INSERT INTO lethe_control.statements (hash, statement, signature, token, token_key_id)
     VALUES (decode($1, 'hex'), $2, $3, $4, $5)`,
    [
      named,
      text,
      evidence.signature ?? `oidc:sha256:${'0'.repeat(64)}`,
      evidence.token?.cipher ?? null,
      evidence.token?.keyId ?? null,
    ],
  )
  return named
}

async function forgeArming(evidence: Partial<Attested> = {}): Promise<void> {
  const statement = await forge(arming(), evidence)
  await house.control.execute(
    `INSERT INTO lethe_control.policies (name, mode, armed_version, armed_by, armed_at, statement_hash)
     VALUES ('closed', 'armed', $1, 'cto', now(), decode($2, 'hex'))`,
    [policyVersion(findPolicy(house.context, 'closed')), statement],
  )
}

async function forgeApproval(
  waiting: Run,
  evidence: Partial<Attested> = {},
  more: { appraisal?: string; statement?: string } = {},
): Promise<void> {
  const proposal = await house.proposal(waiting)
  const overrides = proposal.limits.flatMap((limit) => (limit.exceeded ? [limit.name] : []))
  const decided = decisionStatement(proposal, { outcome: 'destroy', overrides, reason: 'forged' })
  const statement = more.statement ?? (await forge(decided, evidence))
  await house.control.execute(
    `INSERT INTO lethe_control.approvals (id, proposal_id, outcome, overrides, actor, method, statement_hash, appraisal_id)
     VALUES ($1, $2, 'destroy', $3, 'cto', 'oidc', decode($4, 'hex'), $5)`,
    [newId(), proposal.id, overrides, statement, more.appraisal ?? null],
  )
  await house.control.execute(
    `UPDATE lethe_control.proposals SET state = 'approved', decided_at = now() WHERE id = $1`,
    [proposal.id],
  )
  await house.control.execute(
    `UPDATE lethe_control.runs SET state = 'queued', next_attempt_at = now(), enqueued_at = NULL WHERE id = $1`,
    [waiting.id],
  )
  await house.work()
}

async function expectRefused(run: Run, code: string): Promise<void> {
  expect(await house.run(run)).toMatchObject({ state: 'refused', errorCode: code })
  expect(await house.ids('people')).toEqual([1, 2, 3])
}

describe('a forged decision', () => {
  test('of the cto by SQL alone arms nothing where no OIDC is configured', async () => {
    await house.configure({}, { closed: small })
    await forgeArming()
    await expectRefused(await house.sweep('closed'), 'E_APPROVAL_FORGED')
  })

  test('approves and overrides nothing where no OIDC is configured', async () => {
    await house.configure({}, { closed: small })
    await house.arm('closed')
    const waiting = await house.sweep('closed')
    await forgeApproval(waiting)
    await expectRefused(waiting, 'E_APPROVAL_FORGED')
  })

  test('without its token decides nothing where OIDC is configured', async () => {
    await configure(small)
    await house.arm('closed')
    const waiting = await house.sweep('closed')
    await forgeApproval(waiting)
    await expectRefused(waiting, 'E_TOKEN_INVALID')
    await house.control.execute('DELETE FROM lethe_control.policies')
    await forgeArming()
    await expectRefused(await house.sweep('closed'), 'E_TOKEN_INVALID')
  })

  test('with the token of another decision decides nothing', async () => {
    await configure(small)
    const stolen = await signIn({ ...arming(), reason: 'another' })
    await setMode(house.context, 'closed', 'armed', stolen)
    const waiting = await house.sweep('closed')
    const { signature, token } = stolen
    await forgeApproval(waiting, { signature, token })
    await expectRefused(waiting, 'E_TOKEN_INVALID')
  })

  test('with an SSH signature over another statement, or of somebody else, decides nothing', async () => {
    await configure(small)
    await house.arm('closed')
    for (const [signer, code] of [
      ['cto', 'E_SIGNATURE_INVALID'],
      ['clerk', 'E_APPROVAL_FORGED'],
    ] as const) {
      const waiting = await house.sweep('closed')
      const proposal = await house.proposal(waiting)
      const overrides = proposal.limits.flatMap((limit) => (limit.exceeded ? [limit.name] : []))
      const decided = decisionStatement(proposal, { outcome: 'destroy', overrides, reason: 'forged' })
      const { statement, signature } = await house.sign(decided, signer)
      await forgeApproval(waiting, signer === 'cto' ? { signature } : { statement, signature })
      await expectRefused(waiting, code)
    }
  })

  test('that leans on an appraisal which does not cover the run decides nothing', async () => {
    await configure({ ...small, approval: 'standing' })
    await house.arm('closed')
    const appraisal = {
      policy: 'closed',
      ceiling: 1,
      validUntil: new Date(Date.now() + 30 * 86_400_000),
      reason: 'x',
    }
    const signed = await house.sign(appraisalStatement(findPolicy(house.context, 'closed'), appraisal))
    const id = await addAppraisal(house.context, appraisal, signed)
    const waiting = await house.sweep('closed')
    expect(waiting.state).toBe('waiting')
    await forgeApproval(waiting, {}, { appraisal: id, statement: statementHash(signed.statement) })
    await expectRefused(waiting, 'E_APPROVAL_FORGED')
  })

  test('on a statement that came in long after it was signed decides nothing', async () => {
    await house.arm('closed')
    const waiting = await house.sweep('closed')
    const decided = decisionStatement(await house.proposal(waiting), {
      outcome: 'destroy',
      overrides: [],
      reason: 'not handed in',
    })
    const statement = statementFor({ ...decided, at: new Date(Date.now() - 7_200_000) })
    await forgeApproval(waiting, { statement, signature: await signWithSsh(statement, house.keyOf('cto')) })
    await expectRefused(waiting, 'E_APPROVAL_FORGED')
  })

  test('by a key that somebody put among those of the issuer decides nothing', async () => {
    await configure()
    const other = await startIssuer()
    try {
      await armBySignIn()
      const waiting = await house.sweep('closed')
      const decided = decisionStatement(await house.proposal(waiting), {
        outcome: 'destroy',
        overrides: [],
        reason: 'forged',
      })
      const statement = statementFor({ ...decided, at: await databaseNow(house.control) })
      await other.rotate()
      const token = await other.token(statement, { iss: issuer.url })
      const theirs = await fetchKeys(other)
      for (const { thumbprint, jwk } of theirs)
        await house.control.execute(
          `INSERT INTO lethe_control.issuer_keys (issuer, thumbprint, jwk, mark, key_id)
           SELECT $1, $2, $3, mark, key_id FROM lethe_control.issuer_keys LIMIT 1`,
          [issuer.url, thumbprint, jwk],
        )
      await forgeApproval(waiting, {
        statement,
        signature: `oidc:sha256:${hash('sha256', token)}`,
        token: house.context.keystore.seal(token),
      })
      await expectRefused(waiting, 'E_TOKEN_INVALID')
    } finally {
      await other.close()
    }
  })
})

async function fetchKeys(from: Issuer) {
  return fetchIssuerKeys({ ...from.settings, max_age_seconds: 600, second_factor_amr: [], token_days: 90 })
}

describe('a decision by an ID token', () => {
  test('arms, approves and overrides once the worker has verified it with the keys that it fetched', async () => {
    await configure(small)
    await armBySignIn()
    const waiting = await house.sweep('closed')
    await decideBySignIn(waiting)
    await house.work()
    expect(await house.run(waiting)).toMatchObject({ state: 'succeeded', outcome: 'executed' })
    expect(await house.ids('people')).toEqual([])
  })

  test('is verified after the issuer rotated its keys, and while it is away', async () => {
    await configure(small)
    await refreshIssuerKeys(house.context)
    await armBySignIn()
    const waiting = await house.sweep('closed')
    await decideBySignIn(waiting)
    await issuer.rotate()
    issuer.server.fault = () => ({ before: { status: 503 } })
    await house.work()
    expect(await house.ids('people')).toEqual([])
  })

  test('by a key that the worker has not seen waits for the issuer, and destroys nothing meanwhile', async () => {
    await configure(small)
    await armBySignIn()
    const waiting = await house.sweep('closed')
    await issuer.rotate()
    await decideBySignIn(waiting)
    issuer.server.fault = () => ({ before: { status: 503 } })
    await house.work()
    expect(await house.run(waiting)).toMatchObject({ errorCode: 'E_ISSUER_UNAVAILABLE' })
    expect(await house.ids('people')).toEqual([1, 2, 3])
  })

  test('does not count once the person lost the role or is known no more, nor without OIDC in the configuration', async () => {
    for (const [change, code] of [
      [() => configure({}, { roles: ['auditor'] }), 'E_ROLE_MISSING'],
      [() => configure({}, { oidc: false }), 'E_APPROVAL_FORGED'],
    ] as const) {
      await configure()
      await house.control.execute('DELETE FROM lethe_control.policies')
      await armBySignIn()
      await change()
      await expectRefused(await house.sweep('closed'), code)
    }
  })

  test('by a key that the issuer withdrew before it was issued does not count', async () => {
    await configure()
    await refreshIssuerKeys(house.context)
    await armBySignIn()
    await issuer.rotate()
    await house.control.execute(`UPDATE lethe_control.issuer_keys SET last_seen = now() - interval '2 days'`)
    await expectRefused(await house.sweep('closed'), 'E_TOKEN_INVALID')
  })

  test.each([
    ['is kept while something in force stands on it', false, 1],
    ['is forgotten after oidc.token_days once nothing in force stands on it; its digest stays', true, 0],
  ])('has a sealed token that %s', async (_what, disarmed, kept) => {
    await configure()
    const { statement, signature } = await signIn(arming()).then(async (by) => {
      await setMode(house.context, 'closed', 'armed', by)
      return by
    })
    const observe = armStatement(findPolicy(house.context, 'closed'), 'observe', 'x')
    if (disarmed) await setMode(house.context, 'closed', 'observe', await house.sign(observe))
    await house.control.transaction(async (tx) => {
      await tx.execute('SET LOCAL session_replication_role = replica')
      await tx.execute(`UPDATE lethe_control.statements SET at = now() - interval '91 days'`)
    })
    await refreshIssuerKeys(house.context)
    expect(await house.control.execute('SELECT FROM lethe_control.statements WHERE token IS NOT NULL')).toBe(
      kept,
    )
    expect(await readStatement(house.control, statementHash(statement))).toMatchObject({
      text: statement,
      signature,
    })
  })
})
