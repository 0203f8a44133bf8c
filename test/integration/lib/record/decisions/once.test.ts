/** A signed statement is good once, for one object; issue 10, C4 (races/a-retention.test.ts, E13). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { instructRequest, requestStatement } from '../../../../../jobs/erasure/index.ts'
import { addHold, holdStatement, releaseHold, releaseStatement } from '../../../../../jobs/holds.ts'
import {
  addAppraisal,
  appraisalStatement,
  armStatement,
  findPolicy,
  policyMode,
  revocationStatement,
  revokeAppraisal,
  setMode,
} from '../../../../../jobs/retention/index.ts'
import { resume, stop, stopStatement } from '../../../../../jobs/stops.ts'
import { databaseNow } from '../../../../../lib/base/db/index.ts'
import { attest, type Attested, type Decided } from '../../../../../lib/people/identity/index.ts'
import { statementHash } from '../../../../../lib/record/decisions/index.ts'
import { carryOn } from '../../../../support/stages/requests.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../../support/stages/retention-house.ts'

let house: RetentionHouse
beforeAll(async () => {
  house = await openRetentionHouse()
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.empty()
  await house.configure({}, { closed: { approval: 'standing' } })
})

/** As the command line does with the two files that somebody signed before. */
async function again(decided: Decided, signed: Attested): Promise<Attested> {
  const { statement, signature } = signed
  return attest(
    house.context.config.file,
    decided,
    { kind: 'ssh-signature', statement, signature },
    await databaseNow(house.control),
  )
}

async function twice(act: () => Promise<unknown>): Promise<void> {
  await act()
  await act()
}

const mode = (to: 'armed' | 'observe') => armStatement(findPolicy(house.context, 'closed'), to, 'reviewed')
const used = { code: 'E_STATEMENT_USED', exitCode: 13 }

async function events(type: string): Promise<number> {
  return house.control.execute(`SELECT FROM lethe_control.events WHERE type = '${type}'`)
}

const hold = {
  level: 'table' as const,
  store: 'app',
  table: 'public.visits',
  kind: 'legal-claim' as const,
  owner: 'legal',
  reason: 'claim',
  reviewAt: '2999-01-01',
}
const appraisal = {
  policy: 'closed',
  ceiling: 5,
  validUntil: new Date(Date.now() + 30 * 86_400_000),
  reason: 'x',
}

describe('a signed statement', () => {
  test('that armed a policy does not arm it again after somebody disarmed it', async () => {
    const signed = await house.sign(mode('armed'))
    await setMode(house.context, 'closed', 'armed', signed)
    await setMode(house.context, 'closed', 'observe', await house.sign(mode('observe'), 'desk'))
    const twice = await again(mode('armed'), signed)
    await expect(setMode(house.context, 'closed', 'armed', twice)).rejects.toMatchObject(used)
    expect((await policyMode(house.control, findPolicy(house.context, 'closed'))).mode).toBe('observe')
    expect(await events('policy.armed')).toBe(1)
  })

  test('does not arm again by plain SQL either, whoever writes it', async () => {
    const first = await house.sign(mode('armed'))
    await setMode(house.context, 'closed', 'armed', first)
    await setMode(house.context, 'closed', 'observe', await house.sign(mode('observe')))
    const version = (await policyMode(house.control, findPolicy(house.context, 'closed'))).version
    for (const set of [
      `statement_hash = decode('${statementHash(first.statement)}', 'hex')`,
      `armed_by = 'cto'`,
      `statement_hash = NULL`,
    ])
      await expect(
        house.control.execute(
          `UPDATE lethe_control.policies SET mode = 'armed', armed_version = '${version}', ${set}`,
        ),
        set,
      ).rejects.toMatchObject({ code: 'E_DATABASE_PRIVILEGE' })
  })

  test('whose answer was lost is repeated without a second decision', async () => {
    const arming = await house.sign(mode('armed'))
    const added = await house.sign(holdStatement(house.context, hold), 'desk')
    const standing = await house.sign(appraisalStatement(findPolicy(house.context, 'closed'), appraisal))
    const ids = new Set<string>()
    await twice(async () => {
      await setMode(house.context, 'closed', 'armed', await again(mode('armed'), arming))
      const held = await addHold(house.context, hold, await again(holdStatement(house.context, hold), added))
      ids.add(held.id)
      ids.add(await addAppraisal(house.context, appraisal, standing))
    })
    expect(ids.size).toBe(2)
    const counts = await Promise.all(['policy.armed', 'hold.added', 'appraisal.added'].map(events))
    expect(counts).toEqual([1, 1, 1])
  })

  test('that added a hold or an appraisal adds no second one once the first has ended', async () => {
    const added = await house.sign(holdStatement(house.context, hold), 'desk')
    const { id } = await addHold(house.context, hold, added)
    const released = await house.sign(releaseStatement(id, 'settled'))
    await twice(() => releaseHold(house.context, id, released))
    await expect(addHold(house.context, hold, added)).rejects.toMatchObject(used)

    const standing = await house.sign(appraisalStatement(findPolicy(house.context, 'closed'), appraisal))
    const one = await addAppraisal(house.context, appraisal, standing)
    const revoked = await house.sign(revocationStatement(one, 'x'))
    await twice(() => revokeAppraisal(house.context, one, revoked))
    await expect(addAppraisal(house.context, appraisal, standing)).rejects.toMatchObject(used)
    expect(await Promise.all(['hold.released', 'appraisal.revoked'].map(events))).toEqual([1, 1])
  })

  test('that stopped a store stops it again where the answer was lost, and not once it was resumed', async () => {
    const stopped = await house.sign(stopStatement('store.stop', 'app', 'incident'), 'desk')
    await twice(() => stop(house.context, 'app', stopped))
    expect(await events('store.stopped')).toBe(1)
    const resumed = await house.sign(stopStatement('store.resume', 'app', 'settled'))
    await resume(house.context, 'app', resumed)
    await expect(stop(house.context, 'app', stopped)).rejects.toMatchObject(used)
    await stop(house.context, 'app', await house.sign(stopStatement('store.stop', 'app', 'again'), 'desk'))
    await expect(resume(house.context, 'app', resumed)).rejects.toMatchObject(used)
    expect(await house.app.execute('SELECT FROM lethe.stops')).toBe(1)
    await resume(house.context, 'app', await house.sign(stopStatement('store.resume', 'app', 'settled')))
  })

  test('used by two commands at the same time decides once', async () => {
    const added = await house.sign(holdStatement(house.context, hold), 'desk')
    const both = await Promise.all([1, 2, 3].map(() => addHold(house.context, hold, added)))
    expect(new Set(both.map(({ id }) => id)).size).toBe(1)
  })

  test('about a request is not brought in again after a later decision of its kind', async () => {
    await house.app.execute('INSERT INTO people (id) VALUES (1)')
    await house.app.execute(`SELECT lethe.request_erasure('person', ARRAY['1'], kind => 'article-17')`)
    await carryOn(house)
    const [{ id } = { id: '' }] = await house.control.query(
      z.object({ id: z.string() }),
      'SELECT id FROM lethe_control.erasure_requests',
    )
    const signed = async (reference: string) =>
      house.sign(requestStatement('erasure.instruct', id, { reference }, 'x'), 'desk')
    const [first, second] = [await signed('one'), await signed('two')]
    const instruct = (reference: string, attested: Attested) =>
      instructRequest(house.context, id, reference, { attested })
    await twice(() => instruct('one', first))
    expect(await events('request.decided')).toBe(1)
    await instruct('two', second)
    await expect(instruct('one', first)).rejects.toMatchObject(used)
    expect(
      await house.control.execute(`SELECT FROM lethe_control.erasure_requests WHERE instruction = 'two'`),
    ).toBe(1)
  })
})
