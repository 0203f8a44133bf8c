/**
 * Random lives of a small application, checked against a model. A failure prints its seed and path: run it again with
 * LETHE_MODEL_SEED and LETHE_MODEL_PATH; LETHE_MODEL_RUNS asks for more sequences.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freshDatabase } from '../support/servers/shared.ts'
import { openSweepHouse, type SweepHouse } from '../support/stages/sweep-house.ts'
import {
  SUBJECTS,
  addNote,
  ask,
  begin,
  beside,
  endOfDays,
  firstDay,
  hold,
  mode,
  pass,
  personOf,
  release,
  respell,
  restore,
  setKeep,
  softDelete,
  tryDecide,
  workOn,
  type Model,
} from './retention-model.ts'
import { modelRuns } from './runs.ts'

let house: SweepHouse
beforeAll(async () => {
  house = await openSweepHouse({ control: await freshDatabase(), app: await freshDatabase() })
})
afterAll(() => house.close())

it('Whatever happens in whatever order: held, young and unapproved rows stay, due ones go, and every count agrees.', async () => {
  await fc.assert(
    fc.asyncProperty(commands(), async (list) => {
      const model = await firstDay(house)
      await fc.asyncModelRun(() => ({ model, real: house }), list)
      await endOfDays(model)
    }),
    modelRuns(40),
  )
}, 3_700_000)

it('A sweep that was killed anywhere and then cancelled has every batch on record', async () => {
  for (let at = 150; at < 330; at += 12) {
    const model = await firstDay(house)
    await mode(model, 'armed')
    await begin(model)
    await workOn(model)
    await tryDecide(model, 'destroy')
    await workOn(model, { at, act: 'kill' })
    await ask(model, 'cancel')
    await endOfDays(model)
  }
}, 120_000)

type Act = (model: Model, who: number) => Promise<unknown>

class Command implements fc.AsyncCommand<Model, SweepHouse> {
  readonly what: string
  readonly pick: number
  readonly check: (model: Readonly<Model>) => boolean
  readonly act: Act
  /** Whom it met, once it has run. */
  met = ''
  constructor(what: string, pick: number, act: Act, check: (model: Readonly<Model>) => boolean = () => true) {
    this.what = what
    this.pick = pick
    this.act = act
    this.check = check
  }
  async run(model: Model): Promise<void> {
    const who = chosen(model, this.pick)
    this.met = ` ${who}`
    await this.act(model, who)
  }
  toString(): string {
    return `${this.what}${this.pick < 0 ? '' : this.met}`
  }
}

/** Mostly somebody of the proposal: what happens to others seldom matters. */
function chosen(model: Model, pick: number): number {
  const population = [...(model.sweep?.population ?? [])]
  const member = population[pick % Math.max(1, population.length)]
  return pick % 3 === 0 || member === undefined ? 1 + (pick % SUBJECTS) : member
}

const running = (model: Readonly<Model>) => model.sweep !== null
const idle = (model: Readonly<Model>) => model.sweep === null
const undecided = (model: Readonly<Model>) => model.sweep !== null && model.sweep.proposal !== null

function commands() {
  type Check = (model: Readonly<Model>) => boolean
  const one = (weight: number, what: string, act: Act, check?: Check) => ({
    weight,
    arbitrary: fc.constant(new Command(what, -1, act, check)),
  })
  const someone = (weight: number, what: string, act: Act, check?: Check) => ({
    weight,
    arbitrary: fc.nat({ max: 999 }).map((pick) => new Command(what, pick, act, check)),
  })
  // the first messages of a process are its start; then come its batches
  const message = fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 20, max: 400 }))
  const incident = (weight: number, act: 'kill' | 'lose' | 'stop') => ({
    weight,
    arbitrary: message.map(
      (at) => new Command(`${act} at ${at}`, -1, (model) => workOn(model, { at, act }), running),
    ),
  })
  const besides = fc
    .tuple(
      message,
      fc.constantFrom('restore', 'hold', 'restore', 'hold', 'pause', 'cancel', 'observe'),
      fc.nat(),
    )
    .map(
      ([at, what, pick]) =>
        new Command(`at ${at} ${what}`, pick, (model, who) => beside(model, at, what, who), running),
    )
  // an entry of the ledger stands ahead of its batch: killed between the two and called off, it must be voided
  const calledOff = fc.integer({ min: 20, max: 200 }).map(
    (at) =>
      new Command(
        `kill at ${at} and call off`,
        -1,
        async (model) => {
          await workOn(model, { at, act: 'kill' })
          await ask(model, 'cancel')
          if (model.sweep !== null) await workOn(model)
        },
        (model) => model.sweep?.decision === 'destroy' && !model.sweep.paused,
      ),
  )
  const anew = async (model: Model) => {
    if (!model.armed) await mode(model, 'armed')
    await begin(model)
    await workOn(model)
  }
  const held = (level: 'subject' | 'tenant' | 'row') => async (model: Model, who: number) => {
    const { gone, begun } = personOf(model, who)
    const told = await hold(model, level, who)
    expect(told.gone).toBe(level === 'subject' ? gone || begun : null)
  }
  const command = fc.oneof(
    someone(2, 'soft-delete', softDelete),
    someone(4, 'restore', restore),
    someone(2, 'keep', (model, who) => setKeep(model, who, true)),
    someone(1, 'let go', (model, who) => setKeep(model, who, false)),
    someone(1, 'add a note about', addNote),
    someone(2, 'spell anew', respell),
    someone(3, 'hold', held('subject')),
    someone(1, 'hold the tenant of', held('tenant')),
    someone(2, 'hold a row of', held('row')),
    someone(4, 'release', release, (model) => model.holds.length > 0),
    one(2, '7 days pass', (model) => pass(model, 7)),
    one(1, '14 days pass', (model) => pass(model, 14)),
    one(1, '35 days pass', (model) => pass(model, 35)),
    one(6, 'arm and propose', anew, idle),
    one(1, 'propose', begin, idle),
    one(
      1,
      'disarm',
      (model) => mode(model, 'observe'),
      (model) => model.armed,
    ),
    one(8, 'approve', (model) => tryDecide(model, 'destroy'), undecided),
    one(1, 'reject', (model) => tryDecide(model, 'reject'), undecided),
    one(1, 'preserve', (model) => tryDecide(model, 'preserve'), undecided),
    one(2, 'pause', (model) => ask(model, 'pause'), running),
    one(
      4,
      'resume',
      (model) => ask(model, 'resume'),
      (model) => model.sweep?.paused === true,
    ),
    one(1, 'cancel', (model) => ask(model, 'cancel'), running),
    one(4, 'work', (model) => workOn(model), running),
    incident(6, 'kill'),
    incident(2, 'lose'),
    incident(2, 'stop'),
    { weight: 6, arbitrary: besides },
    { weight: 4, arbitrary: calledOff },
  )
  return fc.commands([command], { maxCommands: 40, size: 'max' })
}
