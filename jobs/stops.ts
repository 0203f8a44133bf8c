/**
 * One switch stops every destroyer of a store: sweeps, erasure requests, the cut of access. It is recorded in control, then
 * projected into the target, where the transaction that deletes looks; it is taken away in the opposite order. So a projection
 * without a record is a restore's, and goes.
 */
import { databaseNow, type Database } from '../lib/base/db/index.ts'
import { LetheError } from '../lib/base/errors/index.ts'
import { projectStop, stopped } from '../lib/data/rows/index.ts'
import { authorise, type Attested, type Decided } from '../lib/people/identity/index.ts'
import { isPaused, resumeStore, stoppedStores, stopStore } from '../lib/record/holds/index.ts'
import type { ResolvedPolicy } from '../lib/config/index.ts'
import { listRuns, wakeRun } from '../lib/record/ledger/index.ts'
import type { Context } from './context.ts'
import type { StepResult } from './kind.ts'

/** How soon a run that waits for a store looks again; whoever resumes it wakes it. */
const LOOK_AGAIN_MS = 60_000

export function stopStatement(verb: 'store.stop' | 'store.resume', store: string, reason: string): Decided {
  return { verb, object: store, facts: {}, reason }
}

/** When it returns, nothing more is destroyed in the store. Throws E_NOT_FOUND, and where the target doesn't answer: then it is recorded, and workers obey. */
export async function stop(context: Context, store: string, by: Attested): Promise<void> {
  authorise(context.config.file, by.identity, 'store.stop')
  requireStore(context, store)
  await stopStore(context.control, store, by)
  const target = await postgresTarget(context, store)
  if (target !== null) await projectStop(target, store, true)
}

/** Throws E_NOT_FOUND where it isn't stopped. */
export async function resume(context: Context, store: string, by: Attested): Promise<void> {
  authorise(context.config.file, by.identity, 'store.resume')
  requireStore(context, store)
  const target = await postgresTarget(context, store)
  if (target !== null) await projectStop(target, store, false)
  try {
    await resumeStore(context.control, store, by)
  } catch (error) {
    // refused, by a statement that was used before, say: what still stands in the record stands in the target too
    if (target !== null && (await stoppedStores(context.control)).has(store))
      await projectStop(target, store, true)
    throw error
  }
  for (const run of await listRuns(context.control, { states: ['waiting'] }))
    if (run.waitingFor === 'stopped') await wakeRun(context.control, run.id)
}

/** Throws E_STOPPED where the record says that the store is stopped, or the policy paused. */
export async function requireGoing(
  { control }: Pick<Context, 'control'>,
  { store, name }: Pick<ResolvedPolicy, 'store' | 'name'>,
): Promise<void> {
  if ((await stoppedStores(control)).has(store)) throw stopped(store)
  if (await isPaused(control, name))
    throw new LetheError('E_STOPPED', {
      message: `Policy ${name} is paused.`,
      next: `Once it may go on: lethe retention resume ${name}`,
      facts: { policy: name },
    })
}

/** After a batch was refused: takes away a stop that only the target has. */
export async function settleStop(context: Context, store: string, target: Database): Promise<void> {
  if (!(await stoppedStores(context.control)).has(store)) await projectStop(target, store, false)
}

/** A run whose store is stopped waits, however long that is, and uses no attempt. */
export async function awaitResume(
  context: Context,
  store: string,
  act: () => Promise<StepResult>,
): Promise<StepResult> {
  try {
    return await act()
  } catch (error) {
    if (!(error instanceof LetheError) || error.code !== 'E_STOPPED') throw error
    await settleStop(context, store, await context.target(store))
    return { kind: 'wait', for: 'stopped', until: await lookAgain(context) }
  }
}

export async function lookAgain({ control }: Pick<Context, 'control'>): Promise<Date> {
  return new Date((await databaseNow(control)).getTime() + LOOK_AGAIN_MS)
}

function requireStore({ config }: Context, store: string): void {
  const { stores } = config.file
  if (Object.hasOwn(stores, store)) return
  throw new LetheError('E_NOT_FOUND', {
    message: `The configuration has no store ${store}.`,
    next: `Name one of: ${Object.keys(stores).join(', ')}.`,
  })
}

async function postgresTarget(context: Context, store: string): Promise<Database | null> {
  return context.config.file.stores[store]?.kind === 'postgres' ? context.target(store) : null
}
