/**
 * Works a population off, batch by batch, until the caller stops asking. Two batches of different subjects run side by
 * side in the light pass: while one waits for its ledger entries or its commit, the other deletes. Memory holds those and
 * one page of keys, however many are due.
 */
import type { DeletionPlan } from '../../deletion/index.ts'
import type { Database } from '../../../base/db/index.ts'
import type { Batch, BatchHooks, BatchOutcome, BatchRoot } from '../batch/batch.ts'
import { runBatch } from '../batch/execute.ts'
import { nextRoots, type Pass, type PopulationRoot } from './population.ts'
import { readProgress } from '../batch/progress.ts'
import { batchSize, takeFitting, type BatchSize } from './sizing.ts'
import type { Throttle } from './throttle.ts'

const PAGE = 4000

export interface DrainOptions {
  runId: string
  fence: bigint
  proposalId: string
  guard: Batch['guard']
  pseudonymKey: string
  /** From the policy's throttle: ms and rows. */
  targetMs: number
  maxRows: number
  pass: Pass
  /** The locked pass waits for locks, one subject a batch, so that nobody else's rows are held meanwhile. */
  wait?: boolean
  /** One batch at a time: for a sweep that is to stay small beside others' work. */
  alone?: boolean
  /** Only subjects that have lost rows already: what a cancel still has to finish. */
  onlyBegun?: boolean
  throttle?: Throttle
  /** Goes on where the last call of this run stopped; a new one is made where it is absent. */
  size?: BatchSize
  hooks: BatchHooks
}

export type DrainStep =
  | { kind: 'batch'; outcome: BatchOutcome }
  /** Nothing was done; ask again after this time. The first reason, as the throttle names it. */
  | { kind: 'throttled'; reason: string; waitMs: number }

/** More would only wait for each other: a batch is one busy backend. */
const LANES = 2

/**
 * One step for each `next()`. Ends when the pass has nothing left. May be left at any point (`return()`): what runs then
 * is waited for, and is in the database's record; entries written for a batch that did not run stand without an erasure,
 * and the caller voids those of the remaining population when the run ends (remainingRoots), or uses them when it goes on.
 */
export async function* drainPopulation(
  db: Database,
  plan: DeletionPlan,
  options: DrainOptions,
): AsyncGenerator<DrainStep, void, void> {
  const size = options.size ?? batchSize(options)
  const source = new Source(db, options, size)
  const lanes = options.pass === 'light' && options.wait !== true && options.alone !== true ? LANES : 1
  const running = new Map<bigint, Promise<Ended>>()
  let number = (await readProgress(db, options.runId))?.batch ?? 0n
  let unfinished: Roots | null = null

  const start = (roots: Roots) => {
    number += 1n
    const id = number
    const ran = runBatch(db, plan, batchOf(options, id, roots), options.hooks)
    const ended = ran.then((outcome) => ({ id, roots, outcome }))
    // It may fail while the caller is busy with another outcome: whoever asks for the next step is told.
    ended.catch(() => undefined)
    running.set(id, ended)
  }

  try {
    for (;;) {
      const verdict = options.throttle?.verdict() ?? null
      const free = verdict === null ? lanes - running.size : 0
      for (let lane = 0; lane < free; lane += 1) {
        const roots: Roots | null = unfinished ?? (await source.take(running.size === 0))
        unfinished = null
        if (roots === null) break
        start(roots)
      }
      if (running.size === 0) {
        if (verdict === null) return
        yield { kind: 'throttled', ...verdict }
        continue
      }
      const { id, roots, outcome } = await Promise.race(running.values())
      running.delete(id)
      size.learn(outcome.rows, outcome.lockMs)
      options.throttle?.spent(outcome.rows)
      source.settled(outcome)
      if (outcome.more) unfinished = roots
      yield { kind: 'batch', outcome }
    }
  } finally {
    // Nothing may run on behind the caller's back: it copies the record next.
    await Promise.allSettled(running.values())
  }
}

interface Ended {
  id: bigint
  roots: Roots
  outcome: BatchOutcome
}

interface Roots {
  roots: readonly BatchRoot[]
  oversized: boolean
}

function batchOf(options: DrainOptions, number: bigint, next: Roots): Batch {
  return {
    runId: options.runId,
    fence: options.fence,
    number,
    proposalId: options.proposalId,
    roots: next.roots,
    guard: options.guard,
    wait: options.wait === true,
    pieceRows: next.oversized ? options.maxRows : null,
    pseudonymKey: options.pseudonymKey,
  }
}

/** Reads the population in pages and hands out batches; each root once a pass. */
class Source {
  readonly #db: Database
  readonly #options: DrainOptions
  readonly #size: BatchSize
  #page: PopulationRoot[] = []
  #after = -1n
  #ended = false
  #deferred = false
  readonly #tried = new Set<bigint>()

  constructor(db: Database, options: DrainOptions, size: BatchSize) {
    this.#db = db
    this.#options = options
    this.#size = size
  }

  /** `alone`: no batch runs, so what was put off can be looked at again without meeting it twice. */
  async take(alone: boolean): Promise<Roots | null> {
    return this.#options.pass === 'heavy' ? this.#takeHeavy() : this.#takeLight(alone)
  }

  /** What a batch put off is still pending: the pass goes over the population once more. */
  settled(outcome: BatchOutcome): void {
    if (outcome.deferred.length > 0) this.#deferred = true
  }

  async #takeLight(alone: boolean): Promise<Roots | null> {
    // A page never ends a batch early: the next one is read while the first still has a batch's worth of roots.
    if (this.#page.length < PAGE / 2 && !this.#ended) await this.#read()
    if (this.#page.length === 0) {
      if (!this.#deferred || !alone) return null
      this.#deferred = false
      this.#ended = false
      this.#after = -1n
      await this.#read()
      if (this.#page.length === 0) return null
    }
    const fitting =
      this.#options.wait === true ? this.#page.slice(0, 1) : takeFitting(this.#page, this.#size.rows)
    this.#page = this.#page.slice(fitting.length)
    return { roots: fitting.map(({ ordinal, key }) => ({ ordinal, key })), oversized: false }
  }

  async #read(): Promise<void> {
    const found = await nextRoots(this.#db, this.#options.proposalId, this.#options.pass, {
      maxRows: this.#options.maxRows,
      after: this.#after,
      limit: PAGE,
    })
    this.#page.push(...found)
    this.#after = found.at(-1)?.ordinal ?? this.#after
    this.#ended = found.length < PAGE
  }

  /** A heavy subject that is locked or blocked stays where it is: it is tried once a pass. */
  async #takeHeavy(): Promise<Roots | null> {
    const found = await nextRoots(this.#db, this.#options.proposalId, 'heavy', {
      maxRows: this.#options.maxRows,
      after: -1n,
      limit: this.#tried.size + 1,
    })
    const next = found.find(
      (root) =>
        !this.#tried.has(root.ordinal) && (this.#options.onlyBegun !== true || root.state === 'removing'),
    )
    if (next === undefined) return null
    this.#tried.add(next.ordinal)
    return { roots: [{ ordinal: next.ordinal, key: next.key }], oversized: true }
  }
}
