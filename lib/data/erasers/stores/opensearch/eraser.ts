/** Documents of OpenSearch, found by an exact value of a keyword field and deleted by tasks of the cluster's own. */
import { Counts } from '../../../../base/counts/index.ts'
import { LetheError } from '../../../../base/errors/index.ts'
import type { ErasePage, Eraser } from '../../eraser.ts'
import { Findings } from '../../findings.ts'
import { openClient, type OpensearchOptions } from './client.ts'
import { countEach, countPiece, piecesOf, refresh, type Piece } from './count.ts'
import { readFields } from './mapping.ts'
import { requirePlaces, searchOf, type OpensearchPlan } from './plan.ts'
import { awaitTasks, startDeletion, startExpunging, type Ended } from './tasks.ts'

/**
 * Needs the rights to read the mapping, refresh, search and delete by query in the indices, and to look at tasks
 * (`cluster:monitor/task/get`). Throws E_CONFIG for a place that would not find exactly its subject's documents.
 */
export function opensearchEraser(options: OpensearchOptions): Eraser<OpensearchPlan> {
  const { store, documentsPerSecond = 1000, waitSeconds = 5, expungeDeletes = false } = options
  const client = openClient(options)
  const open = async (plan: OpensearchPlan, signal: AbortSignal) => {
    signal.throwIfAborted()
    requirePlaces(plan, store)
    return readFields(client, plan, signal)
  }
  /** Pieces that have something, each with its number of documents. */
  const countAll = async (pieces: readonly Piece[], signal: AbortSignal) => {
    await refresh(
      client,
      pieces.map(({ index }) => index),
      signal,
    )
    const found: { piece: Piece; count: number }[] = []
    for (const piece of pieces) {
      const count = await countPiece(client, piece, signal)
      if (count > 0) found.push({ piece, count })
    }
    return found
  }

  /** Starts a task for each piece that has something; those that may not be started are said. */
  const startAll = async (pieces: readonly Piece[], limit: number, page: Page, signal: AbortSignal) => {
    const found = (await countAll(pieces, signal)).sort((one, other) => one.count - other.count)
    const jobs: string[] = []
    let room = limit
    for (const [turn, { piece, count }] of found.entries()) {
      // An index that refuses would otherwise take the room of all others, each time.
      const most = Math.min(count, Math.ceil(room / (found.length - turn)))
      if (most === 0) break
      try {
        jobs.push(await startDeletion(client, piece, most, documentsPerSecond, signal))
        room -= most
      } catch (error) {
        if (!(error instanceof LetheError) || error.code !== 'E_STORE_REFUSED') throw error
        page.say(`Documents of ${piece.place} were left: ${error.message}`)
      }
    }
    return jobs
  }

  return {
    store,
    capabilities: {
      bulk: 1000,
      ratePerMinute: null,
      reversible: false,
      verifiable: true,
      sideEffects: [
        'a deleted document stays in its segment, and readable in the files, until the segment is merged',
        'a merge, expunging too, keeps deleted documents that a copy may still recover from (retention leases, 12 hours)',
        'snapshots of the cluster keep the document until they are deleted',
        'other clusters that follow the index follow the deletion, too, and are not read back',
        'slow logs and audit logs, where they are on, record the values that are searched for',
        'the result of each task stays in the index .tasks, with ids of documents that could not be deleted',
      ],
      irreversibleAfter:
        'the task; segments until they are merged and snapshots until they are deleted keep copies',
      settleSeconds: 0,
      follows: 'OpenSearch 2.19',
    },
    async probe(plan, signal) {
      const { wanted } = searchOf(plan, [], await open(plan, signal))
      for (const { field } of wanted) {
        const query = { terms: { [field.place.field]: [''] } }
        for (const index of field.indices)
          await countPiece(client, { place: field.place.name, index, query }, signal)
      }
    },
    async locate(subjects, plan, signal) {
      const { wanted } = searchOf(plan, subjects, await open(plan, signal))
      const counts = new Counts()
      for (const { piece, count } of await countAll(piecesOf(wanted), signal)) counts.add(piece.place, count)
      return { counts: counts.plain() }
    },
    async erase(subjects, plan, { limit, jobs = [] }, signal) {
      const { wanted, unfit } = searchOf(plan, subjects, await open(plan, signal))
      const pieces = piecesOf(wanted)
      const page = new Page()
      if (unfit.size > 0) page.say(`${unfit.size} of the subjects have a value that can't be searched for.`)
      const running = jobs.length > 0 ? jobs : await startAll(pieces, limit, page, signal)
      for (const [job, ended] of await awaitTasks(client, running, waitSeconds, signal)) page.note(job, ended)
      if (page.pending > 0 || running.length === 0) return page.plain(page.pending > 0)
      const left = await countAll(pieces, signal)
      if (left.length > 0) return page.plain(page.progress)
      if (expungeDeletes && page.deleted)
        for (const index of new Set(pieces.map(({ index }) => index)))
          page.wait(await startExpunging(client, index, signal))
      return page.plain(page.pending > 0)
    },
    async verify(subjects, plan, signal) {
      const { wanted, unfit } = searchOf(plan, subjects, await open(plan, signal))
      const findings = new Findings(subjects.length)
      // Whoever can't be searched for is not absent.
      for (const subject of unfit) findings.left(subject, 'not searched for')
      for (const want of wanted) {
        const { name } = want.field.place
        if (want.values.size > 0) await refresh(client, want.field.indices, signal)
        for (const [subject, count] of await countEach(client, want, signal))
          findings.left(subject, name, count)
      }
      return findings.each()
    },
  }
}

/** What one call of `erase` has to say. */
class Page {
  private readonly removed = new Counts()
  private readonly jobs: string[] = []
  private readonly messages = new Set<string>()
  /** Whether another round may do what this one didn't. */
  progress = false

  get deleted(): boolean {
    return this.removed.total > 0
  }

  get pending(): number {
    return this.jobs.length
  }

  say(sentence: string): void {
    this.messages.add(sentence)
  }

  wait(job: string): void {
    this.jobs.push(job)
  }

  note(job: string, ended: Ended): void {
    if (ended.is === 'running') return this.wait(job)
    if (ended.is === 'lost') {
      this.progress = true
      return this.say('A task was lost with its node: what it had not done is done again.')
    }
    const { place, deleted, conflicts, faults } = ended
    this.removed.add(place, deleted)
    if (deleted > 0 || conflicts > 0) this.progress = true
    if (conflicts > 0)
      this.say(`${conflicts} documents of ${place} changed while they were deleted, and are tried again.`)
    for (const fault of new Set(faults)) this.say(`Documents of ${place} were left: ${fault}.`)
  }

  plain(more: boolean): ErasePage {
    return {
      removed: this.removed.plain(),
      retained: [],
      pending: this.jobs.map((job) => ({ job, pollAfterSeconds: 10 })),
      messages: [...this.messages],
      more,
    }
  }
}
