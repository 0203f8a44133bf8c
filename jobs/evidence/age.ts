/** Each night the contents of evidence that is older than it has to be kept go; their hashes stay. */
import { z } from 'zod'
import { openDatabase } from '../../lib/base/db/index.ts'
import { ageContents, agingOf, trustOf } from '../../lib/record/evidence/index.ts'
import { recordStep, type Run } from '../../lib/record/ledger/index.ts'
import type { Context } from '../context.ts'
import type { JobKind, StepResult } from '../kind.ts'
import { evidenceKeys, keepFor } from './log.ts'

const cursorSchema = z.object({ before: z.number(), next: z.number() })

export const age: JobKind = {
  kind: 'evidence.age',
  queue: 'evidence',
  payload: z.strictObject({}),
  maxAttempts: 3,
  scope: () => 'log',
  step,
  schedules: (config) =>
    config.file.evidence?.retention_url === undefined
      ? []
      : [{ id: 'evidence:age', payload: {}, cron: '50 4 * * *', timeZone: 'UTC', catchUp: 'latest' }],
}

/** First what will go is recorded, then it goes, a batch a step. */
async function step(context: Context, run: Run): Promise<StepResult> {
  const { control, config } = context
  const url = config.file.evidence?.retention_url
  const keys = evidenceKeys(context)
  if (keys === null || url === undefined) return { kind: 'done', outcome: 'not-configured' }
  const cursor = cursorSchema.safeParse(run.cursor)
  if (!cursor.success) {
    const keep = keepFor(context)
    const { before, entries } = await agingOf(control, trustOf(keys), keep)
    if (entries === 0) return { kind: 'done', outcome: 'nothing-due' }
    await recordStep(control, run, {
      name: 'decide',
      cursor: { before, next: 0 },
      counters: { aged: 0 },
      events: [{ type: 'evidence.aging', data: { before, entries, keep } }],
    })
    return { kind: 'more' }
  }
  const { before, next } = cursor.data
  const retention = openDatabase(config.secret(url), {
    name: 'control',
    applicationName: 'lethe retention',
    max: 1,
  })
  try {
    const batch = await ageContents(retention, { from: next, before })
    await recordStep(control, run, {
      name: 'age',
      cursor: { before, next: batch.next ?? before },
      counters: { aged: (run.counters['aged'] ?? 0) + batch.gone },
    })
    return batch.next === null ? { kind: 'done', outcome: 'aged' } : { kind: 'more' }
  } finally {
    await retention.close()
  }
}
