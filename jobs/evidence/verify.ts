/**
 * Each night the evidence log is hashed again from where the last night ended, each month from its start, and compared with
 * every signed head, the bucket's among them.
 */
import { z } from 'zod'
import { tally } from '../../lib/base/counts/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import { lostStatements } from '../../lib/record/decisions/index.ts'
import { lastVerified, logStatus, markVerified, trustOf, verifyLog } from '../../lib/record/evidence/index.ts'
import { recordStep, type Run } from '../../lib/record/ledger/index.ts'
import type { Context } from '../context.ts'
import type { JobKind, StepResult } from '../kind.ts'
import { evidenceKeys, keepFor, publishedHead } from './log.ts'

const payload = z.strictObject({
  /** From the first entry on, whatever was verified before. */
  whole: z.boolean().default(false),
})

export const verify: JobKind = {
  kind: 'evidence.verify',
  queue: 'evidence',
  payload,
  maxAttempts: 3,
  scope: () => 'log',
  step,
  observe,
  schedules: (config) =>
    config.file.evidence === undefined
      ? []
      : [
          { id: 'evidence:verify', payload: {}, cron: '40 3 * * *', timeZone: 'UTC', catchUp: 'latest' },
          {
            id: 'evidence:verify-whole',
            payload: { whole: true },
            cron: '10 5 1 * *',
            timeZone: 'UTC',
            catchUp: 'latest',
          },
        ],
}

/** What nobody has configured isn't behind. */
async function observe({ control, config, metrics }: Context): Promise<void> {
  const { evidence, locked_bucket: bucket } = config.file
  const { behind } = await logStatus(control)
  metrics.evidenceBehindSeconds.set({ stage: 'sequenced' }, behind.sequenced)
  if (evidence !== undefined) metrics.evidenceBehindSeconds.set({ stage: 'signed' }, behind.signed)
  if (evidence !== undefined && bucket !== undefined)
    metrics.evidenceBehindSeconds.set({ stage: 'published' }, behind.published)
}

/** A break is final: the run fails with its kinds, which is an alert; it is recorded before that. */
async function step(context: Context, run: Run): Promise<StepResult> {
  const { control } = context
  const keys = evidenceKeys(context)
  if (keys === null) return { kind: 'done', outcome: 'no-log' }
  const published = await publishedHead(context)
  const { from, entries, aged, heads, breaks } = await verifyLog(control, trustOf(keys), {
    others: published === null ? [] : [published],
    from: payload.parse(run.payload).whole ? 0 : await lastVerified(control),
    lostStatements,
    keep: keepFor(context),
  })
  const kinds = tally(breaks.map(({ kind }) => kind))
  const [first] = breaks
  await recordStep(
    control,
    run,
    {
      name: 'verify',
      counters: { from, entries, aged, heads, breaks: breaks.length },
      events: [{ type: 'evidence.verified', data: { from, entries, heads, breaks: kinds } }],
    },
    first === undefined ? (tx) => markVerified(tx, from + entries) : undefined,
  )
  if (first === undefined) return { kind: 'done', outcome: 'holds' }
  throw new LetheError('E_EVIDENCE_BROKEN', {
    message: `The evidence log is broken: ${Object.entries(kinds)
      .map(([kind, count]) => `${kind} ${count}`)
      .join(', ')}. ${first.message}`,
    facts: { kinds, first: { kind: first.kind, at: first.at } },
  })
}
