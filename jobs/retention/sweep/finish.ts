/**
 * How a sweep ends, well or not: what went is read back, the ledger's entries of those who stayed are voided, the report
 * stands, and the population's keys leave the target last.
 */
import { total } from '../../../lib/base/counts/index.ts'
import { forgetPopulation, readBackErased } from '../../../lib/data/rows/index.ts'
import { LetheError } from '../../../lib/base/errors/index.ts'
import type { NewEvent } from '../../../lib/record/evidence/index.ts'
import { markVerified } from '../../../lib/record/erasures/index.ts'
import { recordStep } from '../../../lib/record/ledger/index.ts'
import { catchUpBucket, isBucketAway } from '../../erasure-ledger.ts'
import { setProposalState, type Proposal } from '../../../lib/record/proposals/index.ts'
import type { StepResult } from '../../kind.ts'
import type { Cursor } from './cursor.ts'
import { catchUp, type Work } from './execute.ts'
import { openedScope, voidRemaining } from './ledger.ts'
import { writeReport } from './outcome.ts'

/** Subjects read back in one step. */
const VERIFY_PAGE = 2_000

/** One page; false: none is left to look at. Throws E_VERIFY where rows are still there: their keys stay for a second look. */
export async function readBack(work: Work, cursor: Cursor): Promise<boolean> {
  const { context, run, plan, proposal, target } = work
  const { checked, left, to } = await readBackErased(target, plan, proposal.id, page(cursor))
  if (total(left) > 0) {
    await recordStep(context.control, run, {
      name: 'verify',
      counters: { left: total(left) },
      events: [{ type: 'erasure.verified', data: { store: plan.store, left } }],
    })
    throw new LetheError('E_VERIFY', {
      message: `Run ${run.id}: ${total(left)} rows of removed subjects are still there: ${Object.entries(left)
        .map(([table, n]) => `${table} ${n}`)
        .join(', ')}.`,
      left: 'The other rows are gone and recorded; the ledger keeps the entries as not verified.',
      facts: { run: run.id, left },
    })
  }
  if (checked === 0) return false
  const all = cursor.checked + checked
  await recordStep(context.control, run, {
    name: 'verify',
    counters: { verified: all },
    cursor: { ...cursor, checked: all, readTo: to.toString() },
  })
  return true
}

function page(cursor: Cursor): { after: bigint; limit: number } {
  return { after: BigInt(cursor.readTo), limit: VERIFY_PAGE }
}

/**
 * A refusal or a failed verification is final: the runner ends the run with the error, no attempt follows. A bucket that takes
 * nothing is waited for.
 */
export function endsRun(error: unknown): error is LetheError {
  return error instanceof LetheError && error.code !== 'E_FENCED' && !error.retryable && !isBucketAway(error)
}

/**
 * A run that ends by an error leaves the record as one that ends well: what went is read back, the ledger's entries of
 * those who stayed are voided, the report says why. Idempotent; a crash in the middle meets the same error again.
 */
export async function closing(work: Work, cursor: Cursor, error: LetheError): Promise<void> {
  const { context, run, target, plan, proposal } = work
  let now: Cursor = { ...cursor, refusal: { code: error.code, message: error.message } }
  await recordStep(context.control, run, { name: 'close', note: error.code, cursor: now })
  if (executed(cursor)) await catchUp(work)
  for (;;) {
    const read = await readBackErased(target, plan, proposal.id, page(now))
    now = { ...now, checked: now.checked + read.checked, left: read.left }
    // rows that are still there end the reading: their subjects stay unverified in the ledger
    if (read.checked === 0 || total(read.left) > 0) break
    now = { ...now, readTo: read.to.toString() }
    await recordStep(context.control, run, { name: 'verify', cursor: now })
  }
  if (executed(cursor)) await standVoided(work, now)
  const outcome = error.code === 'E_VERIFY' ? 'not-verified' : 'refused'
  await record(work, { ...now, ended: outcome }, outcome, 'cancelled')
  await forgetPopulation(target, proposal.id)
}

/**
 * After everything that went was read back: the entries of those who stayed are voided, the bucket has all of them, and what
 * stands is marked verified unless rows were still found. Idempotent. Throws E_BUCKET_UNAVAILABLE, E_BUCKET_LOCK.
 */
export async function standVoided(work: Work, cursor: Cursor): Promise<void> {
  const { context, run, plan } = work
  await voidRemaining(work)
  await catchUpBucket(context)
  const scope = await openedScope(work)
  const clean = total(cursor.left) === 0
  await recordStep(
    context.control,
    run,
    {
      name: 'verify',
      note: `${cursor.checked} subjects read back${clean ? ', nothing left' : ''}`,
      counters: { verified: cursor.checked },
      cursor,
      events: [{ type: 'erasure.verified', data: { store: plan.store, left: cursor.left } }],
    },
    async (tx) => {
      if (clean) await markVerified(tx, scope)
    },
  )
}

export function executed(cursor: Cursor): boolean {
  return ['light', 'heavy', 'locked', 'verify'].includes(cursor.phase)
}

/** The report, the proposal's last state, and at last the population's keys out of the target. */
export async function ending(
  work: Work,
  cursor: Cursor,
  outcome: string,
  state?: Proposal['state'],
  events: readonly NewEvent[] = [],
): Promise<StepResult> {
  await record(work, { ...cursor, ended: outcome }, outcome, state, events)
  return forgetting(work, outcome)
}

async function record(
  work: Work,
  cursor: Cursor,
  outcome: string,
  state?: Proposal['state'],
  events: readonly NewEvent[] = [],
): Promise<void> {
  const { context, run, proposal } = work
  await writeReport(work, cursor, outcome)
  await recordStep(
    context.control,
    run,
    { name: 'report', cursor, events: [...events, { type: 'report.written', data: {} }] },
    async (tx) => {
      if (state !== undefined) await setProposalState(tx, proposal.id, state)
    },
  )
}

/** After the report: it counts what is left of the population. */
export async function forgetting({ target, proposal }: Work, outcome: string): Promise<StepResult> {
  await forgetPopulation(target, proposal.id)
  return { kind: 'done', outcome }
}
