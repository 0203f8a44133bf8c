/** Which decisions need a second factor is one list of the configuration; issue 10, C8. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  acceptLeg,
  approveRequest,
  assessRequest,
  cancelRequest,
  confirmRequest,
  extendRequest,
  instructRequest,
  refuseRequest,
  retryLeg,
  type By,
} from '../../../jobs/erasure/index.ts'
import { eraseText, eraseTextStatement } from '../../../jobs/evidence/index.ts'
import { addHold, holdStatement, releaseHold, releaseStatement } from '../../../jobs/holds.ts'
import {
  addAppraisal,
  appraisalStatement,
  armStatement,
  decide,
  decisionStatement,
  findPolicy,
  revocationStatement,
  revokeAppraisal,
  setMode,
} from '../../../jobs/retention/index.ts'
import { resume, stop, stopStatement } from '../../../jobs/stops.ts'
import { databaseNow } from '../../../lib/base/db/index.ts'
import {
  attest,
  statementFor,
  verbs,
  type Attested,
  type Decided,
} from '../../../lib/people/identity/index.ts'
import { createSoftwareFido } from '../../support/stages/software-fido.ts'
import { openRetentionHouse, type RetentionHouse } from '../../support/stages/retention-house.ts'

const nobody = '00000000-0000-4000-8000-000000000000'
const fido = createSoftwareFido()
let house: RetentionHouse

async function demand(second_factor: readonly string[], policy: Record<string, unknown> = {}): Promise<void> {
  const { identities } = house.context.config.file
  const cto = identities['cto']
  if (cto === undefined) throw new Error('the house has no cto')
  await house.configure(
    {
      second_factor,
      identities: { ...identities, cto: { ...cto, ssh_keys: [...cto.ssh_keys, fido.publicKeyLine] } },
    },
    { closed: { approval: 'standing', ...policy } },
  )
}

beforeAll(async () => {
  house = await openRetentionHouse()
})
afterAll(() => house.close())
beforeEach(() => house.empty())

async function touched(decided: Decided): Promise<Attested> {
  const now = await databaseNow(house.control)
  const statement = statementFor({ ...decided, at: now })
  const signature = fido.sign(statement, { touched: true })
  return attest(house.context.config.file, decided, { kind: 'ssh-signature', statement, signature }, now)
}

const until = new Date(Date.now() + 30 * 86_400_000)
const day = { policy: 'closed', ceiling: 5, validUntil: until, reason: 'x' }
const about = (verb: Decided['verb']): Decided => ({ verb, object: nobody, facts: {}, reason: 'x' })
const request = (act: (by: By) => Promise<unknown>) => (attested: Attested) => act({ attested })
const hold = {
  level: 'table' as const,
  store: 'app',
  table: 'public.visits',
  kind: 'legal-claim' as const,
  owner: 'legal',
  reason: 'x',
  reviewAt: '2999-01-01',
}

/** Each decision that can be made without anything being there first; the others are about an object that nobody has. */
const decisions: Partial<
  Record<Decided['verb'], { decided: () => Decided; act: (by: Attested) => Promise<unknown> }>
> = {
  'policy.arm': {
    decided: () => armStatement(findPolicy(house.context, 'closed'), 'armed', 'x'),
    act: (by) => setMode(house.context, 'closed', 'armed', by),
  },
  'policy.disarm': {
    decided: () => armStatement(findPolicy(house.context, 'closed'), 'observe', 'x'),
    act: (by) => setMode(house.context, 'closed', 'observe', by),
  },
  'appraisal.add': {
    decided: () => appraisalStatement(findPolicy(house.context, 'closed'), day),
    act: (by) => addAppraisal(house.context, day, by),
  },
  'appraisal.revoke': {
    decided: () => revocationStatement(nobody, 'x'),
    act: (by) => revokeAppraisal(house.context, nobody, by),
  },
  'hold.add': {
    decided: () => holdStatement(house.context, hold),
    act: (by) => addHold(house.context, hold, by),
  },
  'store.stop': {
    decided: () => stopStatement('store.stop', 'app', 'x'),
    act: (by) => stop(house.context, 'app', by),
  },
  'store.resume': {
    decided: () => stopStatement('store.resume', 'app', 'x'),
    act: (by) => resume(house.context, 'app', by),
  },
  'hold.release': {
    decided: () => releaseStatement(nobody, 'x'),
    act: (by) => releaseHold(house.context, nobody, by),
  },
  'text.erase': {
    decided: () => eraseTextStatement('f'.repeat(64), 'x'),
    act: (by) => eraseText(house.context, 'f'.repeat(64), by),
  },
  'erasure.confirm': {
    decided: () => about('erasure.confirm'),
    act: request((by) => confirmRequest(house.context, nobody, 'staff-check', by)),
  },
  'erasure.cancel': {
    decided: () => about('erasure.cancel'),
    act: request((by) => cancelRequest(house.context, nobody, by)),
  },
  'erasure.retry': {
    decided: () => about('erasure.retry'),
    act: request((by) => retryLeg(house.context, nobody, 'app', by)),
  },
  'erasure.instruct': {
    decided: () => about('erasure.instruct'),
    act: request((by) => instructRequest(house.context, nobody, 'r', by)),
  },
  'erasure.extend': {
    decided: () => about('erasure.extend'),
    act: request((by) => extendRequest(house.context, nobody, by)),
  },
  'erasure.approve': {
    decided: () => about('erasure.approve'),
    act: request((by) => approveRequest(house.context, nobody, by)),
  },
  'erasure.assess': {
    decided: () => about('erasure.assess'),
    act: request((by) => assessRequest(house.context, nobody, {}, by)),
  },
  'erasure.refuse': {
    decided: () => about('erasure.refuse'),
    act: request((by) => refuseRequest(house.context, nobody, 'law', by)),
  },
  'erasure.accept': {
    decided: () => about('erasure.accept'),
    act: request((by) => acceptLeg(house.context, nobody, 'app', by)),
  },
}

const outcomeOf = (done: Promise<unknown>) =>
  done.then(
    () => 'done',
    (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
  )

describe('a second factor that the configuration demands', () => {
  test.each(Object.entries(decisions))(
    'for %s is asked of whoever decides it',
    async (verb, { decided, act }) => {
      const without = await outcomeOf(house.sign(decided()).then(act))
      expect(without, 'not demanded').not.toBe('E_SECOND_FACTOR')
      await demand([verb])
      const entries = await house.control.execute('SELECT FROM lethe_control.events')
      expect(await outcomeOf(house.sign(decided()).then(act)), 'by a plain key').toBe('E_SECOND_FACTOR')
      expect(await house.control.execute('SELECT FROM lethe_control.events')).toBe(entries)
      expect(await outcomeOf(touched(decided()).then(act)), 'by a touched key').not.toBe('E_SECOND_FACTOR')
    },
  )

  test('for approving or overriding is asked at the decision, and again by the worker that destroys', async () => {
    await house.app.execute(`INSERT INTO people (id, deleted_at) VALUES (1, now() - interval '90 days')`)
    for (const verb of ['proposal.approve', 'proposal.override']) {
      const limits = { rows: 1, share: 0.01, median_multiple: 2 }
      await house.configure({}, { closed: verb === 'proposal.override' ? { limits } : {} })
      await house.arm('closed')
      const waiting = await house.sweep('closed')
      const proposal = await house.proposal(waiting)
      const overrides = proposal.limits.flatMap((limit) => (limit.exceeded ? [limit.name] : []))
      const decision = { outcome: 'destroy' as const, overrides, reason: 'x' }
      const signed = await house.sign(decisionStatement(proposal, decision))
      await decide(house.context, { proposalId: proposal.id, ...decision }, signed)
      await demand([verb], { approval: 'required', ...(verb === 'proposal.override' ? { limits } : {}) })
      await house.work()
      expect(await house.run(waiting), verb).toMatchObject({
        state: 'refused',
        errorCode: 'E_SECOND_FACTOR',
      })
    }
    expect(await house.ids('people')).toEqual([1])
  })

  test('by a policy is asked of whoever arms it', async () => {
    await demand([], { second_factor: true })
    const decided = () => armStatement(findPolicy(house.context, 'closed'), 'armed', 'x')
    const arm = (by: Attested) => setMode(house.context, 'closed', 'armed', by)
    expect(await outcomeOf(house.sign(decided()).then(arm))).toBe('E_SECOND_FACTOR')
    expect(await outcomeOf(touched(decided()).then(arm))).toBe('done')
  })

  test('can be demanded for every verb that there is', async () => {
    const tried = [...Object.keys(decisions), 'proposal.approve', 'proposal.override', 'erasure.request']
    expect(tried.toSorted()).toEqual(Object.keys(verbs).toSorted())
    await demand(Object.keys(verbs))
    await expect(demand(['policy.armm'])).rejects.toMatchObject({ code: 'E_CONFIG' })
  })
})
