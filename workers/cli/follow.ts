/** Follows a run until it ends or waits for a person: a bar on a terminal, a line now and then elsewhere. */
import type { Context } from '../../jobs/context.ts'
import { monotonicMs, sleep } from '../../lib/base/clock/index.ts'
import { isErrorCode, LetheError } from '../../lib/base/errors/index.ts'
import { finalStates, getRun, type Run } from '../../lib/record/ledger/index.ts'
import { listProposals } from '../../lib/record/proposals/index.ts'
import { count } from './output.ts'
import { proposalText } from './proposal-text.ts'
import type { Session } from './session.ts'

const LOOK_MS = 500
/** Off a terminal: a line at each change of state, and this often otherwise. */
const LINE_MS = 10_000
const BAR = 24

/** Throws the run's own error where it failed or was refused, E_APPROVAL_MISSING where it waits for a decision. */
export async function follow(session: Session, context: Context, id: string): Promise<void> {
  const { output } = session
  session.left = `Run ${id} goes on without this command.`
  session.next = `Watch it again: lethe runs follow ${id}. Stop it: lethe retention pause ${id}`
  const pace = createPace()
  let told = { text: '', at: -LINE_MS }
  for (;;) {
    const run = await getRun(context.control, id)
    if (finalStates.includes(run.state)) return ended(session, run)
    if (run.state === 'paused') {
      output.data({ run }, `Run ${id} is paused; it goes on with: lethe retention resume ${id}`)
      return
    }
    if (run.waitingFor === 'approval') return waits(session, context, run)
    const shown = describe(run, pace(run))
    const now = monotonicMs()
    const changed = `${run.state} ${run.waitingFor}` !== told.text
    if (output.live || changed || now - told.at >= LINE_MS) {
      output.progress(shown.value, output.live ? `${bar(shown.value)} ${shown.text}` : shown.text)
      told = { text: `${run.state} ${run.waitingFor}`, at: now }
    }
    await sleep(LOOK_MS)
  }
}

function ended(session: Session, run: Run): void {
  if (run.state === 'failed' || run.state === 'refused') throw runError(run)
  session.output.data(
    { run },
    `Run ${run.id} ${run.state}: ${run.outcome ?? ''}. ${count(goneRows(run))} rows. See: lethe retention report ${run.id}`,
  )
  // Some subjects stayed although they should have gone, or the rest was called off: partly done.
  const stayed = Object.entries(run.counters).some(([name, n]) => name.startsWith('blocked.') && n > 0)
  if (run.state === 'cancelled' || stayed) session.exitCode = 3
}

function runError(run: Run): LetheError {
  return new LetheError(isErrorCode(run.errorCode) ? run.errorCode : 'E_INTERNAL', {
    message: run.errorMessage ?? `Run ${run.id} ended as ${run.state} (${run.outcome ?? 'no outcome'}).`,
    left: `${count(goneRows(run))} rows were removed before; they are recorded. See: lethe runs show ${run.id}`,
    facts: { run: run.id, state: run.state },
  })
}

async function waits(session: Session, context: Context, run: Run): Promise<never> {
  const proposals = await listProposals(context.control, { policy: run.scope, waiting: true })
  const proposal = proposals.find((one) => one.runId === run.id)
  session.output.data(
    { run, proposal: proposal ?? null },
    proposal === undefined ? `Run ${run.id} waits.` : proposalText(session.output.bold, proposal),
  )
  throw new LetheError('E_APPROVAL_MISSING', {
    message: `Run ${run.id} waits for a decision on its proposal.`,
    left: 'Nothing was removed. The run goes on by itself once someone has decided.',
    next: `lethe retention approve ${proposal?.id ?? 'PROPOSAL'} --reason … (or --outcome extend, preserve, reject)`,
    facts: { run: run.id, ...(proposal === undefined ? {} : { proposal: proposal.id }) },
  })
}

interface Progress {
  run: string
  state: string
  phase: string
  rows: number
  expectedRows: number | null
  rowsPerSecond: number | null
  secondsLeft: number | null
  /** What holds it back now, the first reason; null: nothing. */
  heldBackBy: string | null
}

function describe(run: Run, { rowsPerSecond, heldBackBy }: Pace): { value: Progress; text: string } {
  const rows = goneRows(run)
  const expectedRows = run.counters['proposed-rows'] ?? null
  const left = expectedRows === null ? null : Math.max(0, expectedRows - rows)
  const phase = run.cursor['phase']
  const value: Progress = {
    run: run.id,
    state: run.state,
    phase: typeof phase === 'string' ? phase : 'propose',
    rows,
    expectedRows,
    rowsPerSecond: rowsPerSecond === null ? null : Math.round(rowsPerSecond),
    secondsLeft:
      left === null || rowsPerSecond === null || rowsPerSecond <= 0 ? null : Math.ceil(left / rowsPerSecond),
    heldBackBy: run.state === 'waiting' ? run.waitingFor : heldBackBy,
  }
  const parts = [
    `${value.state}, ${value.phase}`,
    expectedRows === null ? null : `${count(rows)} of ${count(expectedRows)} rows`,
    value.rowsPerSecond === null ? null : `${count(value.rowsPerSecond)}/s`,
    value.secondsLeft === null ? null : `${duration(value.secondsLeft)} left`,
    value.heldBackBy === null ? null : `held back: ${value.heldBackBy}`,
  ]
  return { value, text: parts.filter((part) => part !== null).join(' · ') }
}

function bar({ rows, expectedRows }: Progress): string {
  const share = expectedRows === null || expectedRows === 0 ? 0 : Math.min(1, rows / expectedRows)
  const full = Math.round(share * BAR)
  return `[${'#'.repeat(full)}${'.'.repeat(BAR - full)}] ${Math.floor(share * 100)
    .toString()
    .padStart(3)}%`
}

interface Pace {
  rowsPerSecond: number | null
  /** What held the last step back, the first reason; null: nothing. */
  heldBackBy: string | null
}

const WINDOW_MS = 60_000
/** Steps report every few seconds: after this long without one, nobody knows the rate. */
const SILENT_MS = 20_000

/** From one report of the run to another, over the last minute: a throttled hour doesn't hide how it goes now. */
function createPace(): (run: Run) => Pace {
  const reports: { at: number; rows: number }[] = []
  let throttled: Record<string, number> | null = null
  let heldBackBy: string | null = null
  return (run) => {
    const now = { at: monotonicMs(), rows: goneRows(run) }
    if (reports.at(-1)?.rows !== now.rows) {
      reports.push(now)
      const seconds = waited(run)
      const before = throttled
      heldBackBy =
        before === null
          ? null
          : (Object.keys(seconds).find((reason) => (seconds[reason] ?? 0) > (before[reason] ?? 0)) ?? null)
      throttled = seconds
    }
    while (reports.length > 2 && now.at - (reports[0]?.at ?? now.at) > WINDOW_MS) reports.shift()
    const [first, last] = [reports[0] ?? now, reports.at(-1) ?? now]
    const known = last.at > first.at && now.at - last.at < SILENT_MS
    return {
      rowsPerSecond: known ? ((last.rows - first.rows) * 1000) / (last.at - first.at) : null,
      heldBackBy,
    }
  }
}

/** Seconds waited so far, by reason. */
function waited(run: Run): Record<string, number> {
  const { throttled } = run.cursor
  return typeof throttled === 'object' && throttled !== null
    ? Object.fromEntries(Object.entries(throttled).map(([reason, seconds]) => [reason, Number(seconds)]))
    : {}
}

function goneRows(run: Run): number {
  return Object.entries(run.counters)
    .filter(([name]) => /^(removed|pseudonymised)\./.test(name))
    .reduce((sum, [, rows]) => sum + rows, 0)
}

function duration(seconds: number): string {
  if (seconds < 90) return `${seconds} s`
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`
}
