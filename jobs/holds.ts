/**
 * Legal holds: recorded in control (the key sealed, nothing in clear), projected into the target where the deleting
 * statements check them. When `addHold` returns, no batch can remove what it holds; what was gone before is reported.
 */
import { everySubjectHash } from '../lib/base/keystore/index.ts'
import './errors.ts'
import type { Database } from '../lib/base/db/index.ts'
import { isWhole } from '../lib/data/rows/index.ts'
import { LetheError } from '../lib/base/errors/index.ts'
import { authorise, type Attested, type Decided } from '../lib/people/identity/index.ts'
import { insertHold, markReleased, projectHolds, type NewHold } from '../lib/record/holds/index.ts'
import { getRequests, legsOf, openOfSubject, type Leg, type LegState } from '../lib/record/requests/index.ts'
import { Counts } from '../lib/base/counts/index.ts'
import { isErased } from '../lib/record/erasures/index.ts'
import type { Context } from './context.ts'
import { canonicalHold, keyRootOf } from './hold-key.ts'

export interface HoldAdded {
  id: string
  /**
   * Subject level: something of the subject was erased before, in any store. Null: it can't be known, at another level or because
   * a store was asked and has not answered.
   */
  alreadyGone: boolean | null
  /** Subject level: what the stores lost to the open requests of this subject before the hold, sessions ended at the access cut too. */
  gone: readonly GoneBefore[]
  /** Subject and row level: whether such a row is there now; neither found nor gone, the key may be a slip. Null: other levels. */
  found: boolean | null
}

export interface GoneBefore {
  store: string
  /** Items by place, as the store counted them; empty where it counted none. */
  counts: Readonly<Record<string, number>>
  /** Persons in the call that was counted: with more than one, the counts are of all of them. */
  shared: number
  /** When the store was asked, where it has neither counted anything nor said that it erases. Null: it has. */
  unanswered: string | null
  /** Ended at the access cut, which a cancel reverses. */
  access: boolean
}

/** The key stands in it as a keyed hash: a statement is kept until somebody erases it. */
export function holdStatement(context: Pick<Context, 'keystore'>, hold: NewHold): Decided {
  return {
    verb: 'hold.add',
    object: `${hold.level} ${hold.subject ?? hold.table ?? hold.store}`,
    facts: {
      store: hold.store,
      kind: hold.kind,
      owner: hold.owner,
      reviewAt: hold.reviewAt,
      key:
        hold.key === undefined
          ? null
          : context.keystore.subjectHash(hold.store, `hold:${hold.level}`, hold.key).toString('hex'),
    },
    reason: hold.reason,
  }
}

export function releaseStatement(holdId: string, reason: string): Decided {
  return { verb: 'hold.release', object: holdId, facts: {}, reason }
}

/**
 * Throws E_HOLD_KEY where level and key don't fit, E_NOT_FOUND for an unknown subject or table. Where the projection fails
 * (E_LOCK_TIMEOUT, E_DATABASE_UNAVAILABLE) the hold is recorded all the same, and the error says what it does not stop yet.
 */
export async function addHold(context: Context, given: NewHold, by: Attested): Promise<HoldAdded> {
  authorise(context.config.file, by.identity, 'hold.add')
  checkShape(context, given)
  const target = await context.target(given.store)
  const { hold, found, written } = await canonicalHold(context, target, given)
  const id = await insertHold(context.control, context.keystore, hold, by)
  await projectAdded(context, id, hold, target)
  if (hold.level !== 'subject') return { id, alreadyGone: null, gone: [], found }
  const gone = await goneBefore(context, hold, written)
  const lost =
    gone.some(({ unanswered }) => unanswered === null) || (await isGone(context, target, hold, written))
  return { id, alreadyGone: lost ? true : gone.length > 0 ? null : false, gone, found }
}

/** What was said to be done may be gone although nothing was counted. */
const answered: ReadonlySet<LegState> = new Set([
  'waiting',
  'accepted',
  'verified',
  'retained',
  'told',
  'accepted-as-failed',
])
/** A leg is begun also where it then turns out that there is nobody to call for, or that its store is left out. */
function wasCalled({ kind, state, requestedAt, acceptedAt }: Leg): boolean {
  if (requestedAt === null || kind === 'search' || kind === 'declared' || state === 'not-needed') return false
  return state !== 'accepted-as-failed' || acceptedAt !== null
}

async function goneBefore(
  { control, keystore }: Context,
  { store, subject: subjectKind = '', key = [] }: NewHold,
  written: readonly string[],
): Promise<GoneBefore[]> {
  const hashes = everySubjectHash(keystore, store, subjectKind, key, written)
  const open = await openOfSubject(control, { store, subjectKind, hashes })
  if (open.length === 0) return []
  const ended = (await getRequests(control, open)).flatMap(({ accessEnded }) =>
    Object.entries(accessEnded).map(([name, one]) => ({
      store: name,
      ...one,
      access: true,
      unanswered: null,
    })),
  )
  const legs = (await legsOf(control, open)).flatMap((leg): GoneBefore[] => {
    const counts = new Counts()
    for (const some of [leg.counts, leg.pseudonymised, leg.detached]) counts.addAll(some)
    // the hold has waited for the own store's batches, and isGone looks at its rows
    const asked = leg.store !== store && wasCalled(leg)
    if (counts.total === 0 && !asked) return []
    const open = counts.total === 0 && !answered.has(leg.state) ? leg.requestedAt : null
    return [
      {
        store: leg.store,
        counts: counts.plain(),
        shared: leg.shared,
        access: false,
        unanswered: open?.toISOString() ?? null,
      },
    ]
  })
  return [...ended, ...legs]
}

async function projectAdded(context: Context, id: string, hold: NewHold, target: Database): Promise<void> {
  try {
    await projectHolds(context.control, context.keystore, hold.store, target)
  } catch (error) {
    if (!(error instanceof LetheError)) throw error
    throw new LetheError(error.code, {
      message: `Hold ${id} is recorded, but could not be written into store ${hold.store}: ${error.message}`,
      left: 'Sweeps that begin from now on obey it; one that is deleting at this moment does not see it yet.',
      next: 'Pause the runs of this store (lethe retention pause), then add the hold again.',
      facts: { ...error.facts, hold: id },
      cause: error,
    })
  }
}

/** Idempotent; what was held is due again at the next proposal. Throws E_NOT_FOUND. */
export async function releaseHold(context: Context, id: string, by: Attested): Promise<void> {
  authorise(context.config.file, by.identity, 'hold.release')
  const store = await markReleased(context.control, id, by)
  await projectHolds(context.control, context.keystore, store, await context.target(store))
}

/** In the ledger as erased, or begun in pieces: either way it can't be kept whole any more. */
async function isGone(
  context: Context,
  target: Database,
  hold: NewHold,
  written: readonly string[],
): Promise<boolean> {
  const kind = hold.subject ?? ''
  const key = hold.key ?? []
  const hashes = everySubjectHash(context.keystore, hold.store, kind, key, written)
  if (!(await isErased(context.control, hashes))) return false
  // an entry stands ahead of destruction: what counts is whether the row is still there, whole
  return !(await isWhole(target, await keyRootOf(context, hold.store, kind), key))
}

function checkShape(context: Context, hold: NewHold): void {
  const wrong = (message: string) =>
    new LetheError('E_HOLD_KEY', { message: `A hold at ${hold.level} level ${message}.` })
  const { subjects, tables } = context.config.file
  const wants = {
    row: ['table', 'key'],
    subject: ['subject', 'key'],
    table: ['table'],
    tenant: ['key'],
  } as const
  for (const name of wants[hold.level]) if (hold[name] === undefined) throw wrong(`needs a ${name}`)
  if (hold.subject !== undefined && subjects[hold.subject]?.store !== hold.store)
    throw new LetheError('E_NOT_FOUND', {
      message: `The map has no subject ${hold.subject} in store ${hold.store}.`,
      next: 'Name one of the subjects in lethe.yaml, of that store.',
    })
  if (hold.table !== undefined && tables[hold.store]?.[hold.table] === undefined)
    throw new LetheError('E_NOT_FOUND', {
      message: `The map has no table ${hold.table} in store ${hold.store}.`,
      next: 'Name one of the tables in lethe.yaml, with its schema: public.patients.',
    })
}
