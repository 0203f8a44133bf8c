/**
 * Works a population off, batch by batch, until the caller stops asking. While one batch runs, the roots of the next are
 * read, expanded and entered in the ledger: entries may be ahead of destruction by one batch, destruction is never ahead
 * of its entries. Memory holds two batches and one page of keys, however many are due.
 */
import type { DeletionPlan } from '../../../datamap/index.ts'
import type { Database } from '../../../db/index.ts'
import type { Batch, BatchHooks, BatchOutcome, BatchRoot } from './batch.ts'
import { runBatch } from './execute.ts'
import { nextRoots, type Pass, type PopulationRoot } from './population.ts'
import { readProgress } from './progress.ts'
import { batchSize, takeFitting, type BatchSize } from './sizing.ts'
import { prepareSubjects } from './subjects.ts'
import type { Throttle } from './throttle.ts'

const PAGE = 2000

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

/**
 * One step for each `next()`. Ends when the pass has nothing left. May be left at any point (`return()`): entries that
 * were written ahead for a batch that did not run then stand without an erasure, and the caller voids those of the
 * remaining population when the run ends (remainingRoots), or uses them when it goes on.
 */
export async function* drainPopulation(
  db: Database,
  plan: DeletionPlan,
  options: DrainOptions,
): AsyncGenerator<DrainStep, void, void> {
  const size = options.size ?? batchSize(options)
  const source = new Source(db, options, size)
  let number = (await readProgress(db, options.runId))?.batch ?? 0n
  let next = await source.take()
  while (next !== null) {
    const verdict = options.throttle?.verdict() ?? null
    if (verdict !== null) {
      yield { kind: 'throttled', ...verdict }
      continue
    }
    number += 1n
    const current = next
    // Both must have ended before anything is decided: a failed look-ahead must not leave a batch running behind it.
    const [ran, ahead] = await Promise.allSettled([
      runBatch(db, plan, batchOf(options, number, current), options.hooks),
      lookAhead(db, plan, source, options, current),
    ])
    if (ran.status === 'rejected') throw ran.reason
    const outcome = ran.value
    size.learn(outcome.rows, outcome.lockMs)
    options.throttle?.spent(outcome.rows)
    source.settled(outcome)
    yield { kind: 'batch', outcome }
    if (ahead.status === 'rejected') throw ahead.reason
    next = outcome.more ? current : (ahead.value ?? (await source.take()))
  }
}

interface Roots {
  roots: readonly BatchRoot[]
  oversized: boolean
}

async function lookAhead(
  db: Database,
  plan: DeletionPlan,
  source: Source,
  options: DrainOptions,
  current: Roots,
): Promise<Roots | null> {
  // Whether an oversized subject is finished is known only after its piece.
  if (current.oversized) return null
  const next = await source.take()
  if (next !== null)
    await prepareSubjects(db, plan, next.roots, (keys) => options.hooks.beforeDestruction(keys))
  return next
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

  async take(): Promise<Roots | null> {
    return this.#options.pass === 'heavy' ? this.#takeHeavy() : this.#takeLight()
  }

  /** What a batch put off is still pending: the pass goes over the population once more. */
  settled(outcome: BatchOutcome): void {
    if (outcome.deferred.length > 0) this.#deferred = true
  }

  async #takeLight(): Promise<Roots | null> {
    if (this.#page.length === 0 && !this.#ended) await this.#read()
    if (this.#page.length === 0) {
      if (!this.#deferred) return null
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
    this.#page = await nextRoots(this.#db, this.#options.proposalId, this.#options.pass, {
      maxRows: this.#options.maxRows,
      after: this.#after,
      limit: PAGE,
    })
    this.#after = this.#page.at(-1)?.ordinal ?? this.#after
    this.#ended = this.#page.length < PAGE
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
