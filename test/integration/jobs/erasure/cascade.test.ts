import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  askedStatement,
  ensureCascade,
  readReceipt,
  requestStatement,
  requestStatus,
  retryLeg,
  requestErasure,
  resolveSubject,
  type Asked,
} from '../../../../jobs/erasure/index.ts'
import { logKeys, verifierKeys } from '../../../../lib/record/evidence/index.ts'
import { verifyReceipt } from '../../../../lib/record/receipt/index.ts'
import { getRequest, legsOf } from '../../../../lib/record/requests/index.ts'
import { startHook, type Hook } from '../../../support/stages/hook.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'

let house: RetentionHouse
let hook: Hook
beforeAll(async () => {
  hook = await startHook()
  house = await openRetentionHouse({
    HOOK_URL: hook.url,
    HOOK_SECRET: Buffer.alloc(32, 7).toString('base64'),
  })
})
afterAll(async () => {
  await house.close()
  await hook.close()
})
const subject = {
  store: 'app',
  root: 'public.people',
  tenant: 'tenant',
  contact: 'root.email',
  identifiers: { email: { sql: 'root.email', unique: true } },
  access: { set: [{ table: 'public.people', where: 't.id = root.id', columns: { keep: true } }] },
}
beforeEach(async () => {
  await house.empty()
  await house.configure({ subjects: { person: subject } })
  await house.app.execute(
    `INSERT INTO people (id, tenant, email) SELECT id, id, 'p' || id || '@example.org' FROM generate_series(1, 3) id`,
  )
  await house.app.execute('INSERT INTO visits SELECT id * 10, id FROM generate_series(1, 3) id')
})

const asked: Asked = {
  subject: 'person',
  who: { identifier: 'email', value: 'p2@example.org' },
  kind: 'article-17',
  requester: 'subject',
  immediate: false,
  identity: 'staff-check',
}

async function ask(given: Partial<Asked> = {}) {
  const whole = { ...asked, ...given }
  const key = await resolveSubject(house.context, whole)
  const by = await house.sign(askedStatement(house.context, whole, key, 'ticket 7'), 'desk')
  return requestErasure(house.context, whole, key, by)
}

describe('a request by email', () => {
  test('is carried out in the own store, and the others stay', async () => {
    const { id } = await ask()
    await house.work()
    expect(await getRequest(house.control, id)).toMatchObject({ state: 'completed', sealed: null })
    expect(await legsOf(house.control, [id])).toMatchObject([
      { store: 'app', state: 'verified' },
      { store: 'app:free-text', state: 'verified' },
    ])
    expect(await house.ids('people')).toEqual([1, 3])
    expect(await house.ids('visits')).toEqual([10, 30])
    const keys = verifierKeys(logKeys('lethe', house.context.keystore, null))
    expect(verifyReceipt(await readReceipt(house.context, id), keys).receipt).toMatchObject({
      request: id,
      outcome: 'completed',
      legs: [
        { store: 'app', state: 'verified', counts: { 'public.people': 1, 'public.visits': 1 } },
        { store: 'app:free-text', state: 'verified' },
      ],
    })
  })

  test('waits for a person where an identifier stands in a text about somebody else, and ends once that is settled', async () => {
    await house.app.execute(
      `INSERT INTO loose VALUES ('ask P2@example.org (again)', 1), ('ask p22@example.org', 1)`,
    )
    const { id } = await ask()
    await house.work()
    expect(await house.ids('people')).toEqual([1, 3])
    const status = await requestStatus(house.context, id)
    expect(status.request).toMatchObject({ state: 'needs-attention' })
    expect(status.legs.find(({ kind }) => kind === 'search')).toMatchObject({
      state: 'failed',
      remains: { 'public.loose.note': 1 },
      nextAt: null,
    })
    await house.app.execute(`DELETE FROM loose WHERE note LIKE '%again%'`)
    const retry = requestStatement('erasure.retry', id, {}, 'text mended')
    await retryLeg(house.context, id, 'app:free-text', { attested: await house.sign(retry, 'desk') })
    await ensureCascade(house.context, 'person')
    await house.work()
    expect(await getRequest(house.control, id)).toMatchObject({ state: 'completed' })
  })
})

describe('an application', () => {
  test('asks inside its own transaction', async () => {
    const rows = await house.app.query(
      z.object({ id: z.string() }),
      `SELECT lethe.request_erasure('person', ARRAY['1'], kind => 'article-17', identity => 'signed-in-session') AS id`,
    )
    await ensureCascade(house.context, 'person')
    await house.work()
    expect(await getRequest(house.control, rows[0]?.id ?? '')).toMatchObject({
      state: 'completed',
      origin: 'sql',
    })
    expect(await house.ids('people')).toEqual([2, 3])
  })

  test('is not forgotten while the map does not fit the database', async () => {
    const [row] = await house.app.query(
      z.object({ id: z.string() }),
      `SELECT lethe.request_erasure('person', ARRAY['1'], kind => 'article-17', identity => 'signed-in-session') AS id`,
    )
    await house.app.execute(
      'CREATE TABLE unknown (id bigint PRIMARY KEY, person_id bigint REFERENCES people)',
    )
    await ensureCascade(house.context, 'person')
    await house.work()
    await house.app.execute('DROP TABLE unknown')
    await house.configure({ subjects: { person: subject } })
    await house.app.execute('UPDATE lethe.intake SET next_at = clock_timestamp()')
    await ensureCascade(house.context, 'person')
    await house.work()
    expect(await getRequest(house.control, row?.id ?? '')).toMatchObject({ state: 'completed' })
    expect(await house.ids('people')).toEqual([2, 3])
  })

  test('whose key is none holds up nobody else', async () => {
    const rows = await house.app.query(
      z.object({ id: z.string() }),
      `SELECT lethe.request_erasure('person', ARRAY[k], kind => 'article-17', identity => 'signed-in-session') AS id
       FROM unnest(ARRAY['001', 'nobody', '2']) AS k`,
    )
    await ensureCascade(house.context, 'person')
    await house.work()
    const [first, none, last] = rows.map(({ id }) => id)
    for (const id of [first, last])
      expect(await getRequest(house.control, id ?? '')).toMatchObject({ state: 'completed' })
    await expect(getRequest(house.control, none ?? '')).rejects.toMatchObject({ code: 'E_NOT_FOUND' })
    expect(await house.ids('people')).toEqual([3])
  })
})

describe('the person', () => {
  beforeEach(async () => {
    hook.told.length = 0
    await house.configure({
      subjects: { person: subject },
      erasure: { links: { confirm: 'https://app.example/confirm?r={request}&t={token}' } },
      notifications: {
        channel: 'webhook',
        webhook: { url: 'env:HOOK_URL', secret: 'env:HOOK_SECRET' },
      },
    })
  })

  test('is told that it came in, confirms by the link that was sent, once, and is told what was done', async () => {
    const rows = await house.app.query(
      z.object({ id: z.string() }),
      `SELECT lethe.request_erasure('person', ARRAY['3'], kind => 'article-17') AS id`,
    )
    const id = rows[0]?.id ?? ''
    const go = async () => {
      await ensureCascade(house.context, 'person')
      await house.work()
      return (await getRequest(house.control, id)).state
    }
    expect(await go()).toBe('received')
    expect(hook.told.map(({ type, to }) => [type, to])).toEqual([
      ['erasure.acknowledgement', 'p3@example.org'],
      ['erasure.confirm', 'p3@example.org'],
    ])
    const token = /[?&]t=([\w-]+)/.exec(hook.told[1]?.body ?? '')?.[1] ?? ''
    const confirm = async (given: string) => {
      await house.app.query(z.any(), `SELECT lethe.confirm_erasure($1, 'emailed-link', $2)`, [id, given])
      return go()
    }
    expect(await confirm('guessed')).toBe('received')
    expect(await confirm(token)).toBe('completed')
    expect(hook.told.at(-1)).toMatchObject({ type: 'erasure.completion', to: 'p3@example.org' })
    // neither the token nor the address is kept anywhere
    const [kept] = await house.control.query(
      z.object({ sealed: z.coerce.number() }),
      `SELECT count(sealed) AS sealed FROM lethe_control.erasure_answers`,
    )
    expect(kept?.sealed).toBe(0)
    const [intake] = await house.app.query(
      z.object({ tokens: z.coerce.number() }),
      `SELECT count(*) FILTER (WHERE data ? 'token' OR root_key IS NOT NULL) AS tokens FROM lethe.intake`,
    )
    expect(intake?.tokens).toBe(0)
  })
})

test('A store that the configuration answers for is not called, and the receipt says who let that be.', async () => {
  const stripe = { kind: 'stripe', api_key: 'env:NO_SUCH_KEY', email: 'email' }
  const stores = { app: { kind: 'postgres', url: 'env:APP_URL' }, payments: stripe }
  const subjects = { person: { ...subject, other_stores: ['payments'] } }
  await house.configure({ stores, subjects })
  const { id } = await ask()
  await house.work()
  expect(await getRequest(house.control, id)).toMatchObject({
    state: 'needs-attention',
    waitingFor: 'unusable:payments',
  })
  expect(await house.ids('people')).toEqual([1, 2, 3])

  const without = { payments: 'the account is closed at the end of the month' }
  await house.configure({ stores, subjects, erasure: { without } })
  const retry = requestStatement('erasure.retry', id, {}, 'answered for')
  await retryLeg(house.context, id, null, { attested: await house.sign(retry, 'desk') })
  await ensureCascade(house.context, 'person')
  await house.work()
  expect(await getRequest(house.control, id)).toMatchObject({ state: 'completed-with-left' })
  expect(await readReceipt(house.context, id)).toContain('"acceptedBy":{"name":"configuration"')
})
