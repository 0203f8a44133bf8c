import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { acceptLeg, requestStatement, requestStatus } from '../../../../jobs/erasure/index.ts'
import { getRequest, legsOf } from '../../../../lib/record/requests/index.ts'
import { startHook, type Hook } from '../../../support/stages/hook.ts'
import { startRecipient, type Recipient } from '../../../support/vendors/recipient.ts'
import { askFor, carryOn, carryOnLater, receiptOf } from '../../../support/stages/requests.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'

let house: RetentionHouse
let hook: Hook
let laboratory: Recipient
beforeAll(async () => {
  ;[hook, laboratory] = await Promise.all([startHook(), startRecipient()])
  house = await openRetentionHouse({
    HOOK_URL: hook.url,
    HOOK_SECRET: Buffer.alloc(32, 7).toString('base64'),
    LABORATORY_URL: laboratory.url,
    LABORATORY_SECRET: laboratory.secret,
  })
})
afterAll(async () => {
  await house.close()
  await Promise.all([hook.close(), laboratory.close()])
})
beforeEach(async () => {
  hook.told.length = 0
  laboratory.reset()
  await house.empty()
  await house.configure({
    stores: {
      app: { kind: 'postgres', url: 'env:APP_URL' },
      laboratory: {
        kind: 'recipient',
        name_in_receipt: 'Northside Laboratory',
        url: 'env:LABORATORY_URL',
        secret: 'env:LABORATORY_SECRET',
        sends: ['email'],
        allow_private: true,
      },
    },
    subjects: {
      person: {
        store: 'app',
        root: 'public.people',
        contact: 'root.email',
        identifiers: { email: { sql: 'root.email', unique: true } },
        other_stores: ['laboratory'],
      },
    },
    notifications: { channel: 'webhook', webhook: { url: 'env:HOOK_URL', secret: 'env:HOOK_SECRET' } },
  })
  await house.app.execute(
    `INSERT INTO people (id, tenant, email) SELECT id, id, CASE WHEN id < 4 THEN 'p' || id || '@example.org' END
     FROM generate_series(1, 4) id`,
  )
})

const stateOf = async (id: string) => (await getRequest(house.control, id)).state
const legOf = async (id: string) =>
  (await legsOf(house.control, [id])).find(({ store }) => store === 'laboratory')
test('a recipient is told, and neither status, receipt nor answer says that anything was read back there', async () => {
  const [id = ''] = await askFor(house, 2)
  expect(await stateOf(id)).toBe('completed')
  expect(laboratory.notices).toMatchObject([{ kind: 'person', identifiers: { email: ['p2@example.org'] } }])
  expect(await legOf(id)).toMatchObject({ state: 'told', verifiedAt: null })
  const { legs } = await requestStatus(house.context, id)
  expect(legs.find(({ store }) => store === 'laboratory')?.words).toContain('told')
  const receipt = await receiptOf(house, id)
  expect(receipt.legs.map(({ store }) => store)).toEqual(['app', 'app:free-text'])
  expect(receipt.recipients).toEqual([{ name: 'Northside Laboratory', told: expect.any(String) }])
  expect(receipt).toMatchObject({ outcome: 'completed', ledger: { entries: 1 } })
  const told = hook.told.find(({ type }) => type === 'erasure.completion')?.body ?? ''
  expect(told).toContain('Northside Laboratory, told of the erasure on')
  expect(told).not.toContain('Your data in laboratory')
})

test('the ledger names no recipient: what is repeated after a restore is erasure', async () => {
  await askFor(house, 1)
  const scopes = await house.control.query(
    z.object({ store: z.string() }),
    `SELECT store FROM lethe_control.erasure_scopes`,
  )
  expect(scopes).toEqual([{ store: 'app' }])
})

test('a person who came back and is erased again is told of again', async () => {
  await askFor(house, 2)
  await house.app.execute(`INSERT INTO people (id, email) VALUES (2, 'p2@example.org')`)
  await askFor(house, 2)
  expect(laboratory.notices).toHaveLength(2)
  expect(new Set(laboratory.notices.map((notice) => notice.id)).size).toBe(2)
})

test('who is not known there is not told of, and the receipt does not list the recipient', async () => {
  const [id = ''] = await askFor(house, 4)
  expect(laboratory.notices).toEqual([])
  expect(await legOf(id)).toMatchObject({ state: 'not-needed' })
  expect(await receiptOf(house, id)).toMatchObject({ outcome: 'completed', recipients: [] })
})

test('a recipient that is down holds up no rows, and is told once it is back, under the same id', async () => {
  laboratory.answer = () => ({ status: 503, headers: { 'retry-after': '3600' } })
  const [id = ''] = await askFor(house, 2)
  expect(await house.ids('people')).toEqual([1, 3, 4])
  expect(await stateOf(id)).toBe('erasing')
  expect(await legOf(id)).toMatchObject({ state: 'failed', errorCode: 'E_STORE_THROTTLED', acceptedAt: null })
  laboratory.answer = undefined
  await house.control.execute(`UPDATE lethe_control.paces SET next_at = clock_timestamp()`)
  await carryOnLater(house)
  expect(await stateOf(id)).toBe('completed')
  expect(laboratory.notices.length).toBeGreaterThan(1)
  expect(new Set(laboratory.notices.map((notice) => notice.id)).size).toBe(1)
})

test('one notice that is refused holds up no other; where a person accepts that, the receipt and the answer say not told', async () => {
  laboratory.answer = ({ identifiers }) =>
    identifiers['email']?.[0] === 'p2@example.org' ? { status: 400 } : undefined
  const [one = '', refused = '', three = ''] = await askFor(house, 1, 2, 3)
  expect(await stateOf(one)).toBe('completed')
  expect(await stateOf(three)).toBe('completed')
  await carryOnLater(house)
  await carryOnLater(house)
  expect(await stateOf(refused)).toBe('needs-attention')
  const addresses = laboratory.notices.map(({ identifiers }) => String(identifiers['email']))
  expect(addresses.filter((address) => address !== 'p2@example.org').sort()).toEqual([
    'p1@example.org',
    'p3@example.org',
  ])
  const statement = requestStatement('erasure.accept', refused, {}, 'they are no more')
  await acceptLeg(house.context, refused, 'laboratory', { attested: await house.sign(statement) })
  await carryOn(house)
  expect(await receiptOf(house, refused)).toMatchObject({
    outcome: 'completed-with-left',
    recipients: [{ name: 'Northside Laboratory', told: null }],
  })
  const told = hook.told.find(({ type, to }) => type === 'erasure.completion' && to === 'p2@example.org')
  expect(told?.body).toContain('Northside Laboratory, whom we could not tell')
})
