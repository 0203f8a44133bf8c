/**
 * Two spellings that the database calls equal are one subject, whatever the key's type and wherever the key comes from (issue
 * 10, A4; cases 03 and the races E1a, E1b, E2a).
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { askedStatement, requestErasure, resolveSubject, type Asked } from '../../../jobs/erasure/index.ts'
import { loadPlan } from '../../../jobs/deletion-plan.ts'
import { newId } from '../../../lib/base/clock/index.ts'
import { heldAmong, raiseFence, runBatch, type Batch } from '../../../lib/data/rows/index.ts'
import { openScope } from '../../../lib/record/erasures/index.ts'
import { getRequest, openSecrets } from '../../../lib/record/requests/index.ts'
import { takeIntake } from '../../../jobs/erasure/cascade/intake.ts'
import { collect } from '../../../jobs/erasure/cascade/collect.ts'
import { openHouse } from '../../../jobs/erasure/cascade/house.ts'
import { createCaseless, isThere } from '../../support/servers/collations.ts'
import { openRetentionHouse, type RetentionHouse } from '../../support/stages/retention-house.ts'

interface Kind {
  type: string
  /** As it stands in the row; spelled otherwise by whoever asks; and as the application writes it later. */
  row: string
  asked: string
  later: string
  /** Somebody else. */
  other: string
}

const kinds: Record<string, Kind> = {
  citext: {
    type: 'citext',
    row: 'bob@example.org',
    asked: 'Bob@Example.org',
    later: 'BOB@EXAMPLE.ORG',
    other: 'eve@example.org',
  },
  numeric: { type: 'numeric', row: '1', asked: '1.0', later: '1.00', other: '2' },
  'numeric with a scale': { type: 'numeric(10,2)', row: '1.50', asked: '1.5', later: '1.50', other: '2' },
  'character(10)': { type: 'character(10)', row: 'ab', asked: 'ab   ', later: 'ab', other: 'abc' },
  'character(2)': { type: 'character(2)', row: 'ab', asked: 'ab  ', later: 'ab', other: 'ac' },
  'double precision': { type: 'double precision', row: '0', asked: '-0', later: '-0', other: '1e0' },
  real: { type: 'real', row: '0.5', asked: '5e-1', later: '0.50', other: '1' },
  timestamptz: {
    type: 'timestamptz',
    row: '2024-01-01 00:00:00.25+00',
    asked: '2024-01-01 01:00:00.25+01',
    later: '2023-12-31T16:00:00.25-08',
    other: '2024-01-01 01:00:00+00',
  },
  timestamp: {
    type: 'timestamp',
    row: '2024-01-01 00:00',
    asked: '2024-01-01T00:00:00.000',
    later: '2024-01-01',
    other: '2024-01-02',
  },
  date: { type: 'date', row: '2024-01-01', asked: '20240101', later: 'January 1, 2024', other: '2024-01-02' },
  interval: { type: 'interval', row: '1 month', asked: '30 days', later: '720 hours', other: '31 days' },
  bytea: { type: 'bytea', row: '\\x61', asked: 'a', later: '\\x61', other: 'b' },
  uuid: {
    type: 'uuid',
    row: '0a0b0c0d-1111-4222-8333-aabbccddeeff',
    asked: '{0A0B0C0D-1111-4222-8333-AABBCCDDEEFF}',
    later: '0a0b0c0d111142228333aabbccddeeff',
    other: '0a0b0c0d-1111-4222-8333-aabbccddee00',
  },
  bigint: { type: 'bigint', row: '7', asked: '007', later: '+7', other: '8' },
  'text in a collation without case': {
    type: 'text COLLATE caseless',
    row: 'ada',
    asked: 'Ada',
    later: 'ADA',
    other: 'eve',
  },
  'varchar(5) in a collation without case': {
    type: 'varchar(5) COLLATE caseless',
    row: 'ada',
    asked: 'Ada',
    later: 'ADA',
    other: 'eve',
  },
  'a domain over citext': { type: 'handle', row: 'ada', asked: 'Ada', later: 'ADA', other: 'eve' },
  'a domain over a domain over numeric': {
    type: 'positive',
    row: '1',
    asked: '1.0',
    later: '1.00',
    other: '2',
  },
  'an enum': { type: 'mood', row: 'calm', asked: 'calm', later: 'calm', other: 'wild' },
  jsonb: { type: 'jsonb', row: '{"id": 1}', asked: '{"id":1.0}', later: '{"id": 1.00}', other: '{"id": 2}' },
  inet: { type: 'inet', row: '10.0.0.1', asked: '10.0.0.1/32', later: '10.0.0.1', other: '10.0.0.2' },
}

const calm = {
  limits: { rows: 1_000_000, share: 1, median_multiple: 1000 },
  throttle: { max_rows: 100, lock_waiters: 1000, long_transaction_seconds: 86_400 },
}

let house: RetentionHouse
beforeAll(async () => {
  house = await openRetentionHouse()
  for (const sql of [
    'CREATE SCHEMA keys',
    'CREATE EXTENSION citext',
    `CREATE DOMAIN handle AS citext CHECK (VALUE <> '')`,
    'CREATE DOMAIN amount AS numeric',
    'CREATE DOMAIN positive AS amount CHECK (VALUE > 0)',
    `CREATE TYPE mood AS ENUM ('calm', 'wild')`,
  ])
    await house.app.execute(sql)
  await createCaseless(house.app)
})
beforeEach(() => house.empty())
afterAll(() => house.close())

const zones = ['UTC', 'Europe/Berlin']
const each = Object.entries(kinds)
  .filter(([, { type }]) => isThere(type))
  .flatMap(([name, kind]) =>
    (name === 'timestamptz' ? zones : ['Europe/Berlin']).map((zone) => [name, zone, kind] as const),
  )

async function open({ type, row, other }: Kind, zone: string): Promise<void> {
  for (const sql of [
    'DROP TABLE IF EXISTS keys.entries, keys.accounts',
    `CREATE TABLE keys.accounts (id ${type} PRIMARY KEY, deleted_at timestamptz, note text)`,
    `CREATE TABLE keys.entries (n bigint PRIMARY KEY, account ${type} NOT NULL REFERENCES keys.accounts ON UPDATE CASCADE)`,
    'CREATE INDEX ON keys.entries (account)',
  ])
    await house.app.execute(sql)
  await house.app.execute(
    `INSERT INTO keys.accounts SELECT k, now() - interval '90 days' FROM unnest(ARRAY['${row}', '${other}']::text[]::${bare(type)}[]) k`,
  )
  await house.app.execute(`INSERT INTO keys.entries SELECT row_number() OVER (), id FROM keys.accounts`)
  await house.configure({
    stores: { app: { kind: 'postgres', url: 'env:APP_URL', schemas: ['keys'], time_zone: zone } },
    subjects: {
      account: {
        store: 'app',
        root: 'keys.accounts',
        identifiers: { id: { sql: 'root.id', unique: true } },
      },
    },
    tables: {
      app: {
        'keys.accounts': {
          columns: { none: ['id', 'deleted_at'], 'free-text': ['note'] },
          action: 'delete',
        },
        'keys.entries': {
          columns: { none: ['n', 'account'] },
          edges: [{ kind: 'owned', to: 'keys.accounts', columns: ['account'] }],
          action: 'delete',
        },
      },
    },
    accept: oneText({ type })
      ? []
      : [
          {
            finding: 'key-of-several-texts:app/keys.accounts(id)',
            reason: 'this test rewrites it on purpose',
          },
        ],
    policies: {
      closed: {
        subject: 'account',
        when: 'soft-deleted',
        clock: 'root.deleted_at',
        records_class: 'Closed',
        ...calm,
      },
    },
  })
}

/** The type that a value of the test is cast to. */
function bare(type: string): string {
  return type.replace(' COLLATE caseless', '')
}

async function accounts(): Promise<number> {
  const [row] = await house.app.query(
    z.object({ n: z.coerce.number() }),
    'SELECT count(*) AS n FROM keys.accounts a WHERE EXISTS (SELECT FROM keys.entries e WHERE e.account = a.id)',
  )
  return row?.n ?? -1
}

async function request(who: Asked['who']) {
  const asked: Asked = { subject: 'account', who, kind: 'article-17', requester: 'subject', immediate: false }
  const key = await resolveSubject(house.context, asked)
  return requestErasure(
    house.context,
    asked,
    key,
    await house.sign(askedStatement(house.context, asked, key, 'test'), 'desk'),
  )
}

describe.each(each)('a key of type %s, in a store whose zone is %s:', (_name, zone, kind) => {
  const { type, row, asked, later } = kind
  beforeEach(() => open(kind, zone))

  test('a hold by another spelling binds, and still does when the application writes the key otherwise', async () => {
    const added = await house.hold({ level: 'subject', subject: 'account', key: [asked] })
    expect(added).toMatchObject({ found: true, alreadyGone: false })
    await house.app.execute(`UPDATE keys.accounts SET id = '${later}'::${bare(type)} WHERE id = '${row}'`)
    await house.arm('closed')
    const waiting = await house.sweep('closed')
    const { population, excluded } = await house.proposal(waiting)
    expect({ population, excluded }).toEqual({ population: 1, excluded: { held: 1 } })
    await house.decide(waiting)
    expect(await accounts()).toBe(1)
    expect(await house.app.execute(`SELECT FROM keys.accounts WHERE id = '${row}'`)).toBe(1)
  })

  test('a hold on a row of the person binds by another spelling of the row’s key', async () => {
    const added = await house.hold({ level: 'row', table: 'keys.accounts', key: [asked] })
    expect(added.found).toBe(true)
    await house.arm('closed')
    await house.decide(await house.sweep('closed'))
    expect(await house.app.execute(`SELECT FROM keys.accounts WHERE id = '${row}'`)).toBe(1)
    expect(await accounts()).toBe(1)
  })

  test('whoever came back between approval and execution stays whole, also when the key is written otherwise since', async () => {
    await house.arm('closed')
    const waiting = await house.sweep('closed')
    await house.app.execute(
      `UPDATE keys.accounts SET deleted_at = NULL, id = '${later}'::${bare(type)} WHERE id = '${row}'`,
    )
    const run = await house.decide(waiting)
    expect(run.state).toBe('succeeded')
    expect(await house.report(run)).toMatchObject({ subjects: { erased: 1, skipped: { 'not-due': 1 } } })
    expect(await accounts()).toBe(1)
  })

  test('who is due goes, and is read back', async () => {
    await house.arm('closed')
    const waiting = await house.sweep('closed')
    await house.app.execute(`UPDATE keys.accounts SET id = '${later}'::${bare(type)} WHERE id = '${row}'`)
    const run = await house.decide(waiting)
    expect(await house.report(run)).toMatchObject({ subjects: { erased: 2 } })
    expect(await accounts()).toBe(0)
  })

  test('requests by several spellings, by the identifier, and by the application, are one request', async () => {
    const first = await request({ key: [row] })
    expect(first.joined).toBe(false)
    expect(await request({ key: [asked] })).toMatchObject({ id: first.id, joined: true })
    expect(await request({ identifier: 'id', value: asked })).toMatchObject({ id: first.id, joined: true })
    await house.app.execute(`SELECT lethe.request_erasure('account', ARRAY[$1]::text[])`, [asked])
    expect(await takeIntake(house.context, 'app')).toMatchObject({ requests: 0, joined: 1, refused: 0 })
    await house.app.execute(`UPDATE keys.accounts SET id = '${later}'::${bare(type)} WHERE id = '${row}'`)
    if (oneText(kind)) expect(await request({ key: [later] })).toMatchObject({ id: first.id, joined: true })
  })
})

describe.each(each)(
  'of a key of type %s, in a store whose zone is %s, whose row is gone,',
  (_name, zone, kind) => {
    const { row, asked, later, other } = kind
    beforeEach(() => open(kind, zone))

    test('every spelling still names the same person', async () => {
      await house.arm('closed')
      await house.decide(await house.sweep('closed'))
      expect(await accounts()).toBe(0)
      if (!oneText(kind)) return
      for (const key of [row, asked, later])
        expect(await house.hold({ level: 'subject', subject: 'account', key: [key] })).toMatchObject({
          found: false,
          alreadyGone: true,
        })
      const first = await request({ key: [asked] })
      expect(await request({ key: [later] })).toMatchObject({ id: first.id, joined: true })
      expect(await request({ key: [other] })).toMatchObject({ joined: false })
    })
  },
)

test.each(['text COLLATE caseless'].filter(isThere))(
  'A row that a batch has locked and that matches none of its keys is an error, never nobody (%s).',
  async (type) => {
    await open({ type, row: 'ada', asked: 'Ada', later: 'ADA', other: 'eve' }, 'UTC')
    const plan = await loadPlan(house.context, 'app', { subject: 'account' })
    const runId = newId()
    await raiseFence(house.app, runId, 1n)
    const batch = (number: bigint): Batch => ({
      runId,
      fence: 1n,
      number,
      proposalId: null,
      roots: [{ ordinal: 0n, key: ['ada'] }],
      guard: { due: 'root.deleted_at IS NOT NULL', clear: [], values: [] },
      wait: false,
      pieceRows: null,
    })
    const back = async () => {
      await house.app.execute(`UPDATE keys.accounts SET deleted_at = NULL, id = 'ADA' WHERE id = 'ada'`)
    }
    await expect(runBatch(house.app, plan, batch(1n), { beforeDestruction: back })).rejects.toMatchObject({
      code: 'E_ROW_UNMATCHED',
      retryable: true,
    })
    expect(await accounts()).toBe(2)
    const again = await runBatch(house.app, plan, batch(1n), { beforeDestruction: () => Promise.resolve() })
    expect(again.skipped).toEqual([{ ordinal: 0n, reason: 'not-due' }])
    expect(await accounts()).toBe(2)
  },
)

test('Who is gone from the rows is looked for elsewhere as they were asked for, and in the one text too.', async () => {
  await open({ type: 'citext', row: 'bob', asked: 'Bob', later: 'BOB', other: 'eve' }, 'UTC')
  const { id } = await request({ key: ['Ada'] })
  const secrets = openSecrets(house.context.keystore, await getRequest(house.control, id))
  expect(secrets).toEqual({ key: ['ada'], written: ['Ada'] })
  const opened = await openHouse(house.context, { id, fence: 0n }, 'account', new AbortController().signal)
  const [found] = await collect(opened, [{ secrets }])
  expect(found?.identifiers['id']?.toSorted()).toEqual(['Ada', 'ada'])
  await opened.close()
})

test('A request and an entry that were written down before hashes had a second version are found.', async () => {
  await open({ type: 'citext', row: 'Ada', asked: 'ADA', later: 'ada', other: 'eve' }, 'UTC')
  const first = await request({ key: ['ADA'] })
  const { keystore } = house.context
  const old = keystore.subjectHash('app', 'account', ['Ada'], keystore.currentKeyId, 1)
  await house.control.execute(
    `UPDATE lethe_control.erasure_requests SET subject_hash = $2, hash_version = 1 WHERE id = $1`,
    [first.id, old],
  )
  expect(await request({ key: ['aDa'] })).toMatchObject({ id: first.id, joined: true })
  await house.control.execute(`UPDATE lethe_control.erasure_requests SET finished_at = clock_timestamp()`)
  const run = await house.sweep('closed')
  const scope = await openScope(house.control, {
    runId: run.id,
    store: 'app',
    subjectKind: 'account',
    mapVersion: 'm',
    planHash: 'p',
    variant: 'v',
  })
  await house.control.execute(
    `INSERT INTO lethe_control.erasures (scope_id, entry, subject_hash, key_id, hash_version) VALUES ($1, 'erase', $2, $3, 1)`,
    [scope, keystore.subjectHash('app', 'account', ['eve'], keystore.currentKeyId, 1), keystore.currentKeyId],
  )
  await house.app.execute(
    `DELETE FROM keys.entries e USING keys.accounts a WHERE a.id = e.account AND a.id = 'eve'`,
  )
  await house.app.execute(`DELETE FROM keys.accounts WHERE id = 'eve'`)
  expect(await house.hold({ level: 'subject', subject: 'account', key: ['eve'] })).toMatchObject({
    alreadyGone: true,
  })
})

test('Whoever a key would name only once it is cut to its column’s length is not named by it.', async () => {
  const short: Kind = { type: 'varchar(3)', row: 'ada', asked: 'adam', later: 'ada', other: 'eve' }
  await open(short, 'UTC')
  expect(await house.hold({ level: 'subject', subject: 'account', key: ['adam'] })).toMatchObject({
    found: false,
  })
  expect(await house.hold({ level: 'row', table: 'keys.accounts', key: ['evelyn'] })).toMatchObject({
    found: false,
  })
  const ada = await request({ key: ['ada'] })
  expect(await request({ key: ['adam'] })).toMatchObject({ joined: false })
  expect(await request({ key: ['ada'] })).toMatchObject({ id: ada.id, joined: true })
  await house.arm('closed')
  expect((await house.proposal(await house.sweep('closed'))).population).toBe(2)
})

test('A key that is given as the identifier of another type is nobody’s, and no error of the database’s.', async () => {
  await open({ type: 'bigint', row: '7', asked: '7', later: '7', other: '8' }, 'UTC')
  await expect(request({ identifier: 'id', value: 'ada' })).rejects.toMatchObject({ code: 'E_NOT_FOUND' })
})

test('A hold that was written down before keys had one text binds, however it is spelled.', async () => {
  for (const name of ['citext', 'numeric', 'timestamptz', 'interval', 'double precision', 'jsonb']) {
    const kind = kinds[name]
    if (kind === undefined) continue
    await open(kind, 'Europe/Berlin')
    await house.app.execute('TRUNCATE lethe.holds')
    await house.app.execute(
      `INSERT INTO lethe.holds (id, level, subject_kind, key, kind) VALUES (gen_random_uuid(), 'subject', 'account', $1, 'legal-claim')`,
      [[kind.asked]],
    )
    const plan = await loadPlan(house.context, 'app', { subject: 'account' })
    expect(await heldAmong(house.app, plan, [[kind.row], [kind.other]]), name).toEqual(['held', null])
    await house.app.execute('DELETE FROM keys.entries')
    await house.app.execute('DELETE FROM keys.accounts')
    expect(await heldAmong(house.app, plan, [[kind.row], [kind.other]]), name).toEqual(['held', null])
  }
})

test('A hold on a tenant binds in every type that names tenants, by every spelling.', async () => {
  await house.app.execute(
    `CREATE TABLE keys.clients (id bigint PRIMARY KEY, tenant citext, deleted_at timestamptz)`,
  )
  await house.app.execute(
    `CREATE TABLE keys.guests (id bigint PRIMARY KEY, tenant numeric, deleted_at timestamptz)`,
  )
  await house.app.execute(
    `INSERT INTO keys.clients VALUES (1, '10.0', now() - interval '90 days'), (2, 'ACME', now() - interval '90 days'), (3, 'x', now() - interval '90 days')`,
  )
  await house.app.execute(
    `INSERT INTO keys.guests VALUES (1, 10.00, now() - interval '90 days'), (2, 11, now() - interval '90 days')`,
  )
  const gone = { when: 'soft-deleted', clock: 'root.deleted_at', records_class: 'Closed', ...calm }
  const plain = { columns: { none: ['id', 'tenant', 'deleted_at'] }, action: 'delete' }
  await house.app.execute('DROP TABLE IF EXISTS keys.entries, keys.accounts')
  await house.configure({
    stores: { app: { kind: 'postgres', url: 'env:APP_URL', schemas: ['keys'] } },
    subjects: {
      client: { store: 'app', root: 'keys.clients', tenant: 'tenant' },
      guest: { store: 'app', root: 'keys.guests', tenant: 'tenant' },
    },
    tables: { app: { 'keys.clients': plain, 'keys.guests': plain } },
    policies: { closed: { subject: 'client', ...gone }, inactive: { subject: 'guest', ...gone } },
  })
  await house.hold({ level: 'tenant', key: ['10.0'] })
  await house.hold({ level: 'tenant', subject: 'client', key: ['Acme'] })
  await house.arm('closed')
  await house.arm('inactive')
  expect(await house.proposal(await house.sweep('closed'))).toMatchObject({
    population: 1,
    excluded: { held: 2 },
  })
  expect(await house.proposal(await house.sweep('inactive'))).toMatchObject({
    population: 1,
    excluded: { held: 1 },
  })
  await house.app.execute('DROP TABLE keys.clients, keys.guests')
})

/** Where equal values have no one text, only the row says which it is, and a row that was written otherwise says another. */
function oneText({ type }: Pick<Kind, 'type'>): boolean {
  return !/caseless|jsonb/.test(type)
}
