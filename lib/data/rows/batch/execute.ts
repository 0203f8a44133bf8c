/**
 * One batch: rows, counters, cursor and evidence in one transaction. In it, in this order: the hold lock (shared), the
 * progress row with the fence, the locks on the roots, the decision under those locks, the plan's steps, the guard once
 * more (beside the transaction), the records. Killed anywhere, nothing of it happened; the ledger entries written before
 * are voided or used by whoever goes on.
 *
 * The transaction sees one snapshot (REPEATABLE READ), and every row through which it finds others is changed or locked by
 * it: so a row that another session moves, changes or adds meanwhile is either not met at all, or refuses the subject, which
 * is tried again in a new snapshot. Under READ COMMITTED a visit that was moved to another patient between two statements
 * would lose its notes to the first.
 */
import { z } from 'zod'
import { monotonicMs } from '../../../base/clock/index.ts'
import { tally } from '../../../base/counts/index.ts'
import type { DeletionPlan } from '../../deletion/index.ts'
import { LetheError } from '../../../base/errors/index.ts'
import type { Database, Transaction } from '../../../base/db/index.ts'
import type { Batch, BatchHooks, BatchOutcome, Subject } from './batch.ts'
import { decide, readingSettings, type Candidate, type Decisions } from './candidates.ts'
import { fullGuard, type FullGuard } from './guard.ts'
import { shareHoldLock } from './holds.ts'
import { forgetKeptRoots, recordKeptRoots } from './kept.ts'
import { beginRemoval, endRemoval, removalsBegun, removePiece, undoPiece } from './pieces.ts'
import { settlePopulation } from '../population/population.ts'
import { holdProgress, recordBatch, type BatchRecord } from './progress.ts'
import { keyId } from './root-sql.ts'
import { isChanged, searchSubjects, turnedAmong, type SearchResult } from './search.ts'
import { addTotals } from './steps.ts'
import { stopped } from './stops.ts'
import { prepareSubjects } from './subjects.ts'

const LOCK_TIMEOUT_MS = 200
const WAIT_LOCK_TIMEOUT_MS = 2000
const STATEMENT_TIMEOUT_MS = 30_000
/** A transaction that met a change of another session is run again, this often in all; then its subjects are passed over. */
const ATTEMPTS = 4

/**
 * Runs one batch and reports what became of each root. Safe to repeat after a crash under the next number: what is gone
 * is gone, what was not done is done. Throws E_FENCED, and any database error that isn't about a single subject; then
 * nothing of the batch took effect.
 */
export async function runBatch(
  db: Database,
  plan: DeletionPlan,
  batch: Batch,
  hooks: BatchHooks,
): Promise<BatchOutcome> {
  const started = monotonicMs()
  const subjects = await prepareSubjects(db, plan, batch.roots, (keys) => hooks.beforeDestruction(keys))
  const guard = await fullGuard(db, plan, batch.guard)
  for (let attempt = 1; ; attempt += 1) {
    const run: Running = { db, plan, batch, guard, hooks, locksFrom: started, attempt, changed: false }
    try {
      const outcome = await db.transaction((tx) => inSnapshot(tx, run, subjects), {
        isolation: 'repeatable read',
      })
      outcome.lockMs = monotonicMs() - run.locksFrom
      outcome.durationMs = monotonicMs() - started
      return outcome
    } catch (error) {
      if (attempt > ATTEMPTS || !(error instanceof Outdated || isChanged(error))) throw error
    }
  }
}

/** A single subject was changed since the snapshot: all that there is to do is to look again. */
class Outdated extends Error {}

interface Running {
  db: Database
  plan: DeletionPlan
  batch: Batch
  guard: FullGuard
  hooks: BatchHooks
  locksFrom: number
  /** From 1. */
  attempt: number
  /** A subject was passed over because of what changed since the snapshot. */
  changed: boolean
}

async function inSnapshot(
  tx: Transaction,
  run: Running,
  subjects: readonly Subject[],
): Promise<BatchOutcome> {
  const { plan, batch, hooks } = run
  await shareHoldLock(tx)
  await holdProgress(tx, batch)
  await prepareTransaction(tx, plan, batch)
  run.locksFrom = monotonicMs()
  const made =
    run.attempt > ATTEMPTS ? await passOver(tx, run, subjects) : await removeSubjects(tx, run, subjects)
  if (run.changed && batch.wait && subjects.length === 1 && run.attempt < ATTEMPTS) throw new Outdated()
  if (batch.proposalId !== null) await settlePopulation(tx, batch.proposalId, made)
  made.lockMs = monotonicMs() - run.locksFrom
  await recordBatch(tx, batch, batchEvent(made))
  await hooks.inTransaction?.(tx, made)
  return made
}

async function prepareTransaction(tx: Transaction, plan: DeletionPlan, batch: Batch): Promise<void> {
  const wait = batch.lockTimeoutMs ?? (batch.wait ? WAIT_LOCK_TIMEOUT_MS : LOCK_TIMEOUT_MS)
  const [row] = await tx.query(
    z.object({ stopped: z.boolean() }),
    `SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true),
            set_config('lethe.pseudonym_key', $3, true), ${readingSettings(4)},
            EXISTS (SELECT FROM lethe.stops WHERE store = $5) AS stopped`,
    [
      String(Math.round(wait)),
      String(STATEMENT_TIMEOUT_MS),
      batch.pseudonymKey ?? '',
      plan.timeZone,
      plan.store,
    ],
  )
  // after the hold lock: whoever stopped the store has waited for the batches before
  if (row?.stopped === true) throw stopped(plan.store)
}

/** Others keep changing these rows: they are reported as locked, and go when they are left alone. */
async function passOver(tx: Transaction, run: Running, subjects: readonly Subject[]): Promise<BatchOutcome> {
  const begun = await removalsBegun(tx, run.plan, subjects)
  const outcome = emptyOutcome(run.batch.number)
  for (const subject of subjects) settle(outcome, subject, begun.has(subject), 'locked')
  return outcome
}

async function removeSubjects(
  tx: Transaction,
  run: Running,
  subjects: readonly Subject[],
): Promise<BatchOutcome> {
  const { plan, batch, guard } = run
  const begun = await removalsBegun(tx, plan, subjects)
  const outcome = emptyOutcome(batch.number)
  for (const decided of [false, true]) {
    const part = subjects.filter((subject) => begun.has(subject) === decided)
    if (part.length === 0) continue
    const decisions = await decideWithin(tx, run, part, decided)
    for (const subject of decisions.locked) settle(outcome, subject, decided, 'locked')
    for (const { subject, reason } of decisions.skipped) settle(outcome, subject, decided, 'skipped', reason)
    if (!decided && decisions.go.length > 0) await run.hooks.lastLook?.(run.db.beside())
    if (batch.pieceRows !== null) {
      for (const candidate of decisions.go)
        await removeOversized(tx, run, outcome, candidate, decided, batch.pieceRows)
      continue
    }
    const found = await searchSubjects({ tx, db: run.db }, plan, decided ? null : guard, decisions.go, {
      untilMs: run.locksFrom + (batch.searchMs ?? 400),
    })
    await settleFound(tx, run, outcome, found, decided)
    if (decided)
      await endRemoval(
        tx,
        plan,
        found.done.map((candidate) => candidate.subject),
      )
  }
  return outcome
}

/**
 * Waiting for a lock is bounded: when the time is over, what is still locked is passed over and reported. A root that
 * changed since the snapshot is looked for only when a new snapshot did not help.
 */
async function decideWithin(
  tx: Transaction,
  run: Running,
  subjects: readonly Subject[],
  decided: boolean,
  wait = run.batch.wait,
): Promise<Decisions> {
  const { plan, guard } = run
  if (!wait && run.attempt === 1) return decide(tx, plan, guard, subjects, { wait, decided })
  await tx.execute('SAVEPOINT lethe_lock')
  try {
    return await decide(tx, plan, guard, subjects, { wait, decided })
  } catch (error) {
    const changed = isChanged(error)
    if (!changed && !(error instanceof LetheError && error.code === 'E_LOCK_TIMEOUT')) throw error
    await tx.execute('ROLLBACK TO SAVEPOINT lethe_lock')
    if (!changed) return decideWithin(tx, run, subjects, decided, false)
    if (run.attempt === 1) throw error
    run.changed = true
    if (subjects.length === 1) return { go: [], locked: [...subjects], skipped: [] }
    const half = Math.ceil(subjects.length / 2)
    const first = await decideWithin(tx, run, subjects.slice(0, half), decided, wait)
    const second = await decideWithin(tx, run, subjects.slice(half), decided, wait)
    return {
      go: [...first.go, ...second.go],
      locked: [...first.locked, ...second.locked],
      skipped: [...first.skipped, ...second.skipped],
    }
  }
}

async function removeOversized(
  tx: Transaction,
  run: Running,
  outcome: BatchOutcome,
  candidate: Candidate,
  begun: boolean,
  limit: number,
): Promise<void> {
  const { plan, batch, guard } = run
  const { subject } = candidate
  const piece = await removePiece(tx, plan, subject.keys, limit)
  if (piece.kind === 'changed') run.changed = true
  if (piece.kind === 'changed' || piece.kind === 'locked') return settle(outcome, subject, begun, 'locked')
  if (piece.kind === 'blocked') return settle(outcome, subject, begun, 'blocked', piece.constraint)
  if (!piece.finished) {
    const [turned] = begun ? [] : await turnedAmong(run.db, plan, guard, [candidate])
    if (turned !== undefined) {
      await undoPiece(tx)
      return settle(outcome, subject, begun, 'skipped', turned.reason)
    }
    if (!begun) await beginRemoval(tx, plan, batch.runId, subject)
    addTotals(outcome, piece.totals)
    outcome.removing.push(...subject.ordinals)
    outcome.more = true
    return
  }
  // The rest is small: the ordinary statements end it. Once a piece is committed the decision is final: no guard.
  const found = await searchSubjects({ tx, db: run.db }, plan, begun ? null : guard, [candidate], {
    untilMs: 0,
  })
  const done = found.done.length > 0
  // It went in one piece after all and its guard turned, or something refused: then nothing of it goes.
  if (!done && !begun) await undoPiece(tx)
  else addTotals(outcome, piece.totals)
  await settleFound(tx, run, outcome, found, begun)
  if (done) await endRemoval(tx, plan, [subject])
}

async function settleFound(
  tx: Transaction,
  run: Running,
  outcome: BatchOutcome,
  found: SearchResult,
  begun: boolean,
): Promise<void> {
  const { plan, batch } = run
  run.changed ||= found.changed
  addTotals(outcome, found.totals)
  const stayed = new Set(found.totals.keptRoots.map(keyId))
  for (const candidate of found.done) {
    outcome.done.push(...candidate.subject.ordinals)
    outcome.erased.push(...candidate.subject.keys)
    if (candidate.subject.keys.some((key) => stayed.has(keyId(key))))
      for (const ordinal of candidate.subject.ordinals)
        outcome.kept.push({ ordinal, until: candidate.keptUntil })
  }
  for (const { candidate, reason } of found.turned)
    settle(outcome, candidate.subject, begun, 'skipped', reason)
  for (const candidate of found.locked) settle(outcome, candidate.subject, begun, 'locked')
  for (const { candidate, constraint } of found.blocked)
    settle(outcome, candidate.subject, begun, 'blocked', constraint)
  for (const candidate of found.deferred) settle(outcome, candidate.subject, begun, 'deferred')
  const until = new Map(
    found.done.flatMap((candidate) =>
      candidate.subject.keys.map((key) => [keyId(key), candidate.keptUntil] as const),
    ),
  )
  await recordKeptRoots(
    tx,
    plan,
    batch,
    found.totals.keptRoots.map((key) => ({ key, until: until.get(keyId(key)) ?? null })),
  )
  await forgetKeptRoots(tx, plan, found.totals.deletedRoots)
}

/**
 * What did not go. A subject that has begun to go has lost rows for good: it is neither passed over nor given up as
 * locked, it stays the one that is being removed, and its ledger entry stands.
 */
function settle(
  outcome: BatchOutcome,
  subject: Subject,
  begun: boolean,
  what: 'locked' | 'skipped' | 'blocked' | 'deferred',
  why = '',
): void {
  for (const ordinal of subject.ordinals) {
    if (what === 'blocked') outcome.blocked.push({ ordinal, constraint: why })
    else if (begun) outcome.removing.push(ordinal)
    else if (what === 'locked') outcome.locked.push(ordinal)
    else if (what === 'skipped') outcome.skipped.push({ ordinal, reason: why })
    else outcome.deferred.push(ordinal)
  }
  if (!begun) outcome.notErased.push(...subject.keys)
}

function emptyOutcome(number: bigint): BatchOutcome {
  return {
    number,
    removed: {},
    pseudonymised: {},
    detached: {},
    rows: 0,
    done: [],
    kept: [],
    skipped: [],
    locked: [],
    blocked: [],
    deferred: [],
    removing: [],
    notErased: [],
    erased: [],
    durationMs: 0,
    lockMs: 0,
    more: false,
  }
}

/** Counts by table and reason, no keys: what the control ledger copies. */
function batchEvent(outcome: BatchOutcome): BatchRecord {
  const named = (prefix: string, counts: Readonly<Record<string, number>>) =>
    Object.fromEntries(Object.entries(counts).map(([name, count]) => [`${prefix}.${name}`, count]))
  const skipped = tally(outcome.skipped.map((entry) => entry.reason))
  const blocked = tally(outcome.blocked.map((entry) => entry.constraint))
  return {
    counters: {
      subjects: outcome.done.length,
      kept: outcome.kept.length,
      rows: outcome.rows,
      ...named('removed', outcome.removed),
      ...named('pseudonymised', outcome.pseudonymised),
      ...named('detached', outcome.detached),
      ...named('skipped', skipped),
      ...named('blocked', blocked),
    },
    rows: outcome.removed,
    pseudonymised: outcome.pseudonymised,
    detached: outcome.detached,
    subjects: outcome.done.length,
    kept: outcome.kept.length,
    skipped,
    blocked,
    locked: outcome.locked.length,
    piece: outcome.more,
    lockMs: Math.round(outcome.lockMs),
  }
}
