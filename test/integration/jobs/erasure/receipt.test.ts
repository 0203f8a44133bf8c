/** What a receipt says of a store that lied, of rows that stay, and of the ledger's bucket. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { askedStatement, requestErasure, resolveSubject, type Asked } from '../../../../jobs/erasure/index.ts'
import type { Receipt } from '../../../../lib/receipt/index.ts'
import { carryOnLater, receiptOf } from '../../../support/requests.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/retention-house.ts'
import { startWebhookProcessor, type WebhookProcessor } from '../../../support/webhook-processor.ts'

let house: RetentionHouse
let letters: WebhookProcessor
beforeAll(async () => {
  letters = await startWebhookProcessor()
  house = await openRetentionHouse({ LETTERS_URL: letters.url, LETTERS_SECRET: letters.secret })
  const { app = {} } = house.context.config.file.tables
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
    },
    subjects: {
      person: {
        store: 'app',
        root: 'public.people',
        contact: 'root.email',
        identifiers: { email: { sql: 'root.email', unique: true } },
        other_stores: ['letters'],
      },
    },
    tables: {
      app: {
        ...app,
        'public.people': { ...app['public.people'], pseudonymise: { email: { set: null } } },
        'public.records': {
          columns: { none: ['id', 'person_id', 'keep_until'] },
          edges: [{ kind: 'owned', to: 'public.people', columns: ['person_id'] }],
          action: 'retain',
          retain: { ground: 'The records act, ten years', until: 't.keep_until' },
        },
      },
    },
  })
  await house.app.execute(`INSERT INTO people (id, email) VALUES (1, 'p1@example.org')`)
  await house.app.execute(`INSERT INTO records VALUES (10, 1, '2999-01-01')`)
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
  await house.app.execute(`INSERT INTO people (id, email) VALUES (2, 'p2@example.org')`)
  const receipt = await receiptFor('p2@example.org', 'a letter\nof p2@example.org')
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
  expect(receipt.legs.find(({ store }) => store === 'app')?.retained).toMatchObject([
    { place: 'public.people', ground: 'The records act, ten years' },
    { place: 'public.records', ground: 'The records act, ten years' },
  ])
  expect(receipt.ledger.objects).toBe(0)
})
