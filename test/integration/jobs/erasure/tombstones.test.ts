import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import {
  acceptLeg,
  previewErasure,
  readReceipt,
  requestStatement,
  requestStatus,
} from '../../../../jobs/erasure/index.ts'
import { planFor } from '../../../../jobs/erasure/plans.ts'
import { writeTombstones } from '../../../../lib/data/rows/index.ts'
import { getRequest, legsOf } from '../../../../lib/record/requests/index.ts'
import { startOpenbao, type OpenbaoServer } from '../../../support/servers/openbao.ts'
import { lockedMeanwhile } from '../../../support/servers/locked.ts'
import { askFor, carryOn, carryOnLater } from '../../../support/stages/requests.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'
import { untilWaiting } from '../../../support/stages/small-clinic.ts'

let house: RetentionHouse
let vault: OpenbaoServer
beforeAll(async () => {
  vault = await startOpenbao()
  house = await openRetentionHouse({ VAULT_TOKEN: vault.token })
  await house.app.execute(
    `CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream bigint NOT NULL, kind text NOT NULL, sealed bytea)`,
  )
  await house.app.execute(
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'append-only'; END $$`,
  )
  await house.app.execute(
    `CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION refuse()`,
  )
})
afterAll(async () => {
  await house.close()
  await vault.stop()
})

const erased = {
  table: 'public.events',
  columns: { stream: 'subject.id', kind: `'erased'` },
  once: `t.stream = subject.id AND t.kind = 'erased'`,
}

async function configure(tombstone: object = erased, url = vault.url): Promise<void> {
  const { app = {} } = house.context.config.file.tables
  await house.configure({
    stores: {
      app: { kind: 'postgres', url: 'env:APP_URL' },
      vault: {
        kind: 'keys',
        backend: 'openbao',
        url,
        auth: { token: 'env:VAULT_TOKEN' },
        places: [{ name: 'events', engine: 'transit', key: 'person-{id}' }],
      },
    },
    subjects: {
      person: {
        store: 'app',
        root: 'public.people',
        contact: 'root.email',
        other_stores: ['vault'],
        tombstones: [tombstone],
      },
    },
    tables: {
      app: {
        ...app,
        'public.events': {
          columns: { none: ['id', 'stream', 'kind'], health: ['sealed'] },
          action: 'ignore',
          reason: "sealed with the person's key, which is shredded",
        },
      },
    },
  })
}

beforeEach(async () => {
  await house.empty()
  await configure()
  await house.app.execute(`ALTER TABLE events DROP CONSTRAINT IF EXISTS obstacle`)
  await house.app.execute('TRUNCATE events')
  await house.app.execute(`INSERT INTO people (id) SELECT generate_series(1, 3)`)
  await house.app.execute(
    `INSERT INTO events (stream, kind, sealed) SELECT id, 'visited', '\\x00' FROM people`,
  )
  for (const id of [1, 2, 3]) await vault.ask('POST', `transit/keys/person-${id}`)
})

async function tombstones(): Promise<number[]> {
  const rows = await house.app.query(
    z.object({ stream: z.coerce.number() }),
    `SELECT stream FROM events WHERE kind = 'erased' ORDER BY id`,
  )
  return rows.map(({ stream }) => stream)
}

const request = (id: string) => getRequest(house.control, id)

test('keys are shredded once the rows are gone, and not before', async () => {
  const lock = 'SELECT FROM people WHERE id = 2 FOR UPDATE'
  const ids = await lockedMeanwhile(house.app, lock, () => askFor(house, 2))
  expect(await legsOf(house.control, ids)).toMatchObject([
    { store: 'app', state: 'pending' },
    { store: 'vault', state: 'pending', attempt: 0 },
  ])
  await vault.ask('GET', 'transit/keys/person-2')
  await carryOnLater(house)
  await expect(vault.ask('GET', 'transit/keys/person-2')).rejects.toThrow()
})

test('one tombstone stands in the event table once the keys are shredded, and receipt and ledger know nothing of it', async () => {
  const [id = ''] = await askFor(house, 2)
  expect(await request(id)).toMatchObject({ state: 'completed' })
  await expect(vault.ask('GET', 'transit/keys/person-2')).rejects.toThrow()
  expect(await tombstones()).toEqual([2])
  const receipt = await readReceipt(house.context, id)
  expect(receipt).toContain('"entries":2')
  expect(receipt).not.toContain('public.events')
})

test('one whose tombstone is refused waits without a receipt, holds up nobody, and ends once it may be written', async () => {
  await house.app.execute(
    `ALTER TABLE events ADD CONSTRAINT obstacle CHECK (kind <> 'erased' OR stream <> 2)`,
  )
  const [one = '', stuck = '', three = ''] = await askFor(house, 1, 2, 3)
  expect(await request(one)).toMatchObject({ state: 'completed' })
  expect(await request(three)).toMatchObject({ state: 'completed' })
  const waiting = await request(stuck)
  expect(waiting).toMatchObject({ state: 'erasing', waitingFor: 'tombstone' })
  expect(waiting.sealed).not.toBeNull()
  expect((await requestStatus(house.context, stuck)).next).toContain('tombstone')
  await expect(readReceipt(house.context, stuck)).rejects.toMatchObject({ code: 'E_NOT_FOUND' })
  await carryOnLater(house)
  expect(await request(stuck)).toMatchObject({ state: 'erasing', waitingFor: 'tombstone' })
  await house.app.execute('ALTER TABLE events DROP CONSTRAINT obstacle')
  await carryOnLater(house)
  expect(await request(stuck)).toMatchObject({ state: 'completed', sealed: null })
  expect((await tombstones()).sort((a, b) => a - b)).toEqual([1, 2, 3])
})

test('a tombstone that a worker wrote before it died is not written again', async () => {
  await house.app.execute(`INSERT INTO events (stream, kind) VALUES (2, 'erased')`)
  const [id = ''] = await askFor(house, 2)
  expect(await request(id)).toMatchObject({ state: 'completed' })
  expect(await tombstones()).toEqual([2])
})

test('two workers at once write one', async () => {
  const plan = await planFor(house.context, 'app', 'person')
  const write = (then: () => Promise<void>) =>
    house.app.transaction(async (tx) => {
      const written = await writeTombstones(tx, plan, [erased], [['3']])
      await then()
      return written
    })
  let second: Promise<number> | undefined
  const first = await write(async () => {
    second = write(() => Promise.resolve())
    await untilWaiting(house.app)
  })
  expect([first, await second]).toEqual([1, 0])
  expect(await tombstones()).toEqual([3])
})

test('where the key stays there is no tombstone: neither while it waits, nor once a person accepts that', async () => {
  await configure(erased, 'http://127.0.0.1:1')
  const [id = ''] = await askFor(house, 2)
  expect(await request(id)).toMatchObject({ state: 'erasing' })
  expect(await house.ids('people')).toEqual([1, 3])
  expect(await tombstones()).toEqual([])
  const statement = requestStatement('erasure.accept', id, {}, 'the vault is lost')
  await acceptLeg(house.context, id, 'vault', { attested: await house.sign(statement) })
  await carryOn(house)
  expect(await request(id)).toMatchObject({ state: 'completed-with-left' })
  expect(await tombstones()).toEqual([])
})

test('of whom nothing was anywhere there is no tombstone, of whom only the key was left there is one', async () => {
  await house.app.execute('DELETE FROM people WHERE id = 3')
  const [nobody = ''] = await askFor(house, 77)
  const [left = ''] = await askFor(house, 3)
  expect(await request(nobody)).toMatchObject({ state: 'completed', nobody: true })
  expect(await request(left)).toMatchObject({ state: 'completed', nobody: true })
  expect(await tombstones()).toEqual([3])
})

test('a plan shows what will be written, and that it could not be, before anything goes', async () => {
  const shown = async () => (await previewErasure(house.context, 'person', ['2'])).tombstones
  expect(await shown()).toEqual([{ table: 'public.events', columns: ['stream', 'kind'], problem: null }])
  await configure({ ...erased, columns: { stream: 'subject.nothing' } })
  expect(await shown()).toMatchObject([{ problem: expect.stringContaining('E_DATABASE') }])
  expect(await tombstones()).toEqual([])
})
