/**
 * What retention may and must do, in memory, beside the real thing. Where a kill or a stop makes the outcome uncertain
 * the model reads what happened and asks whether that was allowed.
 */
import { expect } from 'vitest'
import {
  armStatement,
  decide,
  decisionStatement,
  findPolicy,
  setMode,
  startSweep,
} from '../../jobs/retention/index.ts'
import { getProposal, type Mode } from '../../lib/record/proposals/index.ts'
import { addHold, releaseHold, holdStatement, releaseStatement } from '../../jobs/holds.ts'
import { total } from '../../lib/base/counts/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import { finalStates, requestRun, type Run } from '../../lib/record/ledger/index.ts'
import type { Incident } from '../support/stages/interrupted.ts'
import { policyName, tables, type SweepHouse } from '../support/stages/sweep-house.ts'

export const SUBJECTS = 20
/** These have more rows than one batch takes: they go in pieces. */
const HEAVY = new Set([6, 13])
const PERIOD = 30
const PROPOSAL_DAYS = 30

interface Person {
  id: number
  tenant: number
  rows: number
  /** Day of the soft delete; null: not deleted. */
  deletedOn: number | null
  /** The application's own reason to keep it. */
  keep: boolean
  /** Preserved by a decision. */
  exempt: boolean
  gone: boolean
  begun: boolean
}

interface Sweep {
  run: string
  proposal: string | null
  proposedOn: number
  population: Set<number>
  decision: 'destroy' | 'reject' | 'preserve' | null
  paused: boolean
  cancelled: boolean
}

export interface Model {
  house: SweepHouse
  day: number
  armed: boolean
  people: Map<number, Person>
  holds: { id: string; covers: (person: Person) => boolean }[]
  sweep: Sweep | null
  /** Rows that were ever there. */
  rows: number
}

export async function firstDay(house: SweepHouse): Promise<Model> {
  await house.empty()
  const people = new Map<number, Person>()
  for (let id = 1; id <= SUBJECTS; id += 1)
    people.set(id, {
      id,
      tenant: id % 3,
      rows: HEAVY.has(id) ? 259 : 9,
      deletedOn: id % 4 === 0 ? null : -7 * (id % 9),
      keep: false,
      exempt: false,
      gone: false,
      begun: false,
    })
  const list = [...people.values()]
  await house.app.execute(
    `INSERT INTO people SELECT id, tenant, 'p' || id || '@example.invalid', false, now() - make_interval(days => ago)
     FROM unnest($1::bigint[], $2::int[], $3::int[]) AS u(id, tenant, ago)`,
    [
      list.map((one) => one.id),
      list.map((one) => one.tenant),
      list.map((one) => (one.deletedOn === null ? null : -one.deletedOn)),
    ],
  )
  await house.app.execute(`INSERT INTO visits SELECT id * 100 + n, id FROM people, generate_series(1, 2) n`)
  await house.app.execute(
    `INSERT INTO notes (visit_id, body) SELECT id, 'note' FROM visits, generate_series(1, 2)`,
  )
  await house.app.execute(
    `INSERT INTO samples (person_ref, value) SELECT id, 'value' FROM people, generate_series(1, CASE WHEN id = ANY ($1) THEN 252 ELSE 2 END)`,
    [[...HEAVY]],
  )
  return {
    house,
    day: 0,
    armed: false,
    people,
    holds: [],
    sweep: null,
    rows: list.reduce((sum, one) => sum + one.rows, 0),
  }
}

// ---------------------------------------------------------------- what the model says

function isHeld(model: Model, person: Person): boolean {
  return person.keep || person.exempt || model.holds.some((hold) => hold.covers(person))
}

function isDue(person: Person, cutoff: number): boolean {
  return person.deletedOn !== null && person.deletedOn <= cutoff
}

/** Those whom the sweep under way may remove now; nobody outside this set ever goes. */
function mayGo(model: Model): Set<number> {
  const { sweep } = model
  const may = new Set([...model.people.values()].filter((one) => one.begun).map((one) => one.id))
  if (sweep === null || sweep.decision !== 'destroy' || !model.armed || sweep.cancelled) return may
  for (const id of sweep.population) {
    const person = personOf(model, id)
    if (!person.gone && isDue(person, sweep.proposedOn - PERIOD) && !isHeld(model, person)) may.add(id)
  }
  return may
}

export function personOf(model: Model, id: number): Person {
  const person = model.people.get(id)
  if (person === undefined) throw new Error(`no person ${id}`)
  return person
}

function living(model: Model): Person[] {
  return [...model.people.values()].filter((one) => !one.gone)
}

// ---------------------------------------------------------------- reading reality back

/** Compares the world with the model after work was done; `may` was asked before it, `certain`: nothing interfered. */
async function settle(
  model: Model,
  may: ReadonlySet<number>,
  certain: boolean,
  dueBefore = dueNow(model),
): Promise<void> {
  const { present, begun } = await model.house.people()
  for (const person of living(model)) {
    if (!present.has(person.id)) {
      expect(may, `person ${person.id} went, and was not allowed to`).toContain(person.id)
      person.gone = true
    }
    if (begun.has(person.id))
      expect(may, `person ${person.id} was begun, and was not allowed to go`).toContain(person.id)
    person.begun = begun.has(person.id)
  }
  await settleRun(model, may, certain, dueBefore)
  await checkRows(model)
}

async function settleRun(
  model: Model,
  may: ReadonlySet<number>,
  certain: boolean,
  dueBefore: ReadonlySet<number>,
): Promise<void> {
  const { sweep } = model
  if (sweep === null) return
  const run = await model.house.run(sweep.run)
  await settleProposal(model, sweep, run, dueBefore)
  sweep.paused = run.state === 'paused'
  sweep.cancelled ||= run.request === 'cancel'
  if (!finalStates.includes(run.state)) return
  expect(
    ['succeeded', 'cancelled'],
    `run ended ${run.state}: ${run.errorCode} ${run.errorMessage}`,
  ).toContain(run.state)
  model.sweep = null
  for (const person of living(model)) {
    if (run.outcome === 'preserved' && sweep.population.has(person.id)) person.exempt = true
    expect(person.begun, `the run ended with person ${person.id} half removed`).toBe(false)
    if (certain && run.outcome === 'executed')
      expect(may, `person ${person.id} was due, approved and not held, and stayed`).not.toContain(person.id)
  }
  await checkRecord(model)
}

function dueNow(model: Model): Set<number> {
  return new Set(
    living(model)
      .filter((one) => isDue(one, model.day - PERIOD) && !isHeld(model, one))
      .map((one) => one.id),
  )
}

/** The proposal must have found exactly whom the model finds: now, or before what happened while it was made. */
async function settleProposal(
  model: Model,
  sweep: Sweep,
  run: Run,
  dueBefore: ReadonlySet<number>,
): Promise<void> {
  if (sweep.proposal !== null || run.counters['proposed'] === undefined) return
  sweep.proposal = String(run.cursor['proposal'])
  sweep.proposedOn = model.day
  const { population } = await getProposal(model.house.control, sweep.proposal)
  const due = dueNow(model)
  sweep.population = new Set(population === due.size ? due : dueBefore)
  expect(population).toBe(sweep.population.size)
}

/** Children go with their root and not before it; what is gone is what the batches counted. */
async function checkRows(model: Model): Promise<void> {
  const { byTable, mine, orphans } = await model.house.rows()
  expect(orphans, 'rows without their person').toBe(0)
  for (const person of living(model))
    if (!person.begun) expect(mine.get(person.id), `rows of person ${person.id}`).toBe(person.rows)
  const { target } = await model.house.counters()
  const left = tables.reduce((sum, table) => sum + byTable[table], 0)
  expect(total(target), 'rows counted by the batches').toBe(model.rows - left)
}

/** With no run under way the ledger agrees with the target: counters, and one live entry for each who is gone. */
async function checkRecord(model: Model): Promise<void> {
  const { target, control } = await model.house.counters()
  expect(control).toEqual(target)
  const entries = await model.house.liveEntries([...model.people.keys()])
  const gone = [...model.people.values()].filter((one) => one.gone)
  expect([...entries].toSorted((a, b) => a[0] - b[0])).toEqual(gone.map((one) => [one.id, 1]))
}

/** The sweep under way ends without interruption, and one more finds and removes all that is due and free. */
export async function endOfDays(model: Model): Promise<void> {
  await mode(model, 'armed')
  await toTheEnd(model)
  await begin(model)
  await toTheEnd(model)
  for (const person of model.people.values())
    expect(
      person.gone || !isDue(person, model.day - PERIOD) || isHeld(model, person),
      `person ${person.id} is due and free`,
    ).toBe(true)
  await checkRecord(model)
}

async function toTheEnd(model: Model): Promise<void> {
  for (let round = 0; model.sweep !== null; round += 1) {
    expect(round, 'a run that does not end').toBeLessThan(20)
    const { sweep } = model
    if (sweep.paused) await ask(model, 'resume')
    if (sweep.decision === null && sweep.proposal !== null) await tryDecide(model, 'destroy')
    await workOn(model)
  }
}

// ---------------------------------------------------------------- what happens

export async function workOn(model: Model, incident?: Incident): Promise<void> {
  const may = mayGo(model)
  await model.house.work(incident)
  await settle(model, may, incident === undefined)
}

export async function mode(model: Model, wanted: Mode): Promise<void> {
  const policy = findPolicy(model.house.context, policyName)
  await setMode(
    model.house.context,
    policyName,
    wanted,
    await model.house.sign(armStatement(policy, wanted, 'model')),
  )
  model.armed = wanted === 'armed'
  if (wanted === 'observe' && model.sweep !== null) model.sweep.cancelled = true
}

export async function begin(model: Model): Promise<void> {
  const run = await startSweep(model.house.context, policyName, 'model')
  model.sweep = {
    run: run.id,
    proposal: null,
    proposedOn: 0,
    population: new Set(),
    decision: null,
    paused: false,
    cancelled: false,
  }
}

export async function ask(model: Model, request: 'pause' | 'resume' | 'cancel'): Promise<void> {
  const { sweep } = model
  if (sweep === null) return
  const asked = await requestRun(model.house.control, sweep.run, request, 'model').catch(illegal)
  if (asked === null) return
  if (request === 'cancel') sweep.cancelled = true
  sweep.paused = asked.state === 'paused'
  if (finalStates.includes(asked.state)) {
    model.sweep = null
    await checkRecord(model)
  }
}

/** A request that the run's state forbids is refused, and that is all. */
function illegal(error: unknown): null {
  if (error instanceof LetheError && error.code === 'E_ILLEGAL_TRANSITION') return null
  throw error
}

export async function tryDecide(model: Model, outcome: 'destroy' | 'reject' | 'preserve'): Promise<void> {
  const { sweep } = model
  if (sweep?.proposal === null || sweep?.proposal === undefined) return
  const proposal = await getProposal(model.house.control, sweep.proposal)
  const decision = { proposalId: proposal.id, outcome, overrides: [], reason: 'model' }
  const by = await model.house.sign(decisionStatement(proposal, decision))
  const open = proposal.state === 'waiting' && model.day - sweep.proposedOn < PROPOSAL_DAYS
  if (!open) {
    await expect(decide(model.house.context, decision, by)).rejects.toMatchObject({
      code: 'E_PROPOSAL_DECIDED',
    })
    return
  }
  await decide(model.house.context, decision, by)
  sweep.decision = outcome
}

export async function softDelete(model: Model, id: number): Promise<void> {
  const touched = await model.house.app.execute(
    'UPDATE people SET deleted_at = now() WHERE id = $1 AND deleted_at IS NULL',
    [id],
  )
  if (touched > 0) personOf(model, id).deletedOn = model.day
}

export async function restore(model: Model, id: number): Promise<boolean> {
  const touched = await model.house.app.execute('UPDATE people SET deleted_at = NULL WHERE id = $1', [id])
  if (touched > 0) personOf(model, id).deletedOn = null
  return touched > 0
}

export async function hold(
  model: Model,
  level: 'subject' | 'tenant' | 'row',
  id: number,
): Promise<{ gone: boolean | null }> {
  const person = personOf(model, id)
  const places = {
    subject: { subject: 'person', key: [spelled(id, model.day + id)] },
    tenant: { subject: 'person', key: [`0${person.tenant}`] },
    row: { table: 'public.visits', key: [` ${id * 100 + 1}`] },
  }
  const wanted = {
    level,
    store: 'app',
    kind: 'legal-claim' as const,
    owner: 'legal',
    reason: 'model',
    reviewAt: '2999-01-01',
    ...places[level],
  }
  const added = await addHold(
    model.house.context,
    wanted,
    await model.house.sign(holdStatement(model.house.context, wanted)),
  )
  const covers =
    level === 'tenant'
      ? (other: Person) => other.tenant === person.tenant
      : (other: Person) => other.id === id
  model.holds.push({ id: added.id, covers })
  return { gone: added.alreadyGone }
}

/** The application writes a key in another way; it is the same one. */
export async function respell(model: Model, id: number): Promise<void> {
  await model.house.app.execute('UPDATE people SET id = $2::numeric WHERE id = $1', [
    id,
    spelled(id, model.day + 1),
  ])
}

function spelled(id: number, how: number): string {
  return `${id}.${'0'.repeat(Math.abs(how) % 4)}`
}

export async function release(model: Model, index: number): Promise<void> {
  const found = model.holds[index % Math.max(1, model.holds.length)]
  if (found === undefined) return
  await releaseHold(
    model.house.context,
    found.id,
    await model.house.sign(releaseStatement(found.id, 'model')),
  )
  model.holds = model.holds.filter((one) => one !== found)
}

export async function setKeep(model: Model, id: number, keep: boolean): Promise<void> {
  const touched = await model.house.app.execute('UPDATE people SET keep = $2 WHERE id = $1', [id, keep])
  if (touched > 0) personOf(model, id).keep = keep
}

export async function addNote(model: Model, id: number): Promise<void> {
  const person = personOf(model, id)
  if (person.begun) return
  const added = await model.house.app.execute(
    `INSERT INTO notes (visit_id, body) SELECT id, 'later' FROM visits WHERE person_id = $1`,
    [id],
  )
  person.rows += added
  model.rows += added
}

export async function pass(model: Model, days: number): Promise<void> {
  await model.house.pass(days)
  model.day += days
}

/** Something happens while a worker is busy. What came in time counts; what came too late is told so. */
export async function beside(
  model: Model,
  at: number,
  what: 'restore' | 'hold' | 'pause' | 'cancel' | 'observe',
  id: number,
): Promise<void> {
  const may = mayGo(model)
  const dueBefore = dueNow(model)
  const wasBegun = personOf(model, id).begun
  let saved = false
  const act = async () => {
    if (what === 'restore') saved = await restore(model, id)
    else if (what === 'hold') saved = (await hold(model, 'subject', id)).gone === false
    else if (what === 'observe') await mode(model, 'observe')
    else await ask(model, what)
  }
  await model.house.work({ at, act })
  const { begun, present } = await model.house.people()
  // of one that goes in pieces the decision is final at the first piece; a hold says so, a plain update can't know
  const final = wasBegun || begun.has(id) || (what === 'restore' && HEAVY.has(id))
  if (saved && !final) expect(present, `person ${id} was saved in time and went`).toContain(id)
  await settle(model, may, false, dueBefore)
}
