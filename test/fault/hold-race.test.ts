/** Holds that come in while a sweep is at work, as many as it takes batches: `hold add` never says a thing that isn't so. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import type { Attested } from '../../lib/people/identity/index.ts'
import { addHold, type HoldAdded, holdStatement } from '../../jobs/holds.ts'
import type { NewHold } from '../../lib/record/holds/index.ts'
import { freshDatabase } from '../support/servers/shared.ts'
import { openSweepStage, type SweepStage } from '../support/stages/sweep-stage.ts'

const SWEEPS = 6
/** Some of them go in pieces: the first piece is the one that a hold must come before. */
const isHeavy = (id: number) => id % 10 === 0
const notesOf = (id: number) => (isHeavy(id) ? 220 : 20)
const people = Array.from({ length: 150 }, (_, place) => ({ id: place + 1, notes: notesOf(place + 1) }))

let stage: SweepStage
/** Beforehand, so that a hold comes in within milliseconds. */
const signed: Attested[] = []
beforeAll(async () => {
  stage = await openSweepStage({ control: await freshDatabase(), app: await freshDatabase() }, { people })
  await stage.begin()
  await stage.finish()
  await stage.approve()
  await stage.save()
  for (const { id } of people) signed.push(await sign(id))
}, 60_000)
afterAll(() => stage.close())

it('When a hold has been added during a sweep, its subject is whole and stays so, or is said to be gone already.', async () => {
  const seen = { whole: 0, gone: 0 }
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    await stage.reset()
    const state = { over: false }
    const sweeping = stage.finish().finally(() => (state.over = true))
    const whole = new Set<number>()
    while (!state.over) {
      const before = await rowsLeft()
      const added = await Promise.all(
        victims(before, whole, sweep).map(async (id) => ({ person: id, gone: (await add(id)).alreadyGone })),
      )
      const after = await rowsLeft()
      for (const { person: id, gone } of added) {
        const left = after.get(id) ?? 0
        if (gone === true) expect(left, `person ${id}, said to be gone`).toBeLessThan(notesOf(id) + 1)
        else expect(left, `person ${id}, said to be held`).toBe(notesOf(id) + 1)
        seen[gone === true ? 'gone' : 'whole'] += 1
        if (gone !== true) whole.add(id)
      }
    }
    await sweeping
    const left = await rowsLeft()
    for (const { id, notes } of people)
      expect(left.get(id) ?? 0, `person ${id} after the sweep`).toBe(whole.has(id) ? notes + 1 : 0)
    expect(await stage.outcome()).toMatchObject({
      state: 'succeeded',
      population: 0,
      removing: 0,
      counters: { subjects: people.length - whole.size },
    })
    expect((await stage.outcome()).live).toHaveLength(people.length - whole.size)
  }
  // both sides of the race were met
  expect(seen.whole).toBeGreaterThan(SWEEPS)
  expect(seen.gone).toBeGreaterThan(0)
}, 240_000)

it('A hold that comes between a deletion and its commit waits for it, and says that the subject is gone.', async () => {
  const gone: (boolean | null)[] = []
  // a batch waits 200 ms for a lock; when this machine is slower than that, the batch is rolled back and nothing is shown
  for (let tries = 0; tries < 10 && !gone.includes(true); tries += 1) {
    await stage.reset()
    const { sweeping, adding } = await stage.app.transaction(async (tx) => {
      // the record of a batch is its last statement before the commit
      await tx.execute('LOCK TABLE lethe.batches IN SHARE MODE')
      const sweeping = stage.finish()
      await waiters('lethe.batches')
      let added = false
      const adding = add(1).finally(() => (added = true))
      await waiters('lethe.holds', () => added)
      return { sweeping, adding }
    })
    const { alreadyGone } = await adding
    await sweeping
    await stage.expire()
    await stage.finish()
    expect((await rowsLeft()).get(1) ?? 0).toBe(alreadyGone === true ? 0 : notesOf(1) + 1)
    gone.push(alreadyGone)
  }
  expect(gone).toContain(true)
}, 60_000)

/** Resolves once somebody waits for a lock on this table of the application's database, or when it is `over`. */
async function waiters(table: string, over: () => boolean = () => false): Promise<void> {
  while (!over()) {
    const waiting = await stage.app.execute(
      `SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
       WHERE NOT l.granted AND l.relation = to_regclass($1) AND d.datname = current_database()`,
      [table],
    )
    if (waiting > 0) return
  }
}

/**
 * Whom the sweep is about to take, or is taking: the first who are still there, and one of those who go in pieces. Some
 * are left to it, so that it gets on.
 */
function victims(left: ReadonlyMap<number, number>, held: ReadonlySet<number>, sweep: number): number[] {
  const next = people
    .map(({ id }) => id)
    .filter((id) => left.has(id) && !held.has(id))
    .sort((a, b) => Number(isHeavy(a)) - Number(isHeavy(b)) || a - b)
  return [next[sweep % 3], next[3 + (sweep % 4)], next.findLast(isHeavy)].filter((id) => id !== undefined)
}

async function add(id: number): Promise<HoldAdded> {
  const hold = holdOn(id)
  return addHold(stage.context, hold, signed[id - 1] ?? (await sign(id)))
}

function sign(id: number): Promise<Attested> {
  return stage.sign(holdStatement(stage.context, holdOn(id)))
}

function holdOn(id: number): NewHold {
  return {
    level: 'subject',
    store: 'app',
    subject: 'person',
    key: [String(id)],
    kind: 'legal-claim',
    owner: 'legal',
    reason: 'a claim came in during the sweep',
    reviewAt: '2030-01-01',
  }
}

/** The root counts as one row. */
async function rowsLeft(): Promise<Map<number, number>> {
  const rows = await stage.app.query(
    z.object({ id: z.coerce.number(), n: z.coerce.number() }),
    `SELECT id, count(*) AS n FROM (SELECT id FROM people UNION ALL SELECT person_id FROM notes) AS a GROUP BY id`,
  )
  return new Map(rows.map((row) => [row.id, row.n]))
}
