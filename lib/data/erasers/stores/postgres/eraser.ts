/** PostgreSQL behind the one interface of everything that holds data: erasure requests and replay come through here. */
import { Counts, summed } from '../../../../base/counts/index.ts'
import type { DeletionPlan, RootKey } from '../../../deletion/index.ts'
import type { Database } from '../../../../base/db/index.ts'
import { LetheError } from '../../../../base/errors/index.ts'
import type {
  Capabilities,
  ErasePage,
  Eraser,
  EraseRequest,
  Retained,
  SubjectRef,
  Verification,
} from '../../eraser.ts'
import {
  type Batch,
  type BatchHooks,
  type BatchOutcome,
  runBatch,
  readProgress,
  locateRows,
  verifyKeys,
  weighRoots,
} from '../../../rows/index.ts'

export interface PostgresEraserOptions {
  /** Secret of keyed pseudonyms in this store (keystore.pseudonymKey). */
  pseudonymKey: string
  /** Resolves when the ledger entries of these keys are durable. */
  beforeDestruction(keys: readonly RootKey[]): Promise<void>
  /** As a batch's hook of this name. What it throws once a batch of the call is committed ends the call there, with `more`. */
  lastLook?: BatchHooks['lastLook']
  /** Voids the entries of what did not go after all. */
  afterBatch?(outcome: BatchOutcome): Promise<void>
  /** Classes of records that the plan retains by decision of the request. */
  retained?: readonly string[]
  /** What the asker still wants rechecked, such as a restriction; null: holds and legal minimums only. */
  guard?: Batch['guard']
}

/** Of every store of this kind. */
export const postgresCapabilities: Capabilities = {
  bulk: 1000,
  ratePerMinute: null,
  reversible: false,
  verifiable: true,
  sideEffects: ['triggers of the application fire', 'materialised views stay stale until they are refreshed'],
  irreversibleAfter: 'commit; bytes stay until vacuum, in WAL and in backups until they expire',
  settleSeconds: 0,
  follows: null,
}

/** The run's fence must have been raised in this database (raiseFence) before `erase` is called. */
export function postgresEraser(db: Database, options: PostgresEraserOptions): Eraser<DeletionPlan> {
  const { lastLook } = options
  const hooks: BatchHooks = {
    beforeDestruction: (keys) => options.beforeDestruction(keys),
    ...(lastLook === undefined ? {} : { lastLook }),
  }
  return {
    store: db.name,
    capabilities: postgresCapabilities,
    async probe(_plan, signal) {
      signal.throwIfAborted()
      await db.execute('SELECT 1')
    },
    async locate(subjects, plan, signal) {
      signal.throwIfAborted()
      return { counts: await locateRows(db, plan, keysOf(subjects, plan)) }
    },
    async verify(subjects, plan, signal) {
      signal.throwIfAborted()
      return verifyKeys(db, plan, keysOf(subjects, plan))
    },
    async erase(subjects, plan, page, signal) {
      const keys = keysOf(subjects, plan)
      const parts = await weighedParts(db, plan, keys, page.limit)
      const outcomes: BatchOutcome[] = []
      let rows = 0
      let number = (await readProgress(db, page.runId))?.batch ?? 0n
      for (const part of parts) {
        // Those that stay (held, kept, blocked) cost nothing, so they never keep the others from their turn.
        if (rows >= page.limit) break
        signal.throwIfAborted()
        number += 1n
        const outcome = await runBatch(db, plan, batchOf(page, number, part, options), hooks).catch(
          (error: unknown) => {
            if (outcomes.length > 0 && error instanceof LetheError && endsCall.has(error.code)) return null
            throw error
          },
        )
        if (outcome === null) break
        await options.afterBatch?.(outcome)
        outcomes.push(outcome)
        rows += outcome.rows
      }
      const found = await verifyKeys(db, plan, keys)
      return pageOf(outcomes, sumRetained(found), outcomes.length < parts.length)
    },
  }
}

/** What calls a batch off before it destroys anything. */
const endsCall: ReadonlySet<string> = new Set(['E_TAKEN_BACK', 'E_STOPPED', 'E_HOLDS_BEHIND'])

interface Part {
  roots: { ordinal: bigint; key: RootKey }[]
  pieceRows: number | null
}

/** Subjects that have rows, in order, in parts of at most `limit` rows; one that is larger goes in pieces, alone. */
async function weighedParts(
  db: Database,
  plan: DeletionPlan,
  keys: readonly RootKey[],
  limit: number,
): Promise<Part[]> {
  const weights = await weighRoots(db, plan, keys)
  const parts: Part[] = []
  let open: { part: Part; rows: number } | null = null
  for (const [place, key] of keys.entries()) {
    const weight = weights[place] ?? 0
    if (weight === 0) continue
    const root = { ordinal: BigInt(place), key }
    if (weight > limit) {
      parts.push({ roots: [root], pieceRows: limit })
      open = null
    } else if (open !== null && open.rows + weight <= limit) {
      open.part.roots.push(root)
      open.rows += weight
    } else {
      open = { part: { roots: [root], pieceRows: null }, rows: weight }
      parts.push(open.part)
    }
  }
  return parts
}

function batchOf(page: EraseRequest, number: bigint, part: Part, options: PostgresEraserOptions): Batch {
  return {
    runId: page.runId,
    fence: page.fence,
    number,
    proposalId: null,
    roots: part.roots,
    retained: options.retained ?? [],
    guard: options.guard ?? null,
    wait: true,
    pieceRows: part.pieceRows,
    pseudonymKey: options.pseudonymKey,
  }
}

function pageOf(
  outcomes: readonly BatchOutcome[],
  retained: ErasePage['retained'],
  unvisited: boolean,
): ErasePage {
  const left = new Counts()
  for (const outcome of outcomes) {
    // a kept root is reported by `retained`, with its ground and end
    for (const { reason } of outcome.skipped) if (reason !== 'kept') left.add(`left alone: ${reason}`)
    for (const { constraint } of outcome.blocked) left.add(`refused by ${constraint}`)
    if (outcome.locked.length > 0) left.add('waiting for a lock of another session')
  }
  const unfinished = (outcome: BatchOutcome) =>
    outcome.more || outcome.locked.length + outcome.deferred.length + outcome.removing.length > 0
  return {
    removed: summed(outcomes.map((outcome) => outcome.removed)),
    pseudonymised: summed(outcomes.map((outcome) => outcome.pseudonymised)),
    detached: summed(outcomes.map((outcome) => outcome.detached)),
    leftAlone: sum(outcomes.map(({ skipped }) => skipped.filter(({ reason }) => reason !== 'kept').length)),
    retained,
    refused: outcomes.flatMap(({ blocked }) =>
      blocked.map(({ ordinal, constraint }) => ({ subject: Number(ordinal), by: constraint })),
    ),
    pending: [],
    messages: left.sentences((count, why) => `${count} ${why}.`),
    more: unvisited || outcomes.some(unfinished),
  }
}

function sum(counts: readonly number[]): number {
  return counts.reduce((all, one) => all + one, 0)
}

/** Of all subjects together: the later end where they differ. */
function sumRetained(found: readonly Verification[]): Retained[] {
  const sums = new Map<string, Retained>()
  for (const kept of found.flatMap(({ retained }) => retained)) {
    const id = JSON.stringify([kept.place, kept.ground])
    const sum = sums.get(id)
    if (sum === undefined) sums.set(id, kept)
    else
      sums.set(id, {
        ...sum,
        count: sum.count + kept.count,
        until: sum.until !== null && kept.until !== null && kept.until > sum.until ? kept.until : sum.until,
      })
  }
  return [...sums.values()]
}

function keysOf(subjects: readonly SubjectRef[], plan: DeletionPlan): RootKey[] {
  return subjects.map((subject) => {
    if (subject.kind === plan.subject && subject.key.length === plan.key.length) return subject.key
    throw new LetheError('E_INTERNAL', {
      message: `A ${subject.kind} with a key of ${subject.key.length} was given to the plan of ${plan.subject}.`,
    })
  })
}
