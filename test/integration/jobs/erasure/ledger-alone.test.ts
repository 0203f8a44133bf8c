/** The objects of the locked bucket, without the control database, say who is erased where and who stayed after all. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cancelRequest } from '../../../../jobs/erasure/index.ts'
import { openErasureHouse, stores, type ErasureHouse } from '../../../support/stages/erasure-house.ts'
import {
  erasedIn,
  lastWords,
  lastWordsOf,
  openLedgerBucket,
  type LedgerBucket,
} from '../../../support/stages/ledger-bucket.ts'
import { sharedS3 } from '../../../support/servers/shared.ts'

const everybody = Array.from({ length: 9 }, (_, place) => place + 1)
const policies = {
  messages: {
    table: { store: 'app', name: 'public.messages' },
    when: 'max-age',
    clock: 'root.sent_at',
    period: '1 year',
    records_class: 'Old messages',
    limits: { rows: 1_000_000, share: 1, median_multiple: 1000 },
    throttle: { max_rows: 100, lock_waiters: 1000, long_transaction_seconds: 86_400 },
  },
}
const accept = [{ finding: 'delete-trigger:app/public.messages.away', reason: 'ends its own connection' }]

let bucket: LedgerBucket
let house: ErasureHouse

beforeAll(async () => {
  bucket = await openLedgerBucket(await sharedS3())
  house = await openErasureHouse(bucket.env)
}, 120_000)
afterAll(async () => {
  await house.close()
  await bucket.close()
})

async function messages(from: number, to: number): Promise<void> {
  await house.app.execute(
    `INSERT INTO messages SELECT n, 9, now() - interval '2 years' FROM generate_series($1::int, $2::int) n`,
    [from, to],
  )
}

test('The bucket alone says the same as the ledger, whatever happened.', async () => {
  await house.empty()
  const copied = await bucket.fresh()
  await house.configure({ ...copied, policies })
  await bucket.confirm(house.context)
  await house.people(...everybody)

  // a request that is carried out
  const done = await house.ask(1)
  await house.work()
  expect(await house.request(done.id)).toMatchObject({ finishedAt: expect.any(Date) })

  // one that is cancelled after its entry, while the bucket is away; another goes on beside it
  bucket.away = true
  const [stays] = [await house.ask(2), await house.ask(3)]
  await house.work()
  await cancelRequest(house.context, stays.id, await house.by('erasure.cancel', stays.id))
  bucket.away = false
  await house.later()

  // one that is held before a place was called, and one that is released and goes on
  bucket.away = true
  const [held, released] = [await house.ask(4), await house.ask(5)]
  await house.work()
  await house.hold({ level: 'subject', subject: 'person', key: ['4'] })
  const hold = await house.hold({ level: 'subject', subject: 'person', key: ['5'] })
  bucket.away = false
  await house.later()
  expect(await house.request(held.id)).toMatchObject({ state: 'on-hold' })
  await house.release(hold.id)
  await house.later()
  expect((await house.request(released.id)).state).toMatch(/^completed/)

  // a sweep that leaves what was touched since it was approved
  await messages(1000, 1299)
  await house.arm('messages')
  const swept = await house.sweep('messages')
  await house.app.execute('UPDATE messages SET sent_at = now() WHERE id IN (1003, 1290)')
  expect(await house.decide(swept)).toMatchObject({ state: 'succeeded' })
  expect(await house.ids('messages')).toEqual([1003, 1290])

  // a sweep that is killed until it has no attempt left; the next one settles for it, and is called off
  await house.app.execute(
    `CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       IF old.id > 2100 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN old; END $$`,
  )
  await house.app.execute(
    'CREATE TRIGGER away BEFORE DELETE ON messages FOR EACH ROW EXECUTE FUNCTION away()',
  )
  await house.configure({ ...copied, policies, accept })
  await messages(2000, 2299)
  const lost = await house.decide(await house.sweep('messages'))
  expect(lost).toMatchObject({ state: 'failed' })
  await house.app.execute('DROP FUNCTION away CASCADE')
  await house.configure({ ...copied, policies })
  const next = await house.sweep('messages')
  expect(next).toMatchObject({ state: 'waiting', waitingFor: 'approval' })

  const objects = await bucket.objects()
  const words = lastWords(objects)
  expect(words).toEqual(await lastWordsOf(house.control))
  expect(new Set(words.values())).toEqual(new Set(['erase', 'void']))
  const hash = (kind: string, id: number) =>
    house.context.keystore.subjectHash('app', kind, [String(id)]).toString('hex')
  const erased = erasedIn(words)
  const ofPersons = erased.filter((one) => one.includes(' person '))
  expect(ofPersons).toEqual(
    [1, 3, 5].flatMap((id) => stores.map((store) => `${store} person ${hash('person', id)}`)).sort(),
  )
  // whatever is not there any more, and nothing that is
  const kind = erased.find((one) => !one.includes(' person '))?.split(' ')[1] ?? ''
  const left = await house.ids('messages')
  const gone = [...range(1000, 1299), ...range(2000, 2299)].filter((id) => !left.includes(id))
  expect(left.length).toBeGreaterThan(2)
  expect(erased.filter((one) => one.includes(` ${kind} `))).toEqual(
    gone.map((id) => `app ${kind} ${hash(kind, id)}`).sort(),
  )
}, 120_000)

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, place) => from + place)
}
