/** Classes of records that stay: by decision of a person, in the plan of that request alone. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  assessRequest,
  ensureCascade,
  requestStatement,
  requestStatus,
  takeIntake,
} from '../../../../jobs/erasure/index.ts'
import { decisionsOf, getRequest } from '../../../../lib/record/requests/index.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'

let house: RetentionHouse
beforeAll(async () => {
  house = await openRetentionHouse()
  // a reply makes the map unfit as soon as messages stay: its edge says nothing for that
  await house.app.execute('ALTER TABLE messages ADD COLUMN reply_to bigint REFERENCES messages')
  await house.app.execute('CREATE INDEX ON messages (reply_to)')
})
afterAll(() => house.close())
beforeEach(async () => {
  await house.empty()
  await configure()
  await house.app.execute(`INSERT INTO people (id, email) SELECT id, 'p' || id FROM generate_series(1, 2) id`)
  await house.app.execute(
    'INSERT INTO messages (id, person_id, sent_at) SELECT id, id, now() FROM generate_series(1, 2) id',
  )
})

async function configure(more: Record<string, unknown> = {}): Promise<void> {
  const { tables } = house.context.config.file
  await house.configure({
    ...more,
    tables: {
      app: {
        ...tables['app'],
        'public.messages': {
          ...tables['app']?.['public.messages'],
          columns: { none: ['id', 'person_id', 'sent_at', 'reply_to'] },
          class: 'correspondence',
        },
      },
    },
    erasure: {
      classes: {
        correspondence: {
          decision: 'ask',
          ground: 'claims under way',
          until: `t.sent_at + interval '3 years'`,
        },
      },
    },
  })
}

async function ask(key: number): Promise<string> {
  const [row] = await house.app.query(
    z.object({ id: z.string() }),
    `SELECT lethe.request_erasure('person', ARRAY[$1], kind => 'article-17', identity => 'signed-in-session') AS id`,
    [String(key)],
  )
  await takeIntake(house.context, 'app')
  return row?.id ?? ''
}

async function work(): Promise<void> {
  await ensureCascade(house.context, 'person')
  await house.work()
}

async function assess(id: string, decision: 'erase' | 'retain'): Promise<void> {
  const signed = requestStatement('erasure.assess', id, { correspondence: decision }, 'claim 12')
  const by = { attested: await house.sign(signed, 'clerk') }
  await assessRequest(house.context, id, { correspondence: decision }, by)
}

test('one whose class does not fit the map needs a person, and holds up nobody else', async () => {
  const kept = await ask(1)
  const gone = await ask(2)
  await work()
  expect(await getRequest(house.control, kept)).toMatchObject({
    state: 'confirmed',
    waitingFor: 'assessment',
  })
  await assess(kept, 'retain')
  await assess(gone, 'erase')
  await work()
  expect(await getRequest(house.control, gone)).toMatchObject({ state: 'completed' })
  const status = await requestStatus(house.context, kept)
  expect(status.request).toMatchObject({ state: 'needs-attention', waitingFor: 'map-findings' })
  expect(status.next).toContain('lethe doctor')
  expect(await house.ids('messages')).toEqual([1])
})

describe('what a person is said to have decided about classes', () => {
  const forgeries: [string, (id: string, hash: string) => string[]][] = [
    [
      'by a row alone',
      (id) => [
        `UPDATE lethe_control.erasure_requests SET retained_classes = '{}', state = 'assessed', next_at = now() WHERE id = '${id}'`,
      ],
    ],
    [
      'on the statement of another request',
      (id, hash) => [
        `UPDATE lethe_control.erasure_requests SET retained_classes = '{}', state = 'assessed', next_at = now() WHERE id = '${id}'`,
        `DROP INDEX lethe_control.erasure_decisions_statement`,
        `INSERT INTO lethe_control.erasure_decisions (request_id, verb, data, actor, method, statement_hash)
         VALUES ('${id}', 'assess', '{"correspondence": "erase"}', 'clerk', 'ssh', decode('${hash}', 'hex'))`,
        `CREATE INDEX erasure_decisions_statement ON lethe_control.erasure_decisions (statement_hash)`,
      ],
    ],
  ]
  test.each(forgeries)('%s erases nothing, and holds up nobody else', async (_how, sql) => {
    const forged = await ask(1)
    const gone = await ask(2)
    await work()
    await assess(gone, 'erase')
    const [decided] = await decisionsOf(house.control, [gone]).then((all) =>
      all.filter(({ verb }) => verb === 'assess'),
    )
    for (const text of sql(forged, decided?.statement ?? '')) await house.control.execute(text)
    await work()
    expect(await getRequest(house.control, gone)).toMatchObject({ state: 'completed' })
    const status = await requestStatus(house.context, forged)
    expect(status.request).toMatchObject({ state: 'needs-attention', waitingFor: 'unverified-assessment' })
    expect(status.next).toContain('lethe erasure cancel')
    expect(await house.ids('messages')).toEqual([1])
  })

  test('no longer counts once somebody changes what stays', async () => {
    const id = await ask(1)
    await work()
    await assess(id, 'retain')
    await house.control.execute(
      `UPDATE lethe_control.erasure_requests SET retained_classes = '{}' WHERE id = '${id}'`,
    )
    await work()
    expect(await getRequest(house.control, id)).toMatchObject({ waitingFor: 'unverified-assessment' })
    expect(await house.ids('messages')).toEqual([1, 2])
  })

  test('no longer counts once that person may not decide it', async () => {
    const id = await ask(1)
    await work()
    await assess(id, 'erase')
    const { identities } = house.context.config.file
    await configure({ identities: { ...identities, clerk: { ...identities['clerk'], roles: ['auditor'] } } })
    await work()
    expect(await getRequest(house.control, id)).toMatchObject({ waitingFor: 'unverified-assessment' })
    expect(await house.ids('messages')).toEqual([1, 2])
  })
})
