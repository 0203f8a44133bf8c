/** A sweep's entries go where a restore can't take them back before anything of the batch is destroyed. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { requestRun, takeForEnqueue, type Run } from '../../../../lib/record/ledger/index.ts'
import { runStory } from '../../../../jobs/run-story.ts'
import { registry } from '../../../../jobs/registry.ts'
import { decide, decisionStatement } from '../../../../jobs/retention/index.ts'
import { runJob } from '../../../../jobs/runner.ts'
import { openKeystore } from '../../../../lib/base/keystore/index.ts'
import { openContext } from '../../../../workers/context.ts'
import {
  erasedIn,
  lastWords,
  lastWordsOf,
  openLedgerBucket,
  type LedgerBucket,
  type LedgerObject,
} from '../../../support/stages/ledger-bucket.ts'
import { openRetentionHouse, type RetentionHouse } from '../../../support/stages/retention-house.ts'
import { startProxy } from '../../../support/servers/servers.ts'
import { sharedS3 } from '../../../support/servers/shared.ts'

let bucket: LedgerBucket
let house: RetentionHouse
let copied: Readonly<Record<string, unknown>>

beforeAll(async () => {
  bucket = await openLedgerBucket(await sharedS3())
  house = await openRetentionHouse(bucket.env)
}, 120_000)
afterAll(async () => {
  await house.close()
  await bucket.close()
})
beforeEach(async () => {
  await house.empty()
  await house.app.execute('DROP FUNCTION IF EXISTS away CASCADE')
  copied = await bucket.fresh()
  await house.configure({ ...copied })
  await bucket.confirm(house.context)
  await house.arm('closed')
})

const everybody = Array.from({ length: 60 }, (_, place) => place + 1)

/** Three visits each: batches of at most 100 rows take 25 of them. */
async function people(ids: readonly number[]): Promise<void> {
  await house.app.execute(
    `INSERT INTO people (id, email, deleted_at) SELECT id, 'p' || id || '@example.org', now() - interval '40 days'
     FROM unnest($1::bigint[]) id`,
    [ids],
  )
  await house.app.execute(
    'INSERT INTO visits SELECT id * 10 + n, id FROM unnest($1::bigint[]) id, generate_series(1, 3) n',
    [ids],
  )
}

/** Whose hash it is. */
function persons(objects: readonly LedgerObject[], entry = 'erase'): number[] {
  const known = new Map(
    everybody.map((id) => [
      house.context.keystore.subjectHash('app', 'person', [String(id)]).toString('hex'),
      id,
    ]),
  )
  return objects
    .flatMap(({ entries }) => entries)
    .filter((one) => one.entry === entry)
    .flatMap(({ subjects }) => subjects.map((hash) => known.get(hash) ?? -1))
    .sort((one, other) => one - other)
}

/** As if the waits and the backoffs were over. */
async function later(): Promise<void> {
  await house.control.execute(
    `UPDATE lethe_control.runs SET state = 'queued', waiting_for = NULL WHERE state = 'waiting' AND waiting_for <> 'approval'`,
  )
  await house.work()
}

async function count(table: string): Promise<number> {
  const [row] = await house.control.query(
    z.object({ n: z.coerce.number() }),
    `SELECT count(*) AS n FROM ${table}`,
  )
  return row?.n ?? 0
}

/** Decides and executes in a worker whose statements to the control database are counted. */
async function statementsOf(waiting: Run): Promise<number> {
  let statements = 0
  const { hostname, port } = new URL(house.controlUrl)
  const proxy = await startProxy(hostname, Number(port), {
    protocol: 'postgres',
    counter: {
      count: 0,
      onMessage(_n, message) {
        if (['E', 'Q'].includes(String.fromCharCode(message[0] ?? 0))) statements += 1
        return true
      },
    },
  })
  const worker = await openContext('counted', {
    ...house.env,
    LETHE_CONTROL_URL: proxy.rewrite(house.controlUrl),
  })
  try {
    const proposal = await house.proposal(waiting)
    const decision = { outcome: 'destroy', overrides: [], reason: 'schedule 7.2' } as const
    await decide(
      house.context,
      { proposalId: proposal.id, ...decision },
      await house.sign(decisionStatement(proposal, decision)),
    )
    for (const job of await takeForEnqueue(house.control))
      await runJob(worker.context, registry, job, new AbortController().signal)
    return statements
  } finally {
    await worker.close()
    await proxy.close()
  }
}

async function expectSame(): Promise<LedgerObject[]> {
  const objects = await bucket.objects()
  expect(lastWords(objects)).toEqual(await lastWordsOf(house.control))
  return objects
}

async function dueSweep(): Promise<Run> {
  await people(everybody)
  return house.sweep('closed')
}

describe('a sweep', () => {
  test('has everybody in the bucket before any of their rows goes, in one object a batch', async () => {
    const waiting = await dueSweep()
    const early: number[] = []
    bucket.before = async (object) => {
      const there = await house.ids('people')
      early.push(...persons([object]).filter((id) => !there.includes(id)))
    }
    const run = await house.decide(waiting)
    expect(run).toMatchObject({ state: 'succeeded', outcome: 'executed' })
    expect(early).toEqual([])
    expect(await house.ids('people')).toEqual([])
    const objects = await expectSame()
    expect(persons(objects)).toEqual(everybody)
    expect(objects).toHaveLength(await count('lethe_control.batches'))
    expect(objects.length).toBeGreaterThan(2)
    expect(bucket.asked).toHaveLength(objects.length)
    expect(JSON.stringify(objects)).not.toContain('example.org')
  })

  test('whose deleting statement is parked has the entries of its batch there already', async () => {
    await house.app.execute(
      `CREATE FUNCTION parked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         PERFORM pg_advisory_xact_lock_shared(77); RETURN old; END $$`,
    )
    await house.app.execute(
      'CREATE TRIGGER parked BEFORE DELETE ON visits FOR EACH ROW EXECUTE FUNCTION parked()',
    )
    await house.configure({
      ...copied,
      accept: [{ finding: 'delete-trigger:app/public.visits.parked', reason: 'parks' }],
    })
    try {
      const waiting = await dueSweep()
      let decided: Promise<Run> | undefined
      await house.app.transaction(async (tx) => {
        await tx.execute('SELECT pg_advisory_xact_lock(77)')
        decided = house.decide(waiting)
        await expect
          .poll(async () => {
            const [row] = await tx.query(
              z.object({ n: z.coerce.number() }),
              `SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 77
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
            )
            return row?.n
          })
          .toBeGreaterThan(0)
        expect(persons(await bucket.objects()).length).toBeGreaterThan(0)
        expect(await house.ids('people')).toEqual(everybody)
      })
      expect(await decided).toMatchObject({ state: 'succeeded' })
      await expectSame()
    } finally {
      await house.app.execute('DROP FUNCTION parked CASCADE')
    }
  })

  test('says one statement more for a batch', async () => {
    const many = Array.from({ length: 1000 }, (_, place) => place + 1)
    const counted: { statements: number; batches: number }[] = []
    for (const changes of [{ ...copied }, {}]) {
      await house.configure(changes)
      await people(many)
      const before = await count('lethe_control.batches')
      counted.push({
        statements: await statementsOf(await house.sweep('closed')),
        batches: (await count('lethe_control.batches')) - before,
      })
      expect(await house.ids('people')).toEqual([])
    }
    const [within, without] = counted
    const batches = within?.batches ?? 0
    expect(without?.batches).toBe(batches)
    expect(batches).toBeGreaterThan(30)
    // and some for the run: what was missing before, the lock's period, what is missing at the end
    const more = (within?.statements ?? 0) - (without?.statements ?? 0) - batches
    expect(more).toBeLessThan(batches / 2)
  })

  test('brings there what was written before there was a bucket', async () => {
    await house.configure()
    expect(await house.decide(await dueSweep())).toMatchObject({ state: 'succeeded' })
    await house.configure({ ...copied })
    await people([61])
    expect(await house.decide(await house.sweep('closed'))).toMatchObject({ state: 'succeeded' })
    const objects = await bucket.objects()
    expect(erasedIn(lastWords(objects))).toEqual(erasedIn(await lastWordsOf(house.control)))
    expect(erasedIn(lastWords(objects))).toHaveLength(61)
  })

  test('has them there also where it began without a bucket', async () => {
    const accept = [{ finding: 'delete-trigger:app/public.visits.away', reason: 'is away' }]
    await house.app.execute(
      `CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         PERFORM pg_terminate_backend(pg_backend_pid()); RETURN old; END $$`,
    )
    await house.app.execute(
      'CREATE TRIGGER away BEFORE DELETE ON visits FOR EACH ROW EXECUTE FUNCTION away()',
    )
    await house.configure({ accept })
    const waiting = await dueSweep()
    await statementsOf(waiting)
    await house.app.execute('ALTER TABLE visits DISABLE TRIGGER away')
    expect((await lastWordsOf(house.control)).size).toBeGreaterThan(0)
    expect(await house.ids('people')).toEqual(everybody)
    await house.configure({ accept, ...copied })
    const early: number[] = []
    bucket.before = async (object) => {
      const there = await house.ids('people')
      early.push(...persons([object]).filter((id) => !there.includes(id)))
    }
    await house.work()
    await house.app.execute('DROP FUNCTION away CASCADE')
    expect(await house.run(waiting)).toMatchObject({ state: 'succeeded' })
    expect(early).toEqual([])
    expect(persons(await expectSame())).toEqual(everybody)
  })

  test('without a bucket writes no objects', async () => {
    await house.configure()
    const run = await house.decide(await dueSweep())
    expect(run).toMatchObject({ state: 'succeeded' })
    expect(await count('lethe_control.ledger_objects')).toBe(0)
  })
})

describe('a bucket that is away', () => {
  test('stops the sweep before anything goes; once it is back, it goes on by itself', async () => {
    const waiting = await dueSweep()
    bucket.away = true
    const stopped = await house.decide(waiting)
    expect(stopped).toMatchObject({ state: 'waiting', waitingFor: 'E_BUCKET_UNAVAILABLE', attempt: 0 })
    await later()
    expect(await house.run(stopped)).toMatchObject({ state: 'waiting', attempt: 0 })
    expect(await house.ids('people')).toEqual(everybody)
    expect(await house.ids('visits')).toHaveLength(180)
    bucket.away = false
    await later()
    expect(await house.run(stopped)).toMatchObject({ state: 'succeeded', outcome: 'executed' })
    expect(await house.ids('people')).toEqual([])
    expect(persons(await expectSame())).toEqual(everybody)
    expect(await house.report(stopped)).toMatchObject({ subjects: { erased: 60 }, ledgerEntries: 60 })
  })

  test('stops it in the middle too, and what went before stands in it', async () => {
    const waiting = await dueSweep()
    bucket.before = ({ number }) => {
      if (number === 2) bucket.away = true
    }
    const stopped = await house.decide(waiting)
    expect(stopped).toMatchObject({ state: 'waiting', waitingFor: 'E_BUCKET_UNAVAILABLE' })
    const left = await house.ids('people')
    expect(left.length).toBeGreaterThan(0)
    const there = persons(await bucket.objects())
    expect(everybody.filter((id) => !left.includes(id) && !there.includes(id))).toEqual([])
    Object.assign(bucket, { away: false, before: undefined })
    await later()
    expect(await house.run(stopped)).toMatchObject({ state: 'succeeded' })
    expect(persons(await expectSame())).toEqual(everybody)
  })

  test('and one whose lock nobody has confirmed are waited for alike', async () => {
    const waiting = await dueSweep()
    await house.control.execute('UPDATE lethe_control.evidence_log SET locked_for = NULL')
    const stopped = await house.decide(waiting)
    expect(stopped).toMatchObject({ state: 'waiting', waitingFor: 'E_BUCKET_LOCK' })
    expect(await house.ids('people')).toEqual(everybody)
    await bucket.confirm(house.context)
    await later()
    expect(await house.run(stopped)).toMatchObject({ state: 'succeeded' })
  })
})

describe('an entry of somebody who stays', () => {
  test('is voided in the bucket too', async () => {
    const waiting = await dueSweep()
    await house.app.execute('UPDATE people SET deleted_at = NULL WHERE id IN (5, 50)')
    expect(await house.decide(waiting)).toMatchObject({ state: 'succeeded' })
    const objects = await expectSame()
    expect(persons(objects, 'void')).toEqual([5, 50])
    expect(erasedIn(lastWords(objects))).toHaveLength(58)
  })

  test('is voided where the sweep is cancelled between the entry and its copy', async () => {
    const waiting = await dueSweep()
    bucket.away = true
    const stopped = await house.decide(waiting)
    await requestRun(house.control, stopped.id, 'cancel', 'cto')
    await later()
    expect(await house.run(stopped)).toMatchObject({ state: 'waiting', waitingFor: 'E_BUCKET_UNAVAILABLE' })
    bucket.away = false
    await later()
    expect(await house.run(stopped)).toMatchObject({ state: 'cancelled' })
    expect(await house.ids('people')).toEqual(everybody)
    const objects = await expectSame()
    expect(persons(objects).length).toBeGreaterThan(0)
    expect(persons(objects, 'void')).toEqual(persons(objects))
    expect(erasedIn(lastWords(objects))).toEqual([])
  })

  test('is voided also where the keystore was rotated since', async () => {
    const waiting = await dueSweep()
    bucket.away = true
    const stopped = await house.decide(waiting)
    const entered = (await lastWordsOf(house.control)).size
    expect(entered).toBeGreaterThan(0)
    await (await openKeystore(house.env['LETHE_KEYSTORE'] ?? '')).rotate()
    await house.configure({ ...copied })
    await requestRun(house.control, stopped.id, 'cancel', 'cto')
    bucket.away = false
    await later()
    expect(await house.run(stopped)).toMatchObject({ state: 'cancelled' })
    const words = lastWords(await expectSame())
    expect(words.size).toBe(entered)
    expect(erasedIn(words)).toEqual([])
  })

  test('is voided where the sweep ends by an error, once the bucket is back', async () => {
    const waiting = await dueSweep()
    bucket.away = true
    const stopped = await house.decide(waiting)
    await house.configure({ ...copied }, { closed: { period: '35 days' } })
    await later()
    expect(await house.run(stopped)).toMatchObject({ state: 'waiting', waitingFor: 'E_BUCKET_UNAVAILABLE' })
    bucket.away = false
    await later()
    expect(await house.run(stopped)).toMatchObject({ state: 'refused', errorCode: 'E_PLAN_CHANGED' })
    expect(await house.ids('people')).toEqual(everybody)
    const objects = await expectSame()
    expect(persons(objects, 'void')).toEqual(persons(objects))
    expect(persons(objects).length).toBeGreaterThan(0)
    expect(await house.report(stopped)).toMatchObject({ outcome: 'refused', ledgerEntries: 0 })
  })
})

describe('a run that was lost', () => {
  const breaks = async (how: string) =>
    house.app.execute(
      `CREATE OR REPLACE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${how} RETURN old; END $$`,
    )
  afterEach(() => house.app.execute('DROP FUNCTION IF EXISTS away CASCADE'))

  test('has its entries voided in the bucket before the next sweep proposes', async () => {
    await breaks('PERFORM pg_terminate_backend(pg_backend_pid());')
    await house.app.execute(
      'CREATE TRIGGER away BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION away()',
    )
    await house.configure({
      ...copied,
      accept: [{ finding: 'delete-trigger:app/public.people.away', reason: 'ends its own connection' }],
    })
    const lost = await house.decide(await dueSweep())
    expect(lost).toMatchObject({ state: 'failed' })
    expect(persons(await expectSame()).length).toBeGreaterThan(0)
    await breaks('')
    bucket.away = true
    const next = await house.sweep('closed')
    expect(next).toMatchObject({ state: 'waiting', waitingFor: 'E_BUCKET_UNAVAILABLE' })
    bucket.away = false
    await later()
    expect(await house.run(next)).toMatchObject({ state: 'waiting', waitingFor: 'approval' })
    expect(erasedIn(lastWords(await expectSame()))).toEqual([])
    const { events } = await runStory(house.control, lost.id)
    expect(events.map(({ type }) => type)).toContain('erasure.voided')
  })
})
