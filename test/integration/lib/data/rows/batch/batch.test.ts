import { z } from 'zod'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { newId } from '../../../../../../lib/base/clock/index.ts'
import {
  batchesAfter,
  raiseFence,
  readProgress,
  runBatch,
  takeHoldLock,
  type BatchHooks,
} from '../../../../../../lib/data/rows/index.ts'
import { LetheError } from '../../../../../../lib/base/errors/index.ts'
import {
  latch,
  openSmallClinic,
  untilWaiting,
  type SmallClinic,
} from '../../../../../support/stages/small-clinic.ts'

let clinic: SmallClinic
beforeAll(async () => {
  clinic = await openSmallClinic()
})
afterAll(() => clinic.close())
beforeEach(() => clinic.empty())

const hooks: BatchHooks = { beforeDestruction: () => Promise.resolve() }

describe('a batch', () => {
  test('removes each subject with all its rows and leaves the others', async () => {
    await clinic.addPeople([1, 2, 3])
    const run = await clinic.run()
    const outcome = await runBatch(clinic.db, clinic.plan, run.batch(1n, [1, 2]), hooks)
    expect(outcome.done).toEqual([1n, 2n])
    expect(outcome.removed).toEqual({
      'public.people': 2,
      'public.addresses': 2,
      'public.visits': 4,
      'public.samples': 6,
    })
    expect(await clinic.counts()).toEqual({ people: 1, addresses: 1, visits: 2, samples: 3, invoices: 0 })
  })

  test('commits counters, cursor and event with the rows, and nothing of them where it fails', async () => {
    await clinic.addPeople([1, 2])
    const run = await clinic.run()
    const proposal = await clinic.propose([1, 2])
    const stop = new Error('killed before commit')
    await expect(
      runBatch(clinic.db, clinic.plan, run.batch(1n, [1, 2], { proposalId: proposal }), {
        ...hooks,
        inTransaction: () => Promise.reject(stop),
      }),
    ).rejects.toBe(stop)
    expect(await clinic.count('people')).toBe(2)
    expect(await readProgress(clinic.db, run.id)).toMatchObject({ batch: 0n, counters: {} })
    expect(await clinic.count('lethe.population', `state = 'pending'`)).toBe(2)

    await runBatch(clinic.db, clinic.plan, run.batch(1n, [1], { proposalId: proposal }), hooks)
    await runBatch(clinic.db, clinic.plan, run.batch(2n, [2], { proposalId: proposal }), hooks)
    expect(await readProgress(clinic.db, run.id)).toMatchObject({
      batch: 2n,
      counters: { subjects: 2, 'removed.public.visits': 4, rows: 14 },
    })
    const batches = await batchesAfter(clinic.db, run.id, 0n)
    expect(batches.map((batch) => batch.number)).toEqual([1n, 2n])
    expect(batches[0]?.event).toMatchObject({ subjects: 1, rows: { 'public.samples': 3 } })
    expect(JSON.stringify(batches.map((batch) => batch.event))).not.toContain('example.invalid')
    expect(await clinic.population(proposal)).toEqual({})
  })

  test('is refused under a number that is committed already', async () => {
    await clinic.addPeople([1, 2])
    const run = await clinic.run()
    await runBatch(clinic.db, clinic.plan, run.batch(1n, [1]), hooks)
    await expect(runBatch(clinic.db, clinic.plan, run.batch(1n, [2]), hooks)).rejects.toMatchObject({
      facts: { constraint: 'batches_pkey' },
    })
    expect(await clinic.count('people')).toBe(1)
  })

  test('done twice removes nothing the second time', async () => {
    await clinic.addPeople([1])
    const run = await clinic.run()
    await runBatch(clinic.db, clinic.plan, run.batch(1n, [1]), hooks)
    const again = await runBatch(clinic.db, clinic.plan, run.batch(2n, [1]), hooks)
    expect(again).toMatchObject({ rows: 0, done: [1n] })
  })

  test('removes what is left of a subject whose root the application has deleted itself', async () => {
    await clinic.addPeople([1])
    const run = await clinic.run()
    await clinic.db.execute(`DELETE FROM visits`)
    await clinic.db.execute(`DELETE FROM people WHERE id = 1`)
    const outcome = await runBatch(clinic.db, clinic.plan, run.batch(1n, [1]), hooks)
    expect(outcome).toMatchObject({ done: [1n], removed: { 'public.samples': 3 } })
  })
})

describe('the ledger', () => {
  test('has the entries of every key, merged ones too, before the first row goes', async () => {
    await clinic.addPeople([1, 2, 3])
    await clinic.db.execute(`UPDATE people SET merged_into_id = 1 WHERE id = 2`)
    const run = await clinic.run()
    const seen: string[][] = []
    await runBatch(clinic.db, clinic.plan, run.batch(1n, [1, 3]), {
      beforeDestruction: async (keys) => {
        seen.push(keys.map((key) => key.join()))
        expect(await clinic.count('samples')).toBe(9)
      },
    })
    expect(seen).toEqual([['1', '2', '3']])
    expect(await clinic.count('people')).toBe(0)
  })

  test('that can not be written stops the batch with nothing removed', async () => {
    await clinic.addPeople([1])
    const run = await clinic.run()
    const broken = new LetheError('E_DATABASE_UNAVAILABLE', { message: 'control is down' })
    await expect(
      runBatch(clinic.db, clinic.plan, run.batch(1n, [1]), {
        beforeDestruction: () => Promise.reject(broken),
      }),
    ).rejects.toBe(broken)
    expect(await clinic.count('samples')).toBe(3)
    expect(await readProgress(clinic.db, run.id)).toMatchObject({ batch: 0n })
  })

  test('hears which of its entries did not come true', async () => {
    await clinic.addPeople([1, 2])
    await clinic.db.execute(`INSERT INTO app_holds (person_id) VALUES (2)`)
    const run = await clinic.run()
    const outcome = await runBatch(clinic.db, clinic.plan, run.batch(1n, [1, 2]), hooks)
    expect(outcome.notErased).toEqual([['2']])
    expect(outcome.erased).toEqual([['1']])
  })
})

describe('the fence', () => {
  test('refuses a worker whose fence is old', async () => {
    await clinic.addPeople([1])
    const run = await clinic.run()
    await raiseFence(clinic.db, run.id, 2n)
    await expect(runBatch(clinic.db, clinic.plan, run.batch(1n, [1]), hooks)).rejects.toMatchObject({
      code: 'E_FENCED',
    })
    await expect(raiseFence(clinic.db, run.id, 1n)).rejects.toMatchObject({ code: 'E_FENCED' })
    expect(await clinic.count('people')).toBe(1)
  })

  test('waits for a transaction that the old worker has open, and refuses its next one', async () => {
    await clinic.addPeople([1, 2])
    const run = await clinic.run()
    const inside = latch()
    const go = latch()
    const old = runBatch(clinic.db, clinic.plan, run.batch(1n, [1]), {
      ...hooks,
      inTransaction: async () => {
        inside.open()
        await go.opened
      },
    })
    await inside.opened
    let raised = false
    const raising = raiseFence(clinic.db, run.id, 2n).then(() => (raised = true))
    await untilWaiting(clinic.db, 'lethe.progress')
    expect(raised).toBe(false)
    go.open()
    await old
    await raising
    expect(await readProgress(clinic.db, run.id)).toMatchObject({ fence: 2n, batch: 1n })
    await expect(runBatch(clinic.db, clinic.plan, run.batch(2n, [2]), hooks)).rejects.toMatchObject({
      code: 'E_FENCED',
    })
    await runBatch(clinic.db, clinic.plan, run.batch(2n, [2], { fence: 2n }), hooks)
    expect(await clinic.count('people')).toBe(0)
  })

  test('is unknown for a run that never began here', async () => {
    await clinic.addPeople([1])
    const run = await clinic.run()
    await expect(
      runBatch(clinic.db, clinic.plan, run.batch(1n, [1], { runId: newId() }), hooks),
    ).rejects.toMatchObject({ code: 'E_FENCED' })
  })
})

describe('the decision under the lock', () => {
  test('leaves a root that is not due any more, and says so', async () => {
    await clinic.addPeople([1, 2, 3])
    await clinic.db.execute(`UPDATE people SET deleted_at = NULL WHERE id = 1`)
    await clinic.db.execute(`UPDATE people SET deleted_at = now() WHERE id = 2`)
    const run = await clinic.run()
    const proposal = await clinic.propose([1, 2, 3])
    const outcome = await runBatch(
      clinic.db,
      clinic.plan,
      run.batch(1n, [1, 2, 3], { proposalId: proposal }),
      hooks,
    )
    expect(outcome.skipped).toEqual([
      { ordinal: 1n, reason: 'not-due' },
      { ordinal: 2n, reason: 'not-due' },
    ])
    expect(await clinic.population(proposal)).toEqual({ 1: 'skipped not-due', 2: 'skipped not-due' })
  })

  test.each([
    [
      'a row',
      `('row', NULL, 'public.samples', (SELECT ARRAY[min(id)::text] FROM samples WHERE person_ref = 2))`,
    ],
    ['its root as a row', `('row', NULL, 'public.people', ARRAY['2'])`],
    ['the subject', `('subject', 'person', NULL, ARRAY['2'])`],
    ['the tenant', `('tenant', NULL, NULL, ARRAY['2'])`],
  ])('leaves a subject with all its rows where %s is held', async (_, hold) => {
    await clinic.addPeople([1, 2])
    await clinic.db.execute(
      `INSERT INTO lethe.holds (id, level, subject_kind, table_name, key, kind)
       SELECT gen_random_uuid(), v.level, v.subject_kind, v.table_name, v.key, 'legal-claim'
       FROM (VALUES ${hold}) AS v(level, subject_kind, table_name, key)`,
    )
    const run = await clinic.run()
    const outcome = await runBatch(clinic.db, clinic.plan, run.batch(1n, [1, 2]), hooks)
    expect(outcome.done).toEqual([1n])
    expect(outcome.skipped).toEqual([{ ordinal: 2n, reason: 'held' }])
    expect(await clinic.counts()).toMatchObject({ people: 1, visits: 2, samples: 3 })
  })

  test('a hold on a table keeps every subject', async () => {
    await clinic.addPeople([1, 2])
    await clinic.hold({ level: 'table', table: 'public.samples' })
    const run = await clinic.run()
    const outcome = await runBatch(clinic.db, clinic.plan, run.batch(1n, [1, 2]), hooks)
    expect(outcome.skipped.map((entry) => entry.reason)).toEqual(['held', 'held'])
  })

  test('a hold counts for a subject whose root row is gone already', async () => {
    await clinic.addPeople([1, 2])
    await clinic.hold({ level: 'subject', key: ['1'] })
    await clinic.db.execute(
      `INSERT INTO lethe.holds (id, level, table_name, key, kind)
       SELECT gen_random_uuid(), 'row', 'public.samples', ARRAY[min(id)::text], 'complaint' FROM samples WHERE person_ref = 2`,
    )
    await clinic.db.execute(`DELETE FROM visits`)
    await clinic.db.execute(`DELETE FROM people`)
    const run = await clinic.run()
    const outcome = await runBatch(clinic.db, clinic.plan, run.batch(1n, [1, 2]), hooks)
    expect(outcome.skipped).toHaveLength(2)
    expect(await clinic.count('samples')).toBe(6)
  })

  test('a hold on a merged row keeps the row it was merged into, and the other way round', async () => {
    await clinic.addPeople([1, 2, 3, 4])
    await clinic.db.execute(`UPDATE people SET merged_into_id = id - 1 WHERE id IN (2, 4)`)
    await clinic.hold({ level: 'subject', key: ['2'] })
    await clinic.hold({ level: 'subject', key: ['3'] })
    const run = await clinic.run()
    const outcome = await runBatch(clinic.db, clinic.plan, run.batch(1n, [1, 3]), hooks)
    expect(outcome.skipped).toHaveLength(2)
    expect(await clinic.count('people')).toBe(4)
  })

  test('a row merged into a living one is not a subject of its own', async () => {
    await clinic.addPeople([1, 2])
    await clinic.db.execute(`UPDATE people SET merged_into_id = 1 WHERE id = 2`)
    await clinic.db.execute(`UPDATE people SET deleted_at = NULL WHERE id = 1`)
    const run = await clinic.run()
    const outcome = await runBatch(clinic.db, clinic.plan, run.batch(1n, [2]), hooks)
    expect(outcome.skipped).toEqual([{ ordinal: 2n, reason: 'merged' }])
  })

  test('a row merged in after the entries were written makes its subject wait a round', async () => {
    await clinic.addPeople([1, 2])
    const run = await clinic.run()
    const late = {
      beforeDestruction: async () => {
        await clinic.db.execute(`UPDATE people SET merged_into_id = 1 WHERE id = 2`)
      },
    }
    const outcome = await runBatch(clinic.db, clinic.plan, run.batch(1n, [1]), late)
    expect(outcome.locked).toEqual([1n])
    const again = await runBatch(clinic.db, clinic.plan, run.batch(2n, [1]), hooks)
    expect(again.erased).toEqual([['1'], ['2']])
  })
})

describe('others at the same time', () => {
  test('a hold that is being added waits for the running batch; the next batch sees it', async () => {
    await clinic.addPeople([1, 2])
    const run = await clinic.run()
    const inside = latch()
    const go = latch()
    const running = runBatch(clinic.db, clinic.plan, run.batch(1n, [1]), {
      ...hooks,
      inTransaction: async () => {
        inside.open()
        await go.opened
      },
    })
    await inside.opened
    const adding = clinic.db.transaction(async (tx) => {
      await takeHoldLock(tx)
      const gone = await tx.query(
        z.object({ n: z.string() }),
        `SELECT count(*) AS n FROM people WHERE id = 1`,
      )
      await tx.execute(
        `INSERT INTO lethe.holds (id, level, subject_kind, key, kind) VALUES ($1, 'subject', 'person', ARRAY['2'], 'complaint')`,
        [newId()],
      )
      return gone[0]?.n
    })
    await untilWaiting(clinic.db)
    go.open()
    await running
    // the hold's owner is told what was already gone
    expect(await adding).toBe('0')
    const outcome = await runBatch(clinic.db, clinic.plan, run.batch(2n, [2]), hooks)
    expect(outcome.skipped).toEqual([{ ordinal: 2n, reason: 'held' }])
  })

  test('an application hold with a foreign key is seen, or refused because its person is gone', async () => {
    await clinic.addPeople([1, 2])
    const run = await clinic.run()
    // uncommitted when the batch comes: its KEY SHARE lock keeps the root out of this batch
    const inserted = latch()
    const commit = latch()
    const early = clinic.db.transaction(async (tx) => {
      await tx.execute(`INSERT INTO app_holds (person_id) VALUES (1)`)
      inserted.open()
      await commit.opened
    })
    await inserted.opened
    const first = await runBatch(clinic.db, clinic.plan, run.batch(1n, [1]), hooks)
    expect(first.locked).toEqual([1n])
    const waiting = runBatch(clinic.db, clinic.plan, run.batch(2n, [1], { wait: true }), hooks)
    await untilWaiting(clinic.db)
    commit.open()
    await early
    expect((await waiting).skipped).toEqual([{ ordinal: 1n, reason: 'unless:app-hold' }])

    const inside = latch()
    const go = latch()
    const running = runBatch(clinic.db, clinic.plan, run.batch(3n, [2]), {
      ...hooks,
      inTransaction: async () => {
        inside.open()
        await go.opened
      },
    })
    await inside.opened
    const late = expect(
      clinic.db.execute(`INSERT INTO app_holds (person_id) VALUES (2)`),
    ).rejects.toMatchObject({ code: 'E_BLOCKED_BY_REFERENCE' })
    await untilWaiting(clinic.db)
    go.open()
    await running
    await late
  })

  test('a hold without a foreign key, committed while the steps run, keeps its whole subject', async () => {
    await clinic.addPeople([1, 2])
    const run = await clinic.run()
    // the batch stands still between two of its steps until the hold is committed
    const gate = 5309
    await clinic.db.execute(
      `CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         PERFORM pg_advisory_xact_lock_shared(${gate}); RETURN OLD; END $$`,
    )
    await clinic.db.execute(
      `CREATE TRIGGER late AFTER DELETE ON samples FOR EACH ROW EXECUTE FUNCTION stand_still()`,
    )
    try {
      const batch = run.batch(1n, [1, 2], { lockTimeoutMs: 10_000 })
      const running = await clinic.db.transaction(async (tx) => {
        await tx.execute(`SELECT pg_advisory_xact_lock(${gate})`)
        const started = runBatch(clinic.db, clinic.plan, batch, hooks)
        await untilWaiting(clinic.db)
        await clinic.db.execute('INSERT INTO loose_holds VALUES (1)')
        return { started }
      })
      const outcome = await running.started
      expect(outcome.done).toEqual([2n])
      expect(outcome.skipped).toEqual([{ ordinal: 1n, reason: 'unless:loose-hold' }])
      expect(await clinic.count('samples')).toBe(3)
    } finally {
      await clinic.db.execute(`DROP FUNCTION stand_still CASCADE`)
    }
  })

  test('a locked root is passed over, and goes in the waiting pass', async () => {
    await clinic.addPeople([1, 2])
    const run = await clinic.run()
    const proposal = await clinic.propose([1, 2])
    const locked = latch()
    const release = latch()
    const other = clinic.db.transaction(async (tx) => {
      await tx.execute(`UPDATE people SET email = 'x' WHERE id = 1`)
      locked.open()
      await release.opened
    })
    await locked.opened
    const first = await runBatch(
      clinic.db,
      clinic.plan,
      run.batch(1n, [1, 2], { proposalId: proposal }),
      hooks,
    )
    expect(first).toMatchObject({ done: [2n], locked: [1n] })
    expect(await clinic.population(proposal)).toEqual({ 1: 'locked' })
    const bounded = await runBatch(
      clinic.db,
      clinic.plan,
      run.batch(2n, [1], { proposalId: proposal, wait: true, lockTimeoutMs: 50 }),
      hooks,
    )
    expect(bounded.locked).toEqual([1n])
    const waiting = runBatch(
      clinic.db,
      clinic.plan,
      run.batch(3n, [1], { proposalId: proposal, wait: true }),
      hooks,
    )
    await untilWaiting(clinic.db)
    release.open()
    await other
    expect((await waiting).done).toEqual([1n])
    expect(await clinic.population(proposal)).toEqual({})
  })

  test('a locked child row makes its subject wait, not the batch', async () => {
    await clinic.addPeople([1, 2, 3, 4])
    const run = await clinic.run()
    const locked = latch()
    const release = latch()
    const other = clinic.db.transaction(async (tx) => {
      await tx.execute(`UPDATE samples SET value = 'x' WHERE person_ref = 3`)
      locked.open()
      await release.opened
    })
    await locked.opened
    const outcome = await runBatch(
      clinic.db,
      clinic.plan,
      run.batch(1n, [1, 2, 3, 4], { lockTimeoutMs: 20, searchMs: 10_000 }),
      hooks,
    )
    expect(outcome.done.toSorted((a, b) => Number(a - b))).toEqual([1n, 2n, 4n])
    expect(outcome.locked).toEqual([3n])
    release.open()
    await other
  })

  test('two runs over the same subjects remove each once', async () => {
    const ids = Array.from({ length: 40 }, (_, place) => place + 1)
    await clinic.addPeople(ids)
    const [one, two] = [await clinic.run(), await clinic.run()]
    const outcomes = await Promise.all([
      runBatch(clinic.db, clinic.plan, one.batch(1n, ids), hooks),
      runBatch(clinic.db, clinic.plan, two.batch(1n, ids.toReversed()), hooks),
    ])
    const people = outcomes.reduce((sum, outcome) => sum + (outcome.removed['public.people'] ?? 0), 0)
    const samples = outcomes.reduce((sum, outcome) => sum + (outcome.removed['public.samples'] ?? 0), 0)
    const left = await clinic.count('people')
    expect(people + left).toBe(40)
    expect(samples + 3 * left).toBe(120)
    expect(await clinic.count('samples')).toBe(3 * left)
  })
})

describe('what refuses', () => {
  test('a foreign key that nobody mapped blocks its subject by the name of the constraint, and no other', async () => {
    const ids = Array.from({ length: 9 }, (_, place) => place + 1)
    await clinic.addPeople(ids)
    await clinic.db.execute(
      `CREATE TABLE secrets (id int PRIMARY KEY, person_id bigint NOT NULL, CONSTRAINT secrets_person FOREIGN KEY (person_id) REFERENCES people)`,
    )
    try {
      await clinic.db.execute(`INSERT INTO secrets VALUES (1, 6)`)
      const run = await clinic.run()
      const proposal = await clinic.propose(ids)
      const outcome = await runBatch(
        clinic.db,
        clinic.plan,
        run.batch(1n, ids, { proposalId: proposal }),
        hooks,
      )
      expect(outcome.done).toHaveLength(8)
      expect(outcome.blocked).toEqual([{ ordinal: 6n, constraint: 'secrets_person' }])
      expect(await clinic.population(proposal)).toEqual({ 6: 'blocked secrets_person' })
      expect(await clinic.counts()).toMatchObject({ people: 1, samples: 3, visits: 2 })
    } finally {
      await clinic.db.execute(`DROP TABLE secrets`)
    }
  })

  test('a deferred foreign key is found inside the batch, not at commit', async () => {
    await clinic.addPeople([1, 2])
    await clinic.db.execute(
      `CREATE TABLE secrets (person_id bigint CONSTRAINT later REFERENCES people DEFERRABLE INITIALLY DEFERRED)`,
    )
    try {
      await clinic.db.execute(`INSERT INTO secrets VALUES (1)`)
      const run = await clinic.run()
      const outcome = await runBatch(clinic.db, clinic.plan, run.batch(1n, [1, 2]), hooks)
      expect(outcome).toMatchObject({ done: [2n], blocked: [{ ordinal: 1n, constraint: 'later' }] })
    } finally {
      await clinic.db.execute(`DROP TABLE secrets`)
    }
  })

  test('a trigger that swallows the root’s deletion is found in the same batch', async () => {
    await clinic.addPeople([1, 2])
    await clinic.db.execute(
      `CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         IF OLD.id = 1 THEN RETURN NULL; END IF; RETURN OLD; END $$`,
    )
    await clinic.db.execute(
      `CREATE TRIGGER lies BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION swallow()`,
    )
    try {
      const run = await clinic.run()
      const outcome = await runBatch(clinic.db, clinic.plan, run.batch(1n, [1, 2]), hooks)
      expect(outcome).toMatchObject({
        done: [2n],
        blocked: [{ ordinal: 1n, constraint: 'root-not-removed' }],
      })
      expect(await clinic.count('samples')).toBe(3)
    } finally {
      await clinic.db.execute(`DROP FUNCTION swallow CASCADE`)
    }
  })

  test('a search for what blocks ends after its time, with at least one subject decided', async () => {
    const ids = Array.from({ length: 8 }, (_, place) => place + 1)
    await clinic.addPeople(ids)
    await clinic.db.execute(
      `CREATE TABLE secrets (person_id bigint CONSTRAINT all_of_them REFERENCES people)`,
    )
    try {
      await clinic.db.execute(`INSERT INTO secrets SELECT id FROM people`)
      const run = await clinic.run()
      const outcome = await runBatch(clinic.db, clinic.plan, run.batch(1n, ids, { searchMs: 0 }), hooks)
      expect(outcome.blocked).toHaveLength(1)
      expect(outcome.deferred).toHaveLength(7)
    } finally {
      await clinic.db.execute(`DROP TABLE secrets`)
    }
  })

  test('neither an error nor what is said of who refused carries a row value', async () => {
    await clinic.addPeople([1])
    await clinic.db.execute(
      `CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         RAISE EXCEPTION 'can not remove %', OLD.email USING ERRCODE = CASE OLD.id WHEN 1 THEN '53100' ELSE '22023' END; END $$`,
    )
    await clinic.db.execute(
      `CREATE TRIGGER loud BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION shout()`,
    )
    try {
      const run = await clinic.run()
      const error = await runBatch(clinic.db, clinic.plan, run.batch(1n, [1]), hooks).catch((e: unknown) => e)
      expect(error).toBeInstanceOf(LetheError)
      expect(JSON.stringify(error) + String(error)).not.toContain('example.invalid')
      await clinic.addPeople([2])
      expect((await runBatch(clinic.db, clinic.plan, run.batch(2n, [2]), hooks)).blocked).toEqual([
        { ordinal: 2n, constraint: 'shout (SQLSTATE 22023)' },
      ])
    } finally {
      await clinic.db.execute(`DROP FUNCTION shout CASCADE`)
    }
  })
})

describe('a root that must stay', () => {
  test('is pseudonymised once, recorded with its ground and end, and left alone until then', async () => {
    await clinic.addPeople([1, 2])
    await clinic.db.execute(
      `INSERT INTO invoices (person_id, name, keep_until) VALUES (1, 'Ann', now() + interval '1 year')`,
    )
    const run = await clinic.run()
    const proposal = await clinic.propose([1, 2])
    const outcome = await runBatch(
      clinic.db,
      clinic.plan,
      run.batch(1n, [1, 2], { proposalId: proposal }),
      hooks,
    )
    expect(outcome.done).toEqual([1n, 2n])
    expect(outcome.kept).toMatchObject([{ ordinal: 1n }])
    expect(await clinic.counts()).toEqual({ people: 1, addresses: 0, visits: 0, samples: 0, invoices: 1 })
    expect(await clinic.count('people', `email LIKE 'ps\\_%'`)).toBe(1)
    expect(await clinic.count('invoices', `name = 'erased'`)).toBe(1)
    expect(
      await clinic.count(
        'lethe.kept_roots',
        `root_key = ARRAY['1'] AND until > now() AND ground ~ 'invoices'`,
      ),
    ).toBe(1)
    const again = await runBatch(clinic.db, clinic.plan, run.batch(2n, [1]), hooks)
    expect(again).toMatchObject({ rows: 0, skipped: [{ ordinal: 1n, reason: 'kept' }] })
  })

  test('goes for good when the ground has ended', async () => {
    await clinic.addPeople([1])
    await clinic.db.execute(
      `INSERT INTO invoices (person_id, name, keep_until) VALUES (1, 'Ann', now() + interval '1 year')`,
    )
    const run = await clinic.run()
    await runBatch(clinic.db, clinic.plan, run.batch(1n, [1]), hooks)
    await clinic.db.execute(`UPDATE invoices SET keep_until = now() - interval '1 day'`)
    const outcome = await runBatch(clinic.db, clinic.plan, run.batch(2n, [1]), hooks)
    expect(outcome).toMatchObject({ done: [1n], kept: [] })
    expect(await clinic.counts()).toMatchObject({ people: 0, invoices: 0 })
    expect(await clinic.count('lethe.kept_roots')).toBe(0)
  })

  test('loses each row when its own ground has ended, and stays for the sake of the others', async () => {
    await clinic.addPeople([1])
    await clinic.db.execute(
      `INSERT INTO invoices (person_id, name, keep_until) SELECT 1, 'Ann', now() + n * interval '1 year' FROM generate_series(1, 2) n`,
    )
    const run = await clinic.run()
    const first = await runBatch(clinic.db, clinic.plan, run.batch(1n, [1]), hooks)
    expect(first.pseudonymised).toEqual({ 'public.people': 1, 'public.invoices': 2 })
    await clinic.db.execute(`UPDATE invoices SET keep_until = now() - interval '1 day' WHERE id % 2 = 0`)
    const second = await runBatch(clinic.db, clinic.plan, run.batch(2n, [1]), hooks)
    // what was pseudonymised before is no news
    expect(second).toMatchObject({ removed: { 'public.invoices': 1 }, pseudonymised: {}, kept: [{}] })
    expect(await clinic.counts()).toMatchObject({ people: 1, invoices: 1 })
    const third = await runBatch(clinic.db, clinic.plan, run.batch(3n, [1]), hooks)
    expect(third).toMatchObject({ rows: 0, skipped: [{ ordinal: 1n, reason: 'kept' }] })
  })
})

describe('an oversized subject', () => {
  const piece = { pieceRows: 4 }

  test('goes in pieces, each a batch of its own, the root last', async () => {
    await clinic.addPeople([1])
    await clinic.db.execute(`INSERT INTO samples (person_ref) SELECT 1 FROM generate_series(1, 20)`)
    const run = await clinic.run()
    const proposal = await clinic.propose([1], { 1: 27 })
    const rows: number[] = []
    for (let number = 1n; ; number += 1n) {
      const outcome = await runBatch(
        clinic.db,
        clinic.plan,
        run.batch(number, [1], { ...piece, proposalId: proposal }),
        hooks,
      )
      rows.push(outcome.rows)
      if (!outcome.more) break
      expect(await clinic.count('people')).toBe(1)
      expect(await clinic.population(proposal)).toEqual({ 1: 'removing' })
    }
    expect(Math.max(...rows)).toBeLessThanOrEqual(6)
    expect(rows.reduce((sum, n) => sum + n, 0)).toBe(27)
    expect(await clinic.counts()).toEqual({ people: 0, addresses: 0, visits: 0, samples: 0, invoices: 0 })
    expect(await clinic.count('lethe.removing')).toBe(0)
    expect(await clinic.population(proposal)).toEqual({})
  })

  test('once begun is finished, whatever its guards say, by any run and after any crash', async () => {
    await clinic.addPeople([1])
    const run = await clinic.run()
    const proposal = await clinic.propose([1], { 1: 7 })
    const first = await runBatch(
      clinic.db,
      clinic.plan,
      run.batch(1n, [1], { ...piece, proposalId: proposal }),
      hooks,
    )
    expect(first).toMatchObject({ more: true, removing: [1n], notErased: [] })
    await clinic.db.execute(`UPDATE people SET deleted_at = NULL`)
    await clinic.hold({ level: 'subject', key: ['1'] })
    const other = await clinic.run()
    let outcome = first
    for (let number = 1n; outcome.more; number += 1n)
      outcome = await runBatch(
        clinic.db,
        clinic.plan,
        other.batch(number, [1], { ...piece, proposalId: proposal }),
        hooks,
      )
    expect(outcome.done).toEqual([1n])
    expect(await clinic.counts()).toEqual({ people: 0, addresses: 0, visits: 0, samples: 0, invoices: 0 })
  })

  test('not begun is left alone where a guard speaks against it', async () => {
    await clinic.addPeople([1])
    await clinic.hold({ level: 'subject', key: ['1'] })
    const run = await clinic.run()
    const outcome = await runBatch(clinic.db, clinic.plan, run.batch(1n, [1], piece), hooks)
    expect(outcome).toMatchObject({ more: false, skipped: [{ ordinal: 1n, reason: 'held' }], rows: 0 })
  })

  test('that is locked in the middle stays begun and is not voided', async () => {
    await clinic.addPeople([1])
    const run = await clinic.run()
    await runBatch(clinic.db, clinic.plan, run.batch(1n, [1], piece), hooks)
    const locked = latch()
    const release = latch()
    const other = clinic.db.transaction(async (tx) => {
      await tx.execute(`UPDATE people SET email = 'x' WHERE id = 1`)
      locked.open()
      await release.opened
    })
    await locked.opened
    const outcome = await runBatch(clinic.db, clinic.plan, run.batch(2n, [1], piece), hooks)
    expect(outcome).toMatchObject({ removing: [1n], locked: [], notErased: [], more: false })
    release.open()
    await other
  })
})
