/** Holds that come in while a sweep is at work, as many as it takes batches: `hold add` never says a thing that isn't so. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { addHold, holdStatement, type NewHold } from '../../jobs/retention/index.ts'
import { freshDatabase } from '../support/shared.ts'
import { openSweepStage, type SweepStage } from '../support/sweep-stage.ts'

const SWEEPS = 6
/** Some of them go in pieces: the first piece is the one that a hold must come before. */
const notesOf = (id: number) => (id % 10 === 0 ? 220 : 20)
const people = Array.from({ length: 60 }, (_, place) => ({ id: place + 1, notes: notesOf(place + 1) }))

let stage: SweepStage
beforeAll(async () => {
  stage = await openSweepStage({ control: await freshDatabase(), app: await freshDatabase() }, { people })
  await stage.begin()
  await stage.finish()
  await stage.approve()
  await stage.save()
}, 60_000)
afterAll(() => stage.close())

it('When a hold has been added during a sweep, its subject is whole and stays so, or is said to be gone already.', async () => {
  const seen = { whole: 0, gone: 0 }
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    await stage.reset()
    let swept = false
    const sweeping = stage.finish().finally(() => (swept = true))
    const whole = new Set<number>()
    // from the end, where the sweep comes last, and from what it is at
    for (const id of victims(sweep)) {
      if (swept) break
      const hold = holdOn(id)
      const { alreadyGone } = await addHold(
        stage.context,
        hold,
        await stage.sign(holdStatement(stage.context, hold)),
      )
      const left = (await rowsLeft()).get(id) ?? 0
      if (alreadyGone === true) expect(left, `person ${id}, said to be gone`).toBeLessThan(notesOf(id) + 1)
      else expect(left, `person ${id}, said to be held`).toBe(notesOf(id) + 1)
      seen[alreadyGone === true ? 'gone' : 'whole'] += 1
      if (alreadyGone !== true) whole.add(id)
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

/** Every person once, in an order of its own for each sweep: some before the sweep gets there, some in the very batch. */
function victims(sweep: number): number[] {
  const step = [7, 11, 13, 17, 19, 23][sweep % 6] ?? 7
  return people.map((_, place) => 1 + ((place * step + sweep * 9) % people.length))
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
