/** Joining an open request never weakens what anybody asked for. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  approveRequest,
  askedStatement,
  cancelRequest,
  confirmRequest,
  requestErasure,
  requestStatus,
  takeIntake,
  type Asked,
} from '../../../../jobs/erasure/index.ts'
import { createRequests, moveRequests } from '../../../../lib/record/requests/index.ts'
import { openErasureHouse, type ErasureHouse } from '../../../support/stages/erasure-house.ts'

const gone = { app: 0, sessions: 0, letters: 0, parcels: 0 }
const closure = `kind => 'account-closure', identity => 'signed-in-session'`
const closed = { kind: 'account-closure' } as const

let house: ErasureHouse
beforeAll(async () => {
  house = await openErasureHouse()
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.empty()
  await house.people(1, 2)
})

/** An application's closure that waits out its grace. */
async function inGrace(person = 1): Promise<string> {
  const id = await house.askSql(person, closure)
  await house.work()
  expect(await house.request(id)).toMatchObject({ state: 'grace', kind: 'account-closure', hasGrace: true })
  return id
}

async function call(text: string, values: readonly unknown[]): Promise<void> {
  await house.app.execute(`SELECT ${text}`, values)
}

async function refusals(): Promise<string[]> {
  const rows = await house.app.query(
    z.object({ code: z.string() }),
    `SELECT data ->> 'refused' AS code FROM lethe.intake WHERE data ? 'refused'`,
  )
  return rows.map(({ code }) => code)
}

async function events(type: string): Promise<unknown[]> {
  const rows = await house.control.query(
    z.object({ data: z.record(z.string(), z.unknown()) }),
    'SELECT data FROM lethe_control.events WHERE type = $1 ORDER BY id',
    [type],
  )
  return rows.map(({ data }) => data)
}

/** As staff write it down before they know who asks. */
async function askUnknown(person: number) {
  const asked: Asked = {
    subject: 'person',
    who: { key: [String(person)] },
    kind: 'article-17',
    requester: 'subject',
    immediate: false,
  }
  const key = [String(person)]
  const signed = await house.sign(askedStatement(house.context, asked, key, 'ticket 8'), 'desk')
  return requestErasure(house.context, asked, key, signed)
}

/** As a sweep hands over: by its policy, at once. */
async function sweep(person: number) {
  const [made] = await house.control.transaction((tx) =>
    createRequests(
      tx,
      house.context.keystore,
      [
        {
          subjectKind: 'person',
          store: 'app',
          key: [String(person)],
          kind: 'retention',
          ground: 'policy:closed',
          requester: 'policy',
          actor: 'policy:closed',
          origin: 'sweep',
          grace: '0',
          identity: { method: 'policy', by: 'cto' },
          instruction: null,
        },
      ],
      { ceiling: 50, slowest: '0', keep: '90 days' },
    ),
  )
  return made
}

describe('an Art. 17 request joins an account closure', () => {
  test('that waits out its grace: it is an Art. 17 request now, goes at once, and the record says so', async () => {
    const id = await inGrace()
    const before = await house.request(id)
    expect(await house.ask(1)).toMatchObject({
      id,
      joined: true,
      became: 'raised',
      was: { kind: 'account-closure', hasGrace: true, graceUntil: before.graceUntil },
    })
    expect(await house.request(id)).toMatchObject({
      kind: 'article-17',
      ground: 'art-17-1',
      requester: 'subject',
      hasGrace: false,
      cancelHash: null,
    })
    expect(await events('request.raised')).toEqual([
      { from: 'account-closure', graceBefore: true, origin: 'command-line', request: id, to: 'article-17' },
    ])
    await house.work()
    expect(await house.left(1)).toEqual(gone)
    expect((await requestStatus(house.context, id)).askings).toMatchObject([
      { id, kind: 'account-closure', raised: false },
      { kind: 'article-17', raised: true, actor: 'desk' },
    ])
  })

  test('and the cancel of the closure is refused, in the same page of the intake too', async () => {
    const id = await house.askSql(1, closure)
    const other = await house.askSql(1)
    await call('lethe.cancel_erasure($1)', [id])
    expect(await takeIntake(house.context, 'app')).toMatchObject({ requests: 1, joined: 1, refused: 1 })
    expect(await refusals()).toEqual(['E_ILLEGAL_TRANSITION'])
    expect(await house.request(id)).toMatchObject({ state: 'received', kind: 'article-17' })
    await call('lethe.cancel_erasure($1)', [other])
    expect(await takeIntake(house.context, 'app')).toMatchObject({ cancelled: 1 })
    expect(await house.request(id)).toMatchObject({ state: 'cancelled' })
  })

  test('that was taken back before it: it is a request of its own, in the same page too', async () => {
    const id = await house.askSql(1, closure)
    await call('lethe.cancel_erasure($1)', [id])
    const other = await house.askSql(1)
    expect(await takeIntake(house.context, 'app')).toMatchObject({ requests: 2, joined: 0, cancelled: 1 })
    expect(await house.request(id)).toMatchObject({ state: 'cancelled', kind: 'account-closure' })
    expect(await house.request(other)).toMatchObject({ state: 'received', kind: 'article-17' })
  })

  test('and is told of by words that name what is stronger, and staff take all of it back', async () => {
    const id = await inGrace()
    await house.control.execute(
      `UPDATE lethe_control.erasure_requests SET next_at = 'infinity' WHERE id = $1`,
      [id],
    )
    await house.ask(1)
    const as = { actor: 'app:x', method: 'sql' }
    const refused = cancelRequest(house.context, id, as, id)
    await expect(refused).rejects.toMatchObject({ code: 'E_ILLEGAL_TRANSITION' })
    await expect(refused).rejects.toThrow(/was an account closure;.*is an Art. 17 request/u)
    await cancelRequest(house.context, id, await house.by('erasure.cancel', id))
    expect(await house.request(id)).toMatchObject({ state: 'cancelled' })
  })

  test.each(['received', 'confirmed', 'assessed', 'access-cut', 'planned', 'on-hold', 'needs-attention'])(
    'in state %s, and what it waits for stays what it waits for',
    async (state) => {
      const { id } = await house.ask(1, closed)
      const aside = state === 'on-hold' || state === 'needs-attention'
      await house.control.execute(
        `UPDATE lethe_control.erasure_requests SET state = $2, resume_state = $3, waiting_for = 'x', next_at = 'infinity' WHERE id = $1`,
        [id, state, aside ? 'grace' : null],
      )
      await house.ask(1)
      const raised = await house.request(id)
      expect(raised).toMatchObject({ state, kind: 'article-17', hasGrace: false })
      expect(raised.nextAt === null).toBe(aside)
      expect(raised.waitingFor).toBe(aside ? 'x' : null)
    },
  )

  test('that is being carried through: its answer is one to an Art. 17 request', async () => {
    const { id } = await house.ask(1, { ...closed, immediate: true })
    await house.control.execute(`UPDATE lethe_control.erasure_requests SET state = 'erasing' WHERE id = $1`, [
      id,
    ])
    const { nextAt } = await house.request(id)
    await house.ask(1)
    expect(await house.request(id)).toMatchObject({ state: 'erasing', kind: 'article-17', nextAt })
  })

  test('whose month is longer: the earlier one counts, without the extension', async () => {
    const id = await inGrace()
    await house.control.execute(
      `UPDATE lethe_control.erasure_requests SET due_at = clock_from + interval '3 months', extended_at = now(), warned = '{10}' WHERE id = $1`,
      [id],
    )
    await house.ask(1)
    const { dueAt, clockFrom, extendedAt, warned } = await house.request(id)
    expect(dueAt.getTime() - clockFrom.getTime()).toBeLessThan(32 * 86_400_000)
    expect([extendedAt, warned]).toEqual([null, []])
  })

  test('that ends at that moment: it is a request of its own', async () => {
    const { id } = await house.ask(1, closed)
    let joined: Promise<{ id: string }> | undefined
    await house.control.transaction(async (tx) => {
      await moveRequests(tx, 'cancel', [id], { actor: 'test' })
      joined = house.ask(1)
      // until it waits for the row
      for (;;) {
        const [row] = await house.control.query(
          z.object({ waits: z.boolean() }),
          `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
             AND query LIKE 'WITH given AS%' AND pid <> pg_backend_pid()) AS waits`,
        )
        if (row?.waits === true) break
      }
    })
    expect((await joined)?.id).not.toBe(id)
  })
})

describe('somebody whose identity nobody knows', () => {
  test('does not hurry who was promised a grace; confirmed, they do', async () => {
    const id = await inGrace()
    const other = await house.askSql(1, `kind => 'article-17'`)
    await house.work()
    expect(await house.request(id)).toMatchObject({ state: 'grace', kind: 'account-closure' })
    expect((await requestStatus(house.context, id)).next).toContain(
      'by an Art. 17 request, which waits for an identity',
    )
    // the closure's own confirmation is no word for the other
    await call(`lethe.confirm_erasure($1, 'signed-in-session')`, [id])
    await takeIntake(house.context, 'app')
    expect(await house.request(id)).toMatchObject({ kind: 'account-closure' })
    await call(`lethe.confirm_erasure($1, 'staff-check')`, [other])
    await takeIntake(house.context, 'app')
    expect(await house.request(id)).toMatchObject({
      kind: 'article-17',
      hasGrace: false,
      identityMethod: 'staff-check',
    })
    await house.later()
    expect(await house.left(1)).toEqual(gone)
  })

  test('is confirmed by staff on the request itself', async () => {
    const id = await inGrace()
    expect(await askUnknown(1)).toMatchObject({ id, became: 'waits' })
    const by = await house.by('erasure.confirm', id, { method: 'staff-check' })
    await confirmRequest(house.context, id, 'staff-check', by)
    expect(await house.request(id)).toMatchObject({ kind: 'article-17', hasGrace: false })
  })

  test('makes it stronger where nobody is known yet; whoever is confirmed confirms it', async () => {
    const id = await house.askSql(1, `kind => 'account-closure'`)
    await house.askSql(1, `kind => 'article-17'`)
    await takeIntake(house.context, 'app')
    expect(await house.request(id)).toMatchObject({ kind: 'article-17', identityMethod: null })
    await house.askSql(1, closure)
    await house.work()
    expect(await house.left(1)).toEqual(gone)
  })
})

describe('what is weaker', () => {
  test('joins an Art. 17 request and changes nothing, and its cancel takes nothing back', async () => {
    const { id } = await house.ask(1)
    const other = await house.askSql(1, closure)
    await call('lethe.cancel_erasure($1)', [other])
    expect(await takeIntake(house.context, 'app')).toMatchObject({ joined: 1, refused: 1, cancelled: 0 })
    expect(await house.request(id)).toMatchObject({ state: 'received', kind: 'article-17' })
  })

  test('a policy does not end the grace of a closure', async () => {
    const id = await inGrace()
    expect(await sweep(1)).toMatchObject({ id, became: 'as-is' })
    expect(await house.request(id)).toMatchObject({ state: 'grace', hasGrace: true })
  })

  test('a closure of a person whom a policy hands over keeps its grace, and is answered', async () => {
    const made = await sweep(1)
    expect(await house.ask(1, closed)).toMatchObject({ id: made?.id, became: 'raised' })
    expect(await house.request(made?.id ?? '')).toMatchObject({
      kind: 'account-closure',
      hasGrace: true,
      requester: 'subject',
    })
  })
})

test('A closure without grace ends the grace of one that has one.', async () => {
  const id = await inGrace()
  expect(await house.ask(1, { ...closed, immediate: true })).toMatchObject({ id, became: 'raised' })
  await call('lethe.cancel_erasure($1)', [id])
  expect(await takeIntake(house.context, 'app')).toMatchObject({ refused: 1 })
  await house.work()
  expect(await house.left(1)).toEqual(gone)
})

test('An instruction that the second one brings counts for the first.', async () => {
  await house.configure({ erasure: { role: 'processor' } })
  const { id } = await house.ask(1)
  await house.work()
  expect(await house.request(id)).toMatchObject({ state: 'referred' })
  await house.ask(1, { instruction: 'DPA-8' })
  await house.work()
  expect(await house.left(1)).toEqual(gone)
})

test('Raising counts for the ceiling: what goes beyond it waits for somebody else.', async () => {
  await house.people(3)
  const [first, second] = [await inGrace(1), await inGrace(2)]
  await house.configure({ erasure: { ceiling: 1 } })
  await house.ask(1)
  expect(await house.ask(2)).toMatchObject({ id: second, became: 'raised', overCeiling: true })
  await house.later()
  expect(await house.left(1)).toEqual(gone)
  expect(await house.request(first)).toMatchObject({ overCeiling: false })
  expect(await house.request(second)).toMatchObject({ state: 'grace', waitingFor: 'ceiling', nextAt: null })
  expect(await house.ask(3)).toMatchObject({ joined: false, overCeiling: true })
  expect((await requestStatus(house.context, second)).next).toContain('lethe erasure approve')
  const own = await house.by('erasure.approve', second, {}, 'clerk')
  await approveRequest(house.context, second, own)
  await house.work()
  expect(await house.left(2)).toEqual(gone)
})

test('A row that joined and is looked at again, since the mark was lost, joins nothing new.', async () => {
  const { id } = await house.ask(1, closed)
  const other = await house.askSql(1, closure)
  await call('lethe.cancel_erasure($1)', [other])
  await takeIntake(house.context, 'app')
  expect(await house.request(id)).toMatchObject({ state: 'cancelled' })
  await house.app.execute(`UPDATE lethe.intake SET taken_at = NULL, root_key = ARRAY['1'] WHERE id = $1`, [
    other,
  ])
  await takeIntake(house.context, 'app')
  const [row] = await house.control.query(
    z.object({ n: z.coerce.number() }),
    'SELECT count(*) AS n FROM lethe_control.erasure_requests',
  )
  expect(row?.n).toBe(1)
})
