/** Buckets of S3: every version of every object, every delete marker, every upload in progress. */
import { Counts } from '../../../../base/counts/index.ts'
import { LetheError } from '../../../../base/errors/index.ts'
import type { ErasePage, Eraser } from '../../eraser.ts'
import { Findings, Grounds } from '../../findings.ts'
import { abreast } from '../../../../base/slices/index.ts'
import {
  isTransient,
  orRefused,
  unavailable,
  s3Server,
  type S3Server,
  type S3Settings,
} from '../../../../base/s3/index.ts'
import { LIST, uploadPages, versionPages } from './list.ts'
import { keepServerTime, lockingBuckets } from './lock.ts'
import { aimsAt, requireBounded, targetsOf, type S3Plan, type Target } from './plan.ts'
import { probe } from './probe.ts'
import { BATCH, remove } from './remove.ts'
import { AT_ONCE, survey, type Item } from './survey.ts'

export interface S3Eraser extends Eraser<S3Plan> {
  /** Ends the connections that wait for the next call. */
  close(): void
}

/**
 * Needs the rights s3:ListBucketVersions, ListBucketMultipartUploads, DeleteObject, DeleteObjectVersion,
 * AbortMultipartUpload and GetBucketObjectLockConfiguration, where objects are locked also GetObjectRetention and
 * GetObjectLegalHold. `retained` of a page speaks of what that call came past; the last page's is whole. Where something
 * stays that only time mends, the rest is done first and the error thrown then, with what was removed in its facts.
 */
export function s3Eraser(settings: S3Settings): S3Eraser {
  const server = s3Server(settings)
  const { store, client } = server
  keepServerTime(client)
  const begin = (plan: S3Plan, signal: AbortSignal) => {
    requireBounded(plan)
    signal.throwIfAborted()
  }
  return {
    store,
    capabilities: {
      // Each call lists every subject's places again.
      bulk: 100,
      ratePerMinute: null,
      reversible: false,
      verifiable: true,
      sideEffects: [
        'notifications of the bucket fire for each object',
        'copies that replication made in other buckets stay: S3 never replicates the deletion of a version',
      ],
      irreversibleAfter: 'the call; copies in backups and inventories until they expire',
      // Lists and reads have been strongly consistent since December 2020.
      settleSeconds: 0,
      follows: 'Amazon S3 2006-03-01',
    },
    async probe(plan, signal) {
      begin(plan, signal)
      await probe(server, plan, signal)
    },
    async locate(subjects, plan, signal) {
      begin(plan, signal)
      const { targets, astray } = targetsOf(plan, subjects)
      for (const error of astray.values()) throw error
      const counts = new Counts()
      await abreast(targets, AT_ONCE, (target) => count(server, target, counts, signal))
      return { counts: counts.plain() }
    },
    async erase(subjects, plan, page, signal) {
      begin(plan, signal)
      const { targets, astray } = targetsOf(plan, subjects)
      const work = new Work(server, signal)
      if (astray.size > 0)
        work.say(
          `${astray.size} of the subjects could not be looked for by all that leads to them: ${[...astray.values()][0]?.message ?? ''}`,
        )
      if (targets.length === 0) return work.page(false)
      return work.run(targets, page.limit)
    },
    async verify(subjects, plan, signal) {
      begin(plan, signal)
      const { targets, astray } = targetsOf(plan, subjects)
      const findings = new Findings(subjects.length)
      for (const [subject, error] of astray) findings.unseen(subject, error)
      await lookBack(server, targets, findings, signal)
      return findings.each()
    },
    close: () => client.destroy(),
  }
}

async function lookBack(
  server: S3Server,
  targets: readonly Target[],
  findings: Findings,
  signal: AbortSignal,
): Promise<void> {
  const locking = await lockingBuckets(server, targets, signal)
  for await (const finding of survey(server, targets, locking, signal)) {
    if (finding.kind === 'unread') {
      if (finding.error.retryable) throw finding.error
      for (const { subject } of finding.target.aims) findings.unseen(subject, finding.error)
      continue
    }
    const { target, key } = finding.item
    for (const { subject, place } of aimsAt(target, key))
      if (finding.kind === 'kept') findings.keep(subject, place, finding.kept)
      else findings.left(subject, place)
  }
}

/** One call of `erase`. */
class Work {
  private readonly removed = new Counts()
  private readonly kept = new Grounds()
  private readonly refused = new Counts()
  private readonly messages: string[] = []
  private readonly waiting: { bucket: string; reason: string }[] = []
  private open: Item[] = []
  private readonly server: S3Server
  private readonly signal: AbortSignal

  constructor(server: S3Server, signal: AbortSignal) {
    this.server = server
    this.signal = signal
  }

  async run(targets: readonly Target[], limit: number): Promise<ErasePage> {
    const locking = await lockingBuckets(this.server, targets, this.signal)
    let away: LetheError | null = null
    let more = false
    try {
      for await (const finding of survey(this.server, targets, locking, this.signal)) {
        if (finding.kind === 'kept') this.kept.add(finding.item.target.place, finding.kept)
        else if (finding.kind === 'unknown')
          this.refused.add(`${finding.item.target.place} refused: ${finding.code}`)
        else if (finding.kind === 'unread') {
          const { error, target } = finding
          if (error.retryable) away ??= error
          this.say(`A subject's part of ${target.place} could not be read: ${String(error.facts['reason'])}.`)
        } else {
          // What was refused takes no room from what may go.
          if (this.removed.total + this.open.length >= limit) await this.flush()
          more = this.removed.total >= limit
          if (more) break
          this.open.push(finding.item)
          if (this.open.length === BATCH) await this.flush()
        }
      }
      await this.flush()
    } catch (error) {
      throw this.withRemoved(error)
    }
    if (away !== null) throw this.withRemoved(away)
    const [busy] = this.waiting
    if (busy !== undefined) {
      const what = `delete ${this.waiting.length} items`
      throw this.withRemoved(unavailable(this.server, busy.bucket, what, busy.reason))
    }
    return this.page(more)
  }

  page(more: boolean): ErasePage {
    return {
      removed: this.removed.plain(),
      retained: this.kept.plain(),
      pending: [],
      messages: [...this.messages, ...this.refused.sentences((count, what) => `${count} in ${what}.`)],
      more,
    }
  }

  say(sentence: string): void {
    if (!this.messages.includes(sentence)) this.messages.push(sentence)
  }

  private async flush(): Promise<void> {
    const items = this.open
    this.open = []
    if (items.length === 0) return
    const outcomes = await remove(this.server, items, this.signal)
    for (const [turn, { target }] of items.entries()) {
      const outcome = outcomes[turn] ?? null
      if (outcome === null) this.removed.add(target.place)
      else if (isTransient(outcome)) this.waiting.push({ bucket: target.bucket, reason: outcome })
      else this.refused.add(`${target.place} refused: ${outcome}`)
    }
  }

  private withRemoved(error: unknown): unknown {
    if (!(error instanceof LetheError)) return error
    return new LetheError(error.code, {
      message: error.message,
      left: `${this.removed.total} items were removed by this call before; the next one goes on with the rest.`,
      next: error.next,
      facts: { ...error.facts, removed: this.removed.plain() },
    })
  }
}

async function count(server: S3Server, target: Target, counts: Counts, signal: AbortSignal): Promise<void> {
  await orRefused(server, target.bucket, LIST, async () => {
    for await (const page of uploadPages(server, target, signal)) counts.add(target.place, page.length)
    for await (const page of versionPages(server, target, signal)) counts.add(target.place, page.length)
  })
}
