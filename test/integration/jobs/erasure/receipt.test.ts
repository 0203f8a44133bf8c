/** What a receipt says of a store that lied, of rows that stay, of what only was declared, and of the ledger's bucket. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  askedStatement,
  requestErasure,
  requestStatus,
  resolveSubject,
  type Asked,
} from '../../../../jobs/erasure/index.ts'
import { describeReceipt, type Receipt } from '../../../../lib/record/receipt/index.ts'
import { carryOnLater, receiptOf } from '../../../support/stages/requests.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'
import { startWebhookProcessor, type WebhookProcessor } from '../../../support/vendors/webhook-processor.ts'

let house: RetentionHouse
let letters: WebhookProcessor
beforeAll(async () => {
  letters = await startWebhookProcessor()
  house = await openRetentionHouse({ LETTERS_URL: letters.url, LETTERS_SECRET: letters.secret })
  const { app = {} } = house.context.config.file.tables
  await house.app.execute('ALTER TABLE records ADD COLUMN phone text')
  await house.app.execute(
    `CREATE TABLE notes (id bigint PRIMARY KEY, person_id bigint NOT NULL REFERENCES people, answers bigint REFERENCES notes)`,
  )
  await house.app.execute('CREATE INDEX ON notes (person_id); CREATE INDEX ON notes (answers)')
  await house.configure({
    stores: {
      app: { kind: 'postgres', url: 'env:APP_URL' },
      letters: {
        kind: 'webhook',
        url: 'env:LETTERS_URL',
        secret: 'env:LETTERS_SECRET',
        sends: ['email'],
        places: ['letters'],
        location: 'Leeds, ask dpo@example.org',
        side_effects: ['a page\nis printed'],
        allow_private: true,
      },
      archive: {
        kind: 'declared',
        owner: 'head of support',
        holds: 'call recordings',
        gone_after: '30 days',
      },
    },
    subjects: {
      person: {
        store: 'app',
        root: 'public.people',
        contact: 'root.email',
        identifiers: { email: { sql: 'root.email', unique: true } },
        access: { delete: [{ table: 'public.loose', where: 't.person_id = root.id' }] },
        other_stores: ['letters', 'archive'],
      },
    },
    tables: {
      app: {
        ...app,
        'public.people': { ...app['public.people'], pseudonymise: { email: { set: null } } },
        'public.records': {
          columns: { none: ['id', 'person_id', 'keep_until'], contact: ['phone'] },
          edges: [{ kind: 'owned', to: 'public.people', columns: ['person_id'] }],
          action: 'retain',
          retain: { ground: 'The records act, ten years', until: 't.keep_until' },
          pseudonymise: { phone: { set: null } },
        },
        // a note goes with its person; another's that answers it stays, and answers nothing
        'public.notes': {
          columns: { none: ['id', 'person_id', 'answers'] },
          edges: [
            { kind: 'owned', to: 'public.people', columns: ['person_id'] },
            { kind: 'reference', to: 'public.notes', columns: ['answers'], then: 'null' },
          ],
          action: 'delete',
        },
      },
    },
  })
  await house.app.execute(
    `INSERT INTO people (id, email) VALUES (1, 'p1@example.org'), (2, 'p2@example.org')`,
  )
  await house.app.execute(
    `INSERT INTO records (id, person_id, keep_until, phone)
     VALUES (10, 1, '2999-01-01', '1'), (11, 1, '2999-01-01', '2'), (12, 1, '2000-01-01', '3')`,
  )
  // of the three that answer one of person 1, two are their own and go
  await house.app.execute(
    `INSERT INTO notes VALUES (1, 1, NULL), (2, 1, 1), (3, 1, 2), (4, 2, 1), (5, 2, NULL), (6, 2, 5)`,
  )
  await house.app.execute(`INSERT INTO loose VALUES ('a session', 1), ('another', 1), ('of 2', 2)`)
})
afterAll(async () => {
  await house.close()
  await letters.close()
})

/** Of a request that is carried through, the letters' lie included. */
async function receiptFor(value: string, ground: string | null): Promise<Receipt> {
  const asked: Asked = {
    subject: 'person',
    who: { identifier: 'email', value },
    kind: 'article-17',
    requester: 'subject',
    immediate: false,
    identity: 'staff-check',
    ...(ground === null ? {} : { ground }),
  }
  const key = await resolveSubject(house.context, asked)
  const by = await house.sign(askedStatement(house.context, asked, key, 'ticket 7'), 'desk')
  const { id } = await requestErasure(house.context, asked, key, by)
  await house.work()
  letters.lied.clear()
  await carryOnLater(house)
  return receiptOf(house, id)
}

test('is issued whatever the map and the asker wrote, and names nobody', async () => {
  await house.app.execute(`INSERT INTO people (id, email) VALUES (9, 'p9@example.org')`)
  const receipt = await receiptFor('p9@example.org', 'a letter\nof p9@example.org')
  expect(receipt.ground).toBe('a letter of [address]')
  expect(receipt.legs.find(({ store }) => store === 'letters')).toMatchObject({
    location: 'Leeds, ask [address]',
    sideEffects: expect.arrayContaining(['a page is printed']),
  })
})

test('counts what went, not what a lie said; names the ground that the map names; claims no bucket that is not there', async () => {
  letters.letters.set('p1@example.org', 3)
  letters.lied.add('p1@example.org')
  const receipt = await receiptFor('p1@example.org', null)
  expect(receipt.legs.find(({ store }) => store === 'letters')?.counts).toEqual({ letters: 3 })
  const app = receipt.legs.find(({ store }) => store === 'app')
  expect(app?.retained).toMatchObject([
    { place: 'public.people', ground: 'The records act, ten years' },
    { place: 'public.records', ground: 'The records act, ten years' },
  ])
  expect(receipt.ledger.objects).toBe(0)

  // what stays is never called erased, and each row stands once
  expect(app).toMatchObject({
    counts: { 'public.records': 1, 'public.notes': 3 },
    pseudonymised: { 'public.people': 1, 'public.records': 2 },
    detached: { 'public.notes': 1 },
  })
  expect(receipt.accessEnded).toEqual([{ store: 'app', counts: { 'public.loose': 2 }, sharedWith: 1 }])

  const archive = receipt.legs.find(({ store }) => store === 'archive')
  expect(archive).toMatchObject({
    state: 'declared',
    declaredBy: 'head of support',
    requested: null,
    accepted: null,
    verified: null,
    counts: {},
    retained: [{ place: 'call recordings' }],
  })
  const text = describeReceipt(receipt)
  for (const line of [
    'app, public.records: 1 item\n',
    'Kept, and no longer naming the person\n  app, public.people: 1 item\n  app, public.records: 2 items',
    'Kept, with the link to the person cut\n  app, public.notes: 1 item',
    'Ended when access was cut\n  app, public.loose: 2 items',
    'archive (declared): declared: nothing is called there\n    answered for by  head of support',
  ])
    expect(text).toContain(line)

  const { request, legs } = await requestStatus(house.context, receipt.request)
  expect(request.accessEnded).toEqual({ app: { counts: { 'public.loose': 2 }, shared: 1 } })
  expect(legs.find(({ store }) => store === 'archive')).toMatchObject({ acceptedAt: null, verifiedAt: null })
  expect(legs.find(({ store }) => store === 'app')?.lines).toContain(
    '2 in public.records kept, no longer naming the person',
  )
})
