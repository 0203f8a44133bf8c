/**
 * Random lives of a small application, checked against a model. A failure prints its seed and path: run it again with
 * LETHE_MODEL_SEED and LETHE_MODEL_PATH; LETHE_MODEL_RUNS asks for more sequences than fit a minute.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freshDatabase } from '../support/shared.ts'
import { openSweepHouse, type SweepHouse } from '../support/sweep-house.ts'
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
  restore,
  setKeep,
  softDelete,
  tryDecide,
  workOn,
  type Model,
} from './retention-model.ts'

let house: SweepHouse
beforeAll(async () => {
  house = await openSweepHouse({ control: await freshDatabase(), app: await freshDatabase() })
})
afterAll(() => house.close())

it('Whatever happens in whatever order: held, young and unapproved rows stay, due ones go, and every count agrees.', async () => {
  const { LETHE_MODEL_SEED: seed, LETHE_MODEL_PATH: path, LETHE_MODEL_RUNS: runs } = process.env
  let sequences = 0
  await fc.assert(
    fc.asyncProperty(commands(), async (list) => {
      sequences += 1
      const model = await firstDay(house)
      await fc.asyncModelRun(() => ({ model, real: house }), list)
      await endOfDays(model)
    }),
    {
      numRuns: Number(runs ?? 50),
      interruptAfterTimeLimit: runs === undefined ? 75_000 : 3_600_000,
      markInterruptAsFailure: false,
      ...(seed === undefined ? {} : { seed: Number(seed) }),
      ...(path === undefined ? {} : { path }),
    },
  )
  expect(sequences).toBeGreaterThan(5)
}, 3_700_000)

class Command implements fc.AsyncCommand<Model, SweepHouse> {
  readonly name: string
  readonly check: (model: Readonly<Model>) => boolean
  readonly act: (model: Model) => Promise<void>
  constructor(
    name: string,
    act: (model: Model) => Promise<void>,
    check: (model: Readonly<Model>) => boolean = () => true,
  ) {
    this.name = name
    this.act = act
    this.check = check
  }
  async run(model: Model): Promise<void> {
    await this.act(model)
  }
  toString(): string {
    return this.name
  }
}

const running = (model: Readonly<Model>) => model.sweep !== null
const waiting = (model: Readonly<Model>) => model.sweep !== null && model.sweep.proposal !== null

function commands() {
  const id = fc.integer({ min: 1, max: SUBJECTS })
  const message = fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 400 }))
  const one = (
    name: string,
    act: (model: Model) => Promise<void>,
    check?: (model: Readonly<Model>) => boolean,
  ) => fc.constant(new Command(name, act, check))
  const work = () => one('work', (model) => workOn(model), running)
  const decided = (outcome: 'destroy' | 'reject' | 'preserve') =>
    one(outcome, (model) => tryDecide(model, outcome), waiting)
  const incident = (act: 'kill' | 'lose' | 'stop') =>
    message.map((at) => new Command(`${act} at ${at}`, (model) => workOn(model, { at, act }), running))
  const requested = (request: 'pause' | 'resume' | 'cancel') =>
    one(request, (model) => ask(model, request), running)
  return fc.commands(
    [
      id.map((who) => new Command(`soft-delete ${who}`, (model) => softDelete(model, who))),
      id.map((who) => new Command(`restore ${who}`, async (model) => void (await restore(model, who)))),
      fc
        .tuple(id, fc.boolean())
        .map(([who, keep]) => new Command(`keep ${who} ${keep}`, (model) => setKeep(model, who, keep))),
      id.map((who) => new Command(`note ${who}`, (model) => addNote(model, who))),
      fc.tuple(fc.constantFrom('subject', 'tenant', 'row'), id).map(
        ([level, who]) =>
          new Command(`hold ${level} of ${who}`, async (model) => {
            const { gone, begun } = personOf(model, who)
            const told = await hold(model, level, who)
            expect(told.gone).toBe(level === 'subject' ? gone || begun : null)
          }),
      ),
      fc.nat({ max: 9 }).map(
        (index) =>
          new Command(
            `release ${index}`,
            (model) => release(model, index),
            (model) => model.holds.length > 0,
          ),
      ),
      fc
        .constantFrom(7, 14, 35)
        .map((days) => new Command(`${days} days pass`, (model) => pass(model, days))),
      one(
        'arm',
        (model) => mode(model, 'armed'),
        (model) => !model.armed,
      ),
      one(
        'arm and propose',
        async (model) => {
          await mode(model, 'armed')
          await begin(model)
          await workOn(model)
        },
        (model) => model.sweep === null,
      ),
      one(
        'disarm',
        (model) => mode(model, 'observe'),
        (model) => model.armed,
      ),
      one('propose', begin, (model) => model.sweep === null),
      work(),
      work(),
      decided('destroy'),
      decided('destroy'),
      decided('destroy'),
      decided('reject'),
      decided('preserve'),
      requested('pause'),
      requested('resume'),
      requested('resume'),
      requested('cancel'),
      incident('kill'),
      incident('kill'),
      incident('kill'),
      incident('lose'),
      incident('stop'),
      fc
        .tuple(message, fc.constantFrom('restore', 'hold', 'pause', 'cancel', 'observe'), id)
        .map(
          ([at, what, who]) =>
            new Command(`${what} (${who}) at ${at}`, (model) => beside(model, at, what, who), running),
        ),
    ],
    { maxCommands: 40, size: 'max' },
  )
}
