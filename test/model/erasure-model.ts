/**
 * What erasure requests and a policy that hands over may do, in memory, beside the real thing. Where a kill makes the outcome
 * uncertain, the model reads what happened and asks whether that was allowed.
 */
import { expect } from 'vitest'
import { z } from 'zod'
import { cancelRequest, ensureCascade } from '../../jobs/erasure/index.ts'
import { registry } from '../../jobs/registry.ts'
import {
  armStatement,
  decide,
  decisionStatement,
  findPolicy,
  setMode,
  startSweep,
} from '../../jobs/retention/index.ts'
import { runJob } from '../../jobs/runner.ts'
import { resume, stop, stopStatement } from '../../jobs/stops.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import { listProposals } from '../../lib/record/proposals/index.ts'
import { freeExpiredLeases, takeForEnqueue } from '../../lib/record/ledger/index.ts'
import { openOfSubject, type RequestState } from '../../lib/record/requests/index.ts'
import type { ErasureHouse } from '../support/stages/erasure-house.ts'
import { runInterrupted, type Incident } from '../support/stages/interrupted.ts'

export const PEOPLE = 6
const ids = Array.from({ length: PEOPLE }, (_, index) => index + 1)
const whole = { app: 3, sessions: 2, letters: 2, parcels: 2 }
/** What lies outside the application, and is destroyed for good. The access cut ends sessions before that, reversibly or not. */
const places = ['app', 'letters', 'parcels'] as const

const closed = {
  subject: 'person',
  when: 'soft-deleted',
  clock: 'root.deleted_at',
  unless: [{ name: 'keep', sql: 'root.keep' }],
  records_class: 'Closed accounts',
  limits: { rows: 1_000_000, share: 1, median_multiple: 1000 },
  growth_tolerance: 1,
  throttle: { max_rows: 100, lock_waiters: 1000, long_transaction_seconds: 86_400 },
}

/** Before anything was destroyed for a request: a cancel is followed, whatever the worker does meanwhile. */
const reversible: readonly RequestState[] = [
  'received',
  'confirmed',
  'assessed',
  'access-cut',
  'grace',
  'planned',
]

interface Person {
  id: number
  deleted: boolean
  /** On the policy's `unless`. */
  keep: boolean
  /** The application's own hold. */
  claimed: boolean
  holds: string[]
  /** What people asked for since no request of theirs was open: intake ids of the application, null for staff. */
  asked: (string | null)[]
  /** Approved in a proposal of the policy, and not let go since. */
  handedOver: boolean
  left: Record<string, number>
}

export interface Model {
  house: ErasureHouse
  people: Map<number, Person>
  stopped: boolean
  armed: boolean
  run: { id: string; population: Set<number> | null } | null
}

export async function firstDay(house: ErasureHouse): Promise<Model> {
  await house.empty()
  await house.app.execute('TRUNCATE people, visits, records, messages, loose')
  await house.configure({ policies: { closed } })
  await house.people(...ids)
  const people = new Map(
    ids.map((id): [number, Person] => [
      id,
      {
        id,
        deleted: false,
        keep: false,
        claimed: false,
        holds: [],
        asked: [],
        handedOver: false,
        left: { ...whole },
      },
    ]),
  )
  const model = { house, people, stopped: false, armed: false, run: null }
  for (const id of ids.filter((one) => one % 2 === 0)) await softDelete(model, id)
  return model
}

export function personOf(model: Model, id: number): Person {
  const person = model.people.get(id)
  if (person === undefined) throw new Error(`no person ${id}`)
  return person
}

// ---------------------------------------------------------------- what the model says

function isHeld(person: Person): boolean {
  return person.claimed || person.holds.length > 0
}

function byPolicy(model: Model, person: Person): boolean {
  return model.armed && person.handedOver && person.deleted && !person.keep
}

/** Whether somebody's rows may go now; where nobody asked, nothing of them changes. */
function mayGo(model: Model, person: Person): boolean {
  return !isHeld(person) && (person.asked.length > 0 || byPolicy(model, person))
}

function isWhole({ left }: Person): boolean {
  return places.every((place) => left[place] === whole[place])
}

function isGone({ left }: Person): boolean {
  return left['app'] === 0
}

// ---------------------------------------------------------------- reading reality back

async function openRequests({ house }: Model, id: number): Promise<string[]> {
  const hash = house.context.keystore.subjectHash('app', 'person', [String(id)])
  return openOfSubject(house.control, { store: 'app', subjectKind: 'person', hashes: [hash] })
}

async function waitingIntake({ house }: Model): Promise<Set<string>> {
  const rows = await house.app.query(
    z.object({ id: z.string() }),
    `SELECT id FROM lethe.intake WHERE verb = 'request' AND taken_at IS NULL`,
  )
  return new Set(rows.map(({ id }) => id))
}

/** Compares the world with the model after work was done. */
async function settle(model: Model): Promise<void> {
  for (const person of model.people.values()) {
    const left = await model.house.left(person.id)
    const may = mayGo(model, person)
    for (const place of places) {
      const free = may && !(model.stopped && place === 'app')
      if (!free) expect(left[place], `person ${person.id} in ${place} was not to go`).toBe(person.left[place])
    }
    if (person.asked.length === 0 && !person.handedOver)
      expect(left, `nobody asked for person ${person.id}`).toEqual(person.left)
    person.left = left
  }
  await settleRun(model)
  await settleRequests(model)
  await checkCounts(model)
}

async function settleRequests(model: Model): Promise<void> {
  const waiting = await waitingIntake(model)
  for (const person of model.people.values()) {
    if ((await openRequests(model, person.id)).length > 0) continue
    person.asked = person.asked.filter((asking) => asking !== null && waiting.has(asking))
    if (person.asked.length === 0 && model.run === null) person.handedOver = false
  }
}

async function settleRun(model: Model): Promise<void> {
  const { house, run } = model
  if (run === null) return
  const proposal = (await listProposals(house.control)).find((one) => one.runId === run.id)
  if (proposal !== undefined && run.population === null)
    run.population = new Set([...model.people.values()].filter(({ deleted }) => deleted).map(({ id }) => id))
  const [state] = await house.control.query(
    z.object({ ended: z.boolean() }),
    `SELECT state IN ('succeeded', 'failed', 'cancelled', 'lost') AS ended FROM lethe_control.runs WHERE id = $1`,
    [run.id],
  )
  if (state?.ended === true) model.run = null
}

/** What the target's batches say they removed is what is gone. */
async function checkCounts({ house, people }: Model): Promise<void> {
  const [row] = await house.app.query(
    z.object({ removed: z.coerce.number() }),
    `SELECT coalesce(sum(c.value::numeric), 0) AS removed
     FROM lethe.batches b, jsonb_each_text(b.event -> 'counters') c WHERE c.key LIKE 'removed.%'`,
  )
  const gone = [...people.values()].reduce((sum, { left }) => sum + whole.app - (left['app'] ?? 0), 0)
  expect(row?.removed, 'rows counted by the batches').toBe(gone)
}

/** Everything is allowed again, and all that was asked for ends: what completed is gone, and the ledger says it of nobody else. */
export async function endOfDays(model: Model): Promise<void> {
  if (model.stopped) await resumeStore(model)
  for (const person of model.people.values()) {
    while (person.holds.length > 0) await release(model, person.id)
    await claim(model, person.id, false)
  }
  const asked = [...model.people.values()].filter((one) => one.asked.length > 0)
  for (let round = 0; round < 6; round += 1) await passAndWork(model)
  for (const person of asked)
    expect(person.left, `person ${person.id} asked, and is not gone`).toMatchObject({
      app: 0,
      letters: 0,
      parcels: 0,
    })
  const ledger = await model.house.ledger(...ids)
  for (const person of model.people.values()) {
    if ((await openRequests(model, person.id)).length > 0) continue
    const named = ledger.includes(`app:${person.id}`)
    expect(named, `person ${person.id} in the ledger, with ${JSON.stringify(person.left)} left`).toBe(
      isGone(person),
    )
    if (isWhole(person)) expect(ledger.filter((one) => one.endsWith(`:${person.id}`))).toEqual([])
  }
  expect(ledger).not.toContain('app:nobody known')
}

// ---------------------------------------------------------------- what happens

/** Each due run is taken a few times: one that waits for a stop would be taken again for ever. */
export async function work(model: Model, incident?: Incident): Promise<void> {
  const { house } = model
  await ensureCascade(house.context, 'person')
  for (let round = 0; round < 5; round += 1) {
    await house.control.execute(
      `UPDATE lethe_control.runs SET lease_expires_at = clock_timestamp(), enqueued_at = NULL,
         next_attempt_at = CASE WHEN waiting_for = 'approval' THEN next_attempt_at ELSE least(next_attempt_at, clock_timestamp()) END
       WHERE state IN ('queued', 'running', 'waiting')`,
    )
    await freeExpiredLeases(house.control)
    const jobs = await takeForEnqueue(house.control)
    if (jobs.length === 0) break
    for (const job of jobs)
      if (incident !== undefined && round === 0) await runInterrupted(house.env, house.control, job, incident)
      else await runJob(house.context, registry, job, new AbortController().signal)
    if (incident !== undefined) break
  }
  await settle(model)
}

export async function passAndWork(model: Model): Promise<void> {
  await model.house.pass()
  await work(model)
}

const kinds = [
  `kind => 'article-17', identity => 'signed-in-session'`,
  `kind => 'account-closure', identity => 'signed-in-session'`,
]

export async function ask(model: Model, id: number, how: number): Promise<void> {
  const person = personOf(model, id)
  if (isGone(person)) return
  const kind = kinds[how % 3]
  person.asked.push(kind === undefined ? null : await model.house.askSql(id, kind))
  if (kind === undefined) await model.house.ask(id)
}

/** By staff, of whatever is open of the person. */
export async function cancel(model: Model, id: number): Promise<void> {
  const person = personOf(model, id)
  for (const request of await openRequests(model, id)) {
    const { state } = await model.house.request(request)
    const by = await model.house.by('erasure.cancel', request)
    const done = await cancelRequest(model.house.context, request, by).then(() => true, illegal)
    if (reversible.includes(state)) expect(done, `a cancel of a request that is ${state}`).toBe(true)
    if (!done) continue
    const waiting = await waitingIntake(model)
    person.asked = person.asked.filter((asking) => asking !== null && waiting.has(asking))
    if (model.run === null) person.handedOver = false
  }
}

function illegal(error: unknown): false {
  if (error instanceof LetheError && error.code === 'E_ILLEGAL_TRANSITION') return false
  throw error
}

/** By the application. It is sure to count where it was asked for by it alone, and nothing is begun. */
export async function cancelSql(model: Model, id: number): Promise<void> {
  const person = personOf(model, id)
  const [asking] = person.asked.filter((one) => one !== null)
  if (asking === undefined) return
  const open = await openRequests(model, id)
  const states = await Promise.all(open.map(async (one) => (await model.house.request(one)).state))
  await model.house.app.execute('SELECT lethe.cancel_erasure($1)', [asking])
  const sure = person.asked.length === 1 && states.every((state) => reversible.includes(state))
  if (sure) person.asked = []
}

/** A bigint has one value and many texts. */
const spellings = [(id: number) => `${id}`, (id: number) => `0${id}`, (id: number) => ` ${id}`]

export async function hold(model: Model, id: number, how: number): Promise<void> {
  const spelled = spellings[how % spellings.length] ?? String
  const added = await model.house.hold({ level: 'subject', subject: 'person', key: [spelled(id)] })
  personOf(model, id).holds.push(added.id)
}

export async function release(model: Model, id: number): Promise<void> {
  const found = personOf(model, id).holds.pop()
  if (found !== undefined) await model.house.release(found)
}

/** The target's holds are what they were before any: a restore. */
export async function forgetHolds(model: Model): Promise<void> {
  await model.house.app.execute('DELETE FROM lethe.holds')
}

export async function claim(model: Model, id: number, claimed: boolean): Promise<void> {
  await model.house.app.execute('UPDATE people SET claimed = $2 WHERE id = $1', [id, claimed])
  personOf(model, id).claimed = claimed
}

export async function keep(model: Model, id: number, kept: boolean): Promise<void> {
  await model.house.app.execute('UPDATE people SET keep = $2 WHERE id = $1', [id, kept])
  personOf(model, id).keep = kept
}

export async function softDelete(model: Model, id: number): Promise<void> {
  await model.house.app.execute(`UPDATE people SET deleted_at = now() - interval '90 days' WHERE id = $1`, [
    id,
  ])
  personOf(model, id).deleted = true
}

export async function comeBack(model: Model, id: number): Promise<void> {
  await model.house.app.execute('UPDATE people SET deleted_at = NULL WHERE id = $1', [id])
  personOf(model, id).deleted = false
}

async function mode(model: Model, wanted: 'armed' | 'observe'): Promise<void> {
  const { house } = model
  const statement = armStatement(findPolicy(house.context, 'closed'), wanted, 'model')
  await setMode(house.context, 'closed', wanted, await house.sign(statement))
  model.armed = wanted === 'armed'
}

export async function propose(model: Model): Promise<void> {
  if (!model.armed) await mode(model, 'armed')
  const run = await startSweep(model.house.context, 'closed', 'model')
  model.run = { id: run.id, population: null }
  await work(model)
}

export async function approve(model: Model): Promise<void> {
  const { house, run } = model
  if (run === null) return
  const proposal = (await listProposals(house.control)).find((one) => one.runId === run.id)
  if (proposal?.state !== 'waiting') return
  const decision = { proposalId: proposal.id, outcome: 'destroy' as const, overrides: [], reason: 'model' }
  await decide(house.context, decision, await house.sign(decisionStatement(proposal, decision)))
  for (const id of run.population ?? []) personOf(model, id).handedOver = true
}

/** Whoever was handed over and is not begun is let go at the next step; then the policy may be armed anew. */
export async function disarm(model: Model): Promise<void> {
  await mode(model, 'observe')
  await passAndWork(model)
}

export async function stopStore(model: Model): Promise<void> {
  const { house } = model
  await stop(house.context, 'app', await house.sign(stopStatement('store.stop', 'app', 'model')))
  model.stopped = true
}

export async function resumeStore(model: Model): Promise<void> {
  const { house } = model
  await resume(house.context, 'app', await house.sign(stopStatement('store.resume', 'app', 'model')))
  model.stopped = false
}
