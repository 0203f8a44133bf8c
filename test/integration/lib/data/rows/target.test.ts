import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { openDatabase, type Database } from '../../../../../lib/base/db/index.ts'
import {
  locateRows,
  readSignals,
  runBatch,
  startThrottle,
  tidy,
  verifyKeys,
  weighRoots,
} from '../../../../../lib/data/rows/index.ts'
import { testRoles } from '../../../../support/servers/roles.ts'
import {
  latch,
  openSmallClinic,
  untilWaiting,
  type SmallClinic,
} from '../../../../support/stages/small-clinic.ts'

let clinic: SmallClinic
let outsider: Database
const logins = testRoles('blind', 'guest')
beforeAll(async () => {
  clinic = await openSmallClinic()
  outsider = openDatabase(clinic.url, { name: 'outside', applicationName: 'the application' })
})
afterAll(async () => {
  await outsider.close()
  await clinic.close()
})
beforeEach(() => clinic.empty())

describe('counting', () => {
  test('weighs each root by all its rows, in the order asked', async () => {
    await clinic.addPeople([1, 2])
    await clinic.db.execute(`INSERT INTO samples (person_ref) SELECT 2 FROM generate_series(1, 10)`)
    expect(await weighRoots(clinic.db, clinic.plan, [['2'], ['9'], ['1']])).toEqual([17, 0, 7])
    expect(await locateRows(clinic.db, clinic.plan, [['1'], ['2']])).toEqual({
      'public.people': 2,
      'public.addresses': 2,
      'public.visits': 4,
      'public.samples': 16,
    })
  })

  test('finds rows of a subject whose root row is gone', async () => {
    await clinic.addPeople([1])
    await clinic.db.execute(`DELETE FROM visits`)
    await clinic.db.execute(`DELETE FROM people`)
    expect(await verifyKeys(clinic.db, clinic.plan, [['7'], ['1']])).toMatchObject([
      { absent: true, left: {} },
      { absent: false, left: { 'public.samples': 3 } },
    ])
  })
})

describe('signals', () => {
  test('see another session’s old transaction, and not our own', async () => {
    expect((await readSignals(clinic.db, null)).longestTransactionSeconds ?? 0).toBe(0)
    await outsider.transaction(async (tx) => {
      await tx.execute('SELECT pg_sleep(0.05)')
      expect((await readSignals(clinic.db, null)).longestTransactionSeconds).toBeGreaterThan(0.04)
    })
  })

  test('see who waits for a lock that a batch holds', async () => {
    await clinic.addPeople([1])
    const run = await clinic.run()
    const inside = latch()
    const go = latch()
    const running = runBatch(clinic.db, clinic.plan, run.batch(1n, [1]), {
      beforeDestruction: () => Promise.resolve(),
      inTransaction: async () => {
        inside.open()
        await go.opened
      },
    })
    await inside.opened
    const waiting = outsider.execute(`UPDATE people SET email = 'x' WHERE id = 1`)
    await untilWaiting(clinic.db)
    expect((await readSignals(clinic.db, null)).lockWaiters).toBe(1)
    go.open()
    await running
    await waiting
    expect((await readSignals(clinic.db, null)).lockWaiters).toBe(0)
  })

  test('see WAL kept for a replication slot', async () => {
    await clinic.db.execute(`SELECT pg_create_physical_replication_slot('forgotten', true)`)
    try {
      await clinic.addPeople([1, 2, 3])
      expect((await readSignals(clinic.db, null)).slotMb).toBeGreaterThan(0)
    } finally {
      await clinic.db.execute(`SELECT pg_drop_replication_slot('forgotten')`)
    }
  })

  test.each([
    ['inside', -60, 60, 0],
    ['inside across midnight', -20 * 60, 60, 0],
    ['before it opens', 60, 120, 3600],
    ['after it closed', -120, -60, 22 * 3600],
  ])('tell by the database’s clock whether a window is open: %s', async (_, from, to, opensIn) => {
    const [at] = await clinic.db.query(
      z.object({ from: z.string(), to: z.string() }),
      `SELECT to_char(clock_timestamp() AT TIME ZONE 'Asia/Tokyo' + $1::int * interval '1 minute', 'HH24:MI') AS "from",
              to_char(clock_timestamp() AT TIME ZONE 'Asia/Tokyo' + $2::int * interval '1 minute', 'HH24:MI') AS "to"`,
      [from, to],
    )
    const { windowOpensInSeconds } = await readSignals(clinic.db, {
      from: at?.from ?? '',
      to: at?.to ?? '',
      time_zone: 'Asia/Tokyo',
    })
    expect(Math.abs(windowOpensInSeconds - opensIn)).toBeLessThan(61)
    expect(windowOpensInSeconds === 0).toBe(opensIn === 0)
  })

  test('that a role may not see are named, and the rest still works', async () => {
    await clinic.db.execute(`CREATE ROLE ${logins.blind} LOGIN`)
    const url = new URL(clinic.url)
    url.username = logins.blind
    const blind = openDatabase(url.toString(), { name: 'blind', applicationName: 'lethe blind' })
    try {
      const throttle = await startThrottle(
        blind,
        { replica_lag_seconds: 1, slot_retention_mb: 1e6, lock_waiters: 1, long_transaction_seconds: 300 },
        null,
      )
      expect(throttle.blind.map((text) => text.split(':')[0])).toEqual(['long-transaction', 'replica-lag'])
      expect(throttle.verdict()).toBeNull()
      await throttle.close()
    } finally {
      await blind.close()
    }
  })
})

describe('tidying', () => {
  test('refreshes the plan’s views and vacuums what has dead rows; what it may not do is reported', async () => {
    await clinic.addPeople(Array.from({ length: 500 }, (_, place) => place + 1))
    await clinic.db.execute(
      `CREATE MATERIALIZED VIEW by_person AS SELECT person_ref, count(*) AS n FROM samples GROUP BY 1`,
    )
    await clinic.db.execute(`CREATE UNIQUE INDEX ON by_person (person_ref)`)
    await clinic.db.execute(`CREATE MATERIALIZED VIEW visited AS SELECT person_id FROM visits WITH NO DATA`)
    await clinic.db.execute(`CREATE ROLE ${logins.guest} LOGIN`)
    await clinic.db.execute(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${logins.guest}`)
    const url = new URL(clinic.url)
    url.username = logins.guest
    const guest = openDatabase(url.toString(), { name: 'guest', applicationName: 'lethe guest' })
    try {
      const plan = await clinic.again()
      await clinic.db.execute(`DELETE FROM samples`)
      const removed = { 'public.samples': 1500 }
      const refused = await tidy(guest, plan, removed)
      expect(refused).toMatchObject({ refreshed: [], vacuumed: [] })
      expect(refused.refused.map((entry) => entry.object).toSorted((a, b) => a.localeCompare(b))).toEqual([
        'public.by_person',
        'public.samples',
        'public.visited',
      ])
      const done = await tidy(clinic.db, plan, removed)
      expect(done.refused).toEqual([])
      expect(done.refreshed.toSorted((a, b) => a.localeCompare(b))).toEqual([
        'public.by_person',
        'public.visited',
      ])
      expect(done.vacuumed).toContain('public.samples')
      expect(await clinic.count('by_person')).toBe(0)
    } finally {
      await guest.close()
      await clinic.db.execute(`DROP MATERIALIZED VIEW by_person, visited`)
    }
  })
})
