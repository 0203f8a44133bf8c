/** What applications ask for by SQL: nothing of it is lost, joined or refused without a trace. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  askedStatement,
  cancelRequest,
  ensureCascade,
  requestErasure,
  requestStatement,
  takeIntake,
  type Asked,
} from '../../../../jobs/erasure/index.ts'
import { getRequest, listRequests } from '../../../../lib/record/requests/index.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'

let house: RetentionHouse
beforeAll(async () => {
  house = await openRetentionHouse()
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.empty()
  await house.app.execute(`INSERT INTO people (id, email) SELECT id, 'p' || id FROM generate_series(1, 3) id`)
})

async function call(text: string, values: readonly unknown[] = []): Promise<string> {
  const [row] = await house.app.query(z.object({ id: z.string() }), `SELECT ${text}::text AS id`, values)
  return row?.id ?? ''
}

async function intake(id: string) {
  const schema = z.object({
    taken: z.boolean(),
    key: z.array(z.string()).nullable(),
    refused: z.string().nullable(),
  })
  const [row] = await house.app.query(
    schema,
    `SELECT taken_at IS NOT NULL AS taken, root_key AS key, data ->> 'refused' AS refused FROM lethe.intake WHERE id = $1`,
    [id],
  )
  return row
}

/** What is tried again later is tried now. */
const due = () =>
  house.app.execute('UPDATE lethe.intake SET next_at = clock_timestamp() WHERE taken_at IS NULL')

async function askAsStaff(): Promise<string> {
  const asked: Asked = {
    subject: 'person',
    who: { key: ['1'] },
    kind: 'account-closure',
    requester: 'staff',
    immediate: false,
    identity: 'staff-check',
  }
  const statement = askedStatement(house.context, asked, ['1'], 'ticket 7')
  return (await requestErasure(house.context, asked, ['1'], await house.sign(statement, 'desk'))).id
}

describe('a row of the intake', () => {
  test('stays, with its key, where the house could not look at it, and is taken once it can', async () => {
    const id = await call(`lethe.request_erasure('person', ARRAY['1'], identity => 'signed-in-session')`)
    await house.app.execute('ALTER TABLE people RENAME TO humans')
    try {
      expect(await takeIntake(house.context, 'app')).toMatchObject({ requests: 0, refused: 0 })
      expect(await intake(id)).toEqual({ taken: false, key: ['1'], refused: null })
    } finally {
      await house.app.execute('ALTER TABLE humans RENAME TO people')
    }
    await due()
    expect(await takeIntake(house.context, 'app')).toMatchObject({ requests: 1, refused: 0 })
    expect(await intake(id)).toEqual({ taken: true, key: null, refused: null })
    expect(await getRequest(house.control, id)).toMatchObject({ state: 'received' })
  })

  test.each([
    [`lethe.request_erasure('nobody', ARRAY['1'])`, 'E_NOT_FOUND'],
    [`lethe.request_erasure('person', ARRAY['one'])`, 'E_IDENTIFIER'],
    [`lethe.request_erasure('person', ARRAY['1', '2'])`, 'E_IDENTIFIER'],
  ])('that says what can not be is refused with its code, and holds up nobody: %s', async (text, code) => {
    const id = await call(text)
    await call(`lethe.request_erasure('person', ARRAY['2'])`)
    expect(await takeIntake(house.context, 'app')).toMatchObject({ requests: 1, refused: 1 })
    expect(await intake(id)).toEqual({ taken: true, key: null, refused: code })
    expect(await listRequests(house.control)).toHaveLength(1)
  })
})

describe('a request that joined another', () => {
  test('is cancelled by the id that the application knows', async () => {
    const staff = await askAsStaff()
    const id = await call(`lethe.request_erasure('person', ARRAY['1'], identity => 'signed-in-session')`)
    expect(await takeIntake(house.context, 'app')).toMatchObject({ joined: 1 })
    await call('lethe.cancel_erasure($1)', [id])
    expect(await takeIntake(house.context, 'app')).toMatchObject({ cancelled: 1, refused: 0 })
    expect(await getRequest(house.control, staff)).toMatchObject({ state: 'cancelled' })
  })

  test('also where both come in the same turn', async () => {
    const staff = await askAsStaff()
    const id = await call(`lethe.request_erasure('person', ARRAY['1'])`)
    await call('lethe.cancel_erasure($1)', [id])
    expect(await takeIntake(house.context, 'app')).toMatchObject({ joined: 1, cancelled: 1, refused: 0 })
    expect(await getRequest(house.control, staff)).toMatchObject({ state: 'cancelled' })
  })
})

describe('a cancel', () => {
  const late = async () => {
    const id = await call(
      `lethe.request_erasure('person', ARRAY['1'], kind => 'article-17', identity => 'signed-in-session')`,
    )
    await takeIntake(house.context, 'app')
    return id
  }

  test('comes too late once a call went out, however often the leg was begun anew', async () => {
    const id = await late()
    await house.control.execute(
      `UPDATE lethe_control.erasure_requests SET state = 'needs-attention', resume_state = 'planned' WHERE id = $1`,
      [id],
    )
    await house.control.execute(
      `INSERT INTO lethe_control.erasure_legs (request_id, store, kind, state, attempt, requested_at)
       VALUES ($1, 'app', 'postgres', 'pending', 0, clock_timestamp())`,
      [id],
    )
    await expect(cancel(id)).rejects.toMatchObject({ code: 'E_ILLEGAL_TRANSITION' })
  })

  async function cancel(id: string): Promise<void> {
    const attested = await house.sign(requestStatement('erasure.cancel', id, {}, 'late'), 'desk')
    await cancelRequest(house.context, id, { attested })
  }

  test('of another store’s request is refused', async () => {
    const id = await late()
    await house.control.execute(
      `UPDATE lethe_control.erasure_requests SET store = 'elsewhere' WHERE id = $1`,
      [id],
    )
    await call('lethe.cancel_erasure($1)', [id])
    expect(await takeIntake(house.context, 'app')).toMatchObject({ cancelled: 0, refused: 1 })
    await ensureCascade(house.context, 'person')
    expect(await getRequest(house.control, id)).toMatchObject({ state: 'received' })
  })
})
