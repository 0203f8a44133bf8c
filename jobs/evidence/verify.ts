/** Each night the whole evidence log is hashed again and compared with every signed head, the bucket's among them. */
import { z } from 'zod'
import { LetheError } from '../../lib/errors/index.ts'
import { verifierKeys, verifyLog } from '../../lib/evidence/index.ts'
import { recordStep, type Run } from '../../lib/ledger/index.ts'
import type { Context } from '../context.ts'
import type { JobKind, StepResult } from '../kind.ts'
import { evidenceKeys, publishedHead } from './log.ts'

export const verify: JobKind = {
  kind: 'evidence.verify',
  queue: 'evidence',
  payload: z.strictObject({}),
  maxAttempts: 3,
  scope: () => 'log',
  step,
  schedules: (config) =>
    config.file.evidence === undefined
      ? []
      : [{ id: 'evidence:verify', payload: {}, cron: '40 3 * * *', timeZone: 'UTC', catchUp: 'latest' }],
}

/** A break is final: the run fails with its kinds, which is an alert; it is recorded before that. */
async function step(context: Context, run: Run): Promise<StepResult> {
  const keys = evidenceKeys(context)
  if (keys === null) return { kind: 'done', outcome: 'no-log' }
  const trust = { origin: keys.origin, keys: verifierKeys(keys) }
  const { entries, aged, heads, breaks } = await verifyLog(
    context.control,
    trust,
    await publishedHead(context),
  )
  const kinds: Record<string, number> = {}
  for (const { kind } of breaks) kinds[kind] = (kinds[kind] ?? 0) + 1
  await recordStep(context.control, run, {
    name: 'verify',
    counters: { entries, aged, heads, breaks: breaks.length },
    events: [{ type: 'evidence.verified', data: { entries, heads, breaks: kinds } }],
  })
  const [first] = breaks
  if (first === undefined) return { kind: 'done', outcome: 'holds' }
  throw new LetheError('E_EVIDENCE_BROKEN', {
    message: `The evidence log is broken: ${Object.entries(kinds)
      .map(([kind, count]) => `${kind} ${count}`)
      .join(', ')}. ${first.message}`,
    facts: { kinds, first: { kind: first.kind, at: first.at } },
  })
}
