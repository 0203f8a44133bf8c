/** One call of `erase`: customers are deleted, or redacted by jobs that later calls look at. */
import type { ErasePage, EraseRequest, Retained, SubjectRef } from '../../eraser.ts'
import { slices } from '../../../../base/slices/index.ts'
import { isAboutItems, sendSplit } from '../split.ts'
import { readJob, writeJob, type Started } from '../resume.ts'
import type { StripeSide } from './client.ts'
import { deleteCustomer, findCustomers, type Known, type State } from './customers.ts'
import type { StripePlan } from './plan.ts'
import { cancelRedaction, OBJECTS, readRedaction, runRedaction, startRedaction } from './redaction.ts'

const KEPT =
  'payments and invoices of a deleted customer, with their billing details, stay at Stripe (accounting duties, GDPR Art. 17(3)(b)); only redaction takes them out of the account'

const POLL_SECONDS = 60

export async function eraseCustomers(
  side: StripeSide,
  subjects: readonly SubjectRef[],
  plan: StripePlan,
  request: EraseRequest,
  signal: AbortSignal,
): Promise<ErasePage> {
  if (side.options.redaction !== true) return deleteSome(side, subjects, plan, request, signal)
  const { jobs = [] } = request
  if (jobs.length === 0) return redactFrom(side, subjects, 0, plan, request, signal)
  const { page, from } = await look(side, jobs, request, signal)
  if (page.pending.length > 0 || from === null) return page
  const next = await redactFrom(side, subjects, from, plan, request, signal)
  return { ...next, removed: page.removed, messages: [...page.messages, ...next.messages] }
}

async function deleteSome(
  side: StripeSide,
  subjects: readonly SubjectRef[],
  plan: StripePlan,
  { limit }: EraseRequest,
  signal: AbortSignal,
): Promise<ErasePage> {
  const known = await findCustomers(side, subjects, plan, signal)
  const present = idsOf(known, 'present')
  const gone = new Set(idsOf(known, 'deleted'))
  let removed = 0
  let refused = 0
  let more = false
  for (const id of present) {
    if (removed >= limit) {
      more = true
      break
    }
    try {
      if (await deleteCustomer(side, id, signal)) removed += 1
      gone.add(id)
    } catch (error) {
      if (!isAboutItems(error)) throw error
      refused += 1
    }
  }
  return {
    removed: removed === 0 ? {} : { customers: removed },
    retained: retainedOf(gone.size),
    pending: [],
    messages: [...said(refused, 'could not be deleted: refused by Stripe'), ...unfit(known)],
    more,
  }
}

/** Whole subjects, as many as their customers leave room for: at least one, and at most `limit` customers of it. */
async function redactFrom(
  side: StripeSide,
  subjects: readonly SubjectRef[],
  from: number,
  plan: StripePlan,
  request: EraseRequest,
  signal: AbortSignal,
): Promise<ErasePage> {
  const known = await findCustomers(side, subjects.slice(from, from + request.limit), plan, signal)
  const ids = new Set<string>()
  let done = 0
  for (const one of known) {
    const own = idsOf([one], 'present').filter((id) => !ids.has(id))
    if (done > 0 && ids.size + own.length > request.limit) break
    const some = own.slice(0, request.limit)
    for (const id of some) ids.add(id)
    if (some.length < own.length) break
    done += 1
  }
  const started: string[] = []
  let refused = 0
  for (const piece of slices([...ids], OBJECTS)) {
    const bad = await sendSplit(piece, async (some) => {
      started.push(await startRedaction(side, request.runId, some, signal))
    })
    refused += bad.length
  }
  const next = from + done
  const rest = next < subjects.length ? { from: next } : {}
  const page: ErasePage = {
    removed: {},
    retained: retainedOf(new Set(idsOf(known.slice(0, done), 'deleted')).size),
    pending: started.map((id) => pending({ kind: 'redaction', id, ...rest })),
    messages: [
      ...said(refused, 'not taken by a redaction job: refused by Stripe'),
      ...unfit(known.slice(0, done)),
    ],
    more: started.length > 0 || next < subjects.length,
  }
  if (started.length > 0 || next === subjects.length || done === 0) return page
  // Nothing carries the place: the next call would begin with the same subjects again.
  const others = await redactFrom(side, subjects, next, plan, request, signal)
  return {
    ...others,
    retained: [...page.retained, ...others.retained],
    messages: [...page.messages, ...others.messages],
  }
}

async function look(
  side: StripeSide,
  jobs: readonly string[],
  { runId }: EraseRequest,
  signal: AbortSignal,
): Promise<{ page: ErasePage; from: number | null }> {
  const started = jobs.map(readJob).filter((job) => job !== null)
  const running: Started[] = []
  const messages: string[] = []
  let redacted = 0
  for (const job of started) {
    const now = await readRedaction(side, job.id, signal)
    const customers = now?.objects?.customers ?? []
    if (now === null || now.status === 'canceled' || now.status === 'canceling') {
      messages.push(`Redaction job ${job.id} was cancelled or is unknown at Stripe.`)
    } else if (now.status === 'succeeded') {
      redacted += customers.length
    } else if (now.status === 'failed') {
      const codes = [...new Set((now.validation_errors?.data ?? []).map(({ code }) => code))]
      messages.push(
        `Redaction job ${job.id} failed validation${codes.every(isPlain) && codes.length > 0 ? ` (${codes.join(', ')})` : ''}.`,
      )
      await cancelRedaction(side, job.id, signal)
      // One customer holds up the job's others: each gets a job of its own.
      for (const one of customers.length > 1 ? customers : [])
        running.push({ ...job, id: await startRedaction(side, runId, [one], signal) })
    } else {
      if (now.status === 'ready') await runRedaction(side, job.id, signal)
      running.push(job)
    }
  }
  const places = started.flatMap(({ from }) => (from === undefined ? [] : [from]))
  return {
    page: {
      removed: redacted === 0 ? {} : { customers: redacted },
      retained: [],
      pending: running.map(pending),
      messages,
      more: running.length > 0,
    },
    from: places.length === 0 ? null : Math.max(...places),
  }
}

export function retainedOf(deleted: number): Retained[] {
  return deleted === 0
    ? []
    : [{ place: 'payments of deleted customers', count: deleted, ground: KEPT, until: null }]
}

export function idsOf(known: readonly Known[], state: State): string[] {
  const all = known.flatMap(({ customers }) => [...customers])
  return [...new Set(all.filter(([, now]) => now === state).map(([id]) => id))]
}

function pending(job: Started) {
  return { job: writeJob(job), pollAfterSeconds: POLL_SECONDS }
}

function unfit(known: readonly Known[]): string[] {
  const count = known.reduce((all, one) => all + one.unfit, 0)
  return count === 0 ? [] : [`${count} value${count === 1 ? '' : 's'} passed over: no customer's id.`]
}

function said(count: number, rest: string): string[] {
  return count === 0 ? [] : [`${count} customer${count === 1 ? '' : 's'} ${rest}.`]
}

function isPlain(code: string): boolean {
  return /^[a-z_]{1,64}$/.test(code)
}
