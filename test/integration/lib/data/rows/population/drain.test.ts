import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  drainPopulation,
  populationStates,
  readProgress,
  remainingRoots,
  type BatchOutcome,
  type DrainOptions,
  type DrainStep,
  type Pass,
} from '../../../../../../lib/data/rows/index.ts'
import {
  isDue,
  latch,
  openSmallClinic,
  type SmallClinic,
} from '../../../../../support/stages/small-clinic.ts'

let clinic: SmallClinic
beforeAll(async () => {
  clinic = await openSmallClinic()
})
afterAll(() => clinic.close())
beforeEach(() => clinic.empty())

function options(
  runId: string,
  proposalId: string,
  pass: Pass,
  more: Partial<DrainOptions> = {},
): DrainOptions {
  return {
    runId,
    fence: 1n,
    proposalId,
    guard: isDue,
    pseudonymKey: 'secret of the tests',
    targetMs: 250,
    maxRows: 30,
    pass,
    hooks: { beforeDestruction: () => Promise.resolve() },
    ...more,
  }
}

async function all(given: DrainOptions): Promise<BatchOutcome[]> {
  const outcomes: BatchOutcome[] = []
  for await (const step of drainPopulation(clinic.db, clinic.plan, given))
    if (step.kind === 'batch') outcomes.push(step.outcome)
  return outcomes
}

const ids = (count: number) => Array.from({ length: count }, (_, place) => place + 1)

test('works a population off in batches that fit, each number once', async () => {
  await clinic.addPeople(ids(25))
  const proposal = await clinic.propose(ids(25))
  const run = await clinic.run()
  const outcomes = await all(options(run.id, proposal, 'light'))
  expect(outcomes.every((outcome) => outcome.rows <= 30)).toBe(true)
  expect(outcomes.map((outcome) => outcome.number).toSorted((a, b) => Number(a - b))).toEqual(
    outcomes.map((_, place) => BigInt(place + 1)),
  )
  expect(await clinic.count('people')).toBe(0)
  expect((await readProgress(clinic.db, run.id))?.counters).toMatchObject({ subjects: 25, rows: 175 })
})

test('never destroys a subject whose entry is not written yet', async () => {
  await clinic.addPeople(ids(20))
  const proposal = await clinic.propose(ids(20))
  const run = await clinic.run()
  const entered = new Set<string>()
  for await (const step of drainPopulation(
    clinic.db,
    clinic.plan,
    options(run.id, proposal, 'light', {
      hooks: {
        beforeDestruction: (keys) => {
          for (const key of keys) entered.add(key.join())
          return Promise.resolve()
        },
      },
    }),
  ))
    if (step.kind === 'batch')
      for (const key of step.outcome.erased) expect(entered.has(key.join())).toBe(true)
  expect(entered.size).toBe(20)
})

test('killed between a ledger entry and its batch, leaves the subject to whoever goes on', async () => {
  await clinic.addPeople(ids(3))
  const proposal = await clinic.propose(ids(3))
  const run = await clinic.run()
  const killed = new Error('killed')
  await expect(
    all(
      options(run.id, proposal, 'light', {
        hooks: { beforeDestruction: () => Promise.resolve(), inTransaction: () => Promise.reject(killed) },
      }),
    ),
  ).rejects.toBe(killed)
  expect(await clinic.count('samples')).toBe(9)
  expect((await remainingRoots(clinic.db, proposal, -1n)).map((root) => root.key)).toEqual([
    ['1'],
    ['2'],
    ['3'],
  ])
  await all(options(run.id, proposal, 'light'))
  expect(await clinic.count('people')).toBe(0)
})

test('left in the middle, waits for what runs, and a second call goes on behind it', async () => {
  await clinic.addPeople(ids(20))
  const proposal = await clinic.propose(ids(20))
  const run = await clinic.run()
  for await (const step of drainPopulation(clinic.db, clinic.plan, options(run.id, proposal, 'light')))
    if (step.kind === 'batch') break
  const sofar = await readProgress(clinic.db, run.id)
  const gone = 20 - (await clinic.count('people'))
  expect(sofar?.counters['subjects']).toBe(gone)
  await all(options(run.id, proposal, 'light'))
  expect((await readProgress(clinic.db, run.id))?.counters['subjects']).toBe(20)
})

test('takes heavy subjects after all light ones, smallest first, in pieces', async () => {
  await clinic.addPeople(ids(6))
  for (const [person, rows] of [
    [1, 90],
    [2, 60],
  ])
    await clinic.db.execute(
      `INSERT INTO samples (person_ref) SELECT $1 FROM generate_series(1, $2::int - 7)`,
      [person, rows],
    )
  const proposal = await clinic.propose(ids(6), { 1: 90, 2: 60 })
  const run = await clinic.run()
  const light = await all(options(run.id, proposal, 'light'))
  expect(light.flatMap((outcome) => outcome.done).toSorted((a, b) => Number(a - b))).toEqual([3n, 4n, 5n, 6n])
  const heavy = await all(options(run.id, proposal, 'heavy'))
  expect(heavy.flatMap((outcome) => outcome.done)).toEqual([2n, 1n])
  expect(heavy.length).toBeGreaterThan(4)
  expect(await clinic.count('samples')).toBe(0)
})

test('a cancel finishes the subject that has begun and begins no other', async () => {
  await clinic.addPeople(ids(2))
  await clinic.db.execute(`INSERT INTO samples (person_ref) SELECT 1 + i % 2 FROM generate_series(1, 160) i`)
  const proposal = await clinic.propose(ids(2), { 1: 87, 2: 87 })
  const run = await clinic.run()
  for await (const step of drainPopulation(clinic.db, clinic.plan, options(run.id, proposal, 'heavy')))
    if (step.kind === 'batch') break
  expect(await clinic.population(proposal)).toEqual({ 1: 'removing', 2: 'pending' })
  const outcomes = await all(options(run.id, proposal, 'heavy', { onlyBegun: true }))
  expect(outcomes.flatMap((outcome) => outcome.done)).toEqual([1n])
  expect(await clinic.population(proposal)).toEqual({ 2: 'pending' })
  expect(await clinic.count('samples')).toBe(83)
})

test('a subject locked in the first pass goes in the waiting one; one that stays locked ends no pass', async () => {
  await clinic.addPeople(ids(4))
  const proposal = await clinic.propose(ids(4))
  const run = await clinic.run()
  const locked = latch()
  const release = latch()
  const other = clinic.db.transaction(async (tx) => {
    await tx.execute(`UPDATE people SET email = 'x' WHERE id = 2`)
    locked.open()
    await release.opened
  })
  await locked.opened
  await all(options(run.id, proposal, 'light'))
  expect(await clinic.population(proposal)).toEqual({ 2: 'locked' })
  const waited = await all(options(run.id, proposal, 'locked', { wait: true }))
  expect(waited.map((outcome) => outcome.locked)).toEqual([[2n]])
  release.open()
  await other
  await all(options(run.id, proposal, 'locked', { wait: true }))
  expect(await populationStates(clinic.db, proposal)).toMatchObject([{ state: 'erased', count: 4 }])
})

test('does nothing while the throttle speaks against it, and says why', async () => {
  await clinic.addPeople([1])
  const proposal = await clinic.propose([1])
  const run = await clinic.run()
  let verdict: { reason: string; waitMs: number } | null = { reason: 'replica-lag', waitMs: 5 }
  const steps: DrainStep['kind'][] = []
  for await (const step of drainPopulation(
    clinic.db,
    clinic.plan,
    options(run.id, proposal, 'light', {
      throttle: { verdict: () => verdict, spent: () => undefined, blind: [], close: () => Promise.resolve() },
    }),
  )) {
    steps.push(step.kind)
    if (steps.length === 2) verdict = null
  }
  expect(steps).toEqual(['throttled', 'throttled', 'batch'])
})
