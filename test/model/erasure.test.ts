/**
 * Random lives of erasure requests, checked against a model. A failure prints its seed and path: run it again with
 * LETHE_MODEL_SEED and LETHE_MODEL_PATH; LETHE_MODEL_RUNS asks for more sequences.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, it } from 'vitest'
import { openErasureHouse, type ErasureHouse } from '../support/stages/erasure-house.ts'
import {
  PEOPLE,
  approve,
  ask,
  cancel,
  cancelSql,
  claim,
  comeBack,
  disarm,
  endOfDays,
  firstDay,
  forgetHolds,
  hold,
  keep,
  passAndWork,
  propose,
  release,
  resumeStore,
  softDelete,
  stopStore,
  work,
  type Model,
} from './erasure-model.ts'
import { modelRuns } from './runs.ts'

let house: ErasureHouse
beforeAll(async () => {
  house = await openErasureHouse()
})
afterAll(() => house.close())

it('Whatever happens in whatever order: nobody who is held, stopped, cancelled in time or back loses a row, what was asked for is gone in the end, and the ledger and every count agree.', async () => {
  await fc.assert(
    fc.asyncProperty(commands(), async (list) => {
      const model = await firstDay(house)
      await fc.asyncModelRun(() => ({ model, real: house }), list)
      await endOfDays(model)
    }),
    modelRuns(8),
  )
}, 3_700_000)

class Command implements fc.AsyncCommand<Model, ErasureHouse> {
  readonly what: string
  readonly run: (model: Model) => Promise<void>
  readonly check: (model: Readonly<Model>) => boolean
  constructor(
    what: string,
    run: (model: Model) => Promise<void>,
    check: (model: Readonly<Model>) => boolean = () => true,
  ) {
    this.what = what
    this.run = run
    this.check = check
  }
  toString(): string {
    return this.what
  }
}

function commands() {
  type Check = (model: Readonly<Model>) => boolean
  const one = (weight: number, what: string, act: (model: Model) => Promise<void>, check?: Check) => ({
    weight,
    arbitrary: fc.constant(new Command(what, act, check)),
  })
  const someone = (
    weight: number,
    what: string,
    act: (model: Model, who: number, how: number) => Promise<void>,
  ) => ({
    weight,
    arbitrary: fc
      .tuple(fc.integer({ min: 1, max: PEOPLE }), fc.nat({ max: 5 }))
      .map(([who, how]) => new Command(`${what} ${who} (${how})`, (model) => act(model, who, how))),
  })
  // the first messages of a process are its start; then come its steps
  const message = fc.oneof(fc.integer({ min: 20, max: 120 }), fc.integer({ min: 60, max: 400 }))
  const incident = (weight: number, act: 'kill' | 'lose' | 'stop') => ({
    weight,
    arbitrary: message.map((at) => new Command(`${act} at ${at}`, (model) => work(model, { at, act }))),
  })
  const command = fc.oneof(
    someone(6, 'ask for', ask),
    someone(2, 'cancel for', cancel),
    someone(2, 'the application cancels for', cancelSql),
    someone(4, 'hold', hold),
    someone(3, 'release', release),
    someone(2, 'claim', (model, who) => claim(model, who, true)),
    someone(2, 'settle the claim on', (model, who) => claim(model, who, false)),
    someone(1, 'keep', (model, who) => keep(model, who, true)),
    someone(1, 'let go', (model, who) => keep(model, who, false)),
    someone(3, 'soft-delete', softDelete),
    someone(3, 'come back:', comeBack),
    one(2, 'restore the target’s holds', forgetHolds),
    one(4, 'propose', propose, (model) => model.run === null),
    one(6, 'approve', approve, (model) => model.run !== null),
    one(1, 'disarm', disarm, (model) => model.armed),
    one(2, 'stop the store', stopStore, (model) => !model.stopped),
    one(4, 'resume the store', resumeStore, (model) => model.stopped),
    one(4, 'work', (model) => work(model)),
    one(4, 'time passes', passAndWork),
    incident(4, 'kill'),
    incident(1, 'lose'),
    incident(1, 'stop'),
  )
  return fc.commands([command], { maxCommands: 30, size: 'max' })
}
