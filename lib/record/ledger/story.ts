/** A run's whole story, for `lethe runs show`. */
import { z } from 'zod'
import type { Database } from '../../base/db/index.ts'
import { batchesOf, type StoredBatch } from './batches.ts'
import { reasonOf } from '../decisions/index.ts'
import { eventRow, type RunEvent } from '../evidence/index.ts'
import { getRun, type Run } from './run.ts'

export interface RunStep {
  number: number
  name: string
  fence: bigint
  attempt: number
  note: string | null
  counters: Record<string, number>
  startedAt: Date
  finishedAt: Date
}

export interface RunStory {
  run: Run
  steps: RunStep[]
  events: RunEvent[]
  /** The first thousand; `batchCount` has them all. */
  batches: StoredBatch[]
  batchCount: number
  proposals: {
    id: string
    policy: string
    state: string
    population: number
    cutoff: Date
    createdAt: Date
    decidedAt: Date | null
  }[]
  approvals: {
    proposalId: string
    outcome: string
    /** Hash of what was signed, in hex; the reason is read through it. */
    statement: string
    reason: string
    actor: string
    method: string
    at: Date
  }[]
  scopes: { id: string; store: string; subjectKind: string; verifiedAt: Date | null }[]
  occurrence: { scheduleId: string; at: Date } | null
}

const LIMIT = 1000

/** Reads one consistent snapshot. Throws E_NOT_FOUND. */
export async function runStory(control: Database, id: string): Promise<RunStory> {
  return control.transaction(
    async (tx) => {
      const run = await getRun(tx, id)
      const steps = await tx.query(
        stepRow,
        `SELECT number, name, fence, attempt, note, counters, started_at AS "startedAt", finished_at AS "finishedAt"
         FROM lethe_control.steps WHERE run_id = $1 ORDER BY number`,
        [id],
      )
      const events = await tx.query(
        eventRow,
        `SELECT id, run_id, at, type, actor, data FROM lethe_control.events WHERE run_id = $1 ORDER BY id`,
        [id],
      )
      const batches = await batchesOf(tx, id, LIMIT)
      const [count] = await tx.query(
        z.object({ n: z.coerce.number() }),
        `SELECT count(*) AS n FROM lethe_control.batches WHERE run_id = $1`,
        [id],
      )
      const proposals = await tx.query(
        proposalRow,
        `SELECT id, policy, state, population, cutoff, created_at AS "createdAt", decided_at AS "decidedAt"
         FROM lethe_control.proposals WHERE run_id = $1 ORDER BY created_at`,
        [id],
      )
      const approvals = await tx.query(
        approvalRow,
        `SELECT a.proposal_id AS "proposalId", a.outcome, encode(a.statement_hash, 'hex') AS statement, s.statement AS text,
           a.actor, a.method, a.at
         FROM lethe_control.approvals a JOIN lethe_control.proposals p ON p.id = a.proposal_id
           JOIN lethe_control.statements s ON s.hash = a.statement_hash
         WHERE p.run_id = $1 ORDER BY a.at`,
        [id],
      )
      const scopes = await tx.query(
        scopeRow,
        `SELECT id, store, subject_kind AS "subjectKind", verified_at AS "verifiedAt"
         FROM lethe_control.erasure_scopes WHERE run_id = $1 ORDER BY id`,
        [id],
      )
      const [occurrence] = await tx.query(
        occurrenceRow,
        `SELECT schedule_id AS "scheduleId", at FROM lethe_control.occurrences WHERE run_id = $1 ORDER BY at LIMIT 1`,
        [id],
      )
      return {
        run,
        steps,
        events,
        batches,
        batchCount: count?.n ?? 0,
        proposals,
        approvals,
        scopes,
        occurrence: occurrence ?? null,
      }
    },
    { isolation: 'repeatable read', readOnly: true, retry: true },
  )
}

const stepRow = z.object({
  number: z.number(),
  name: z.string(),
  fence: z.coerce.bigint(),
  attempt: z.number(),
  note: z.string().nullable(),
  counters: z.record(z.string(), z.number()),
  startedAt: z.date(),
  finishedAt: z.date(),
})
const proposalRow = z.object({
  id: z.string(),
  policy: z.string(),
  state: z.string(),
  population: z.coerce.number(),
  cutoff: z.date(),
  createdAt: z.date(),
  decidedAt: z.date().nullable(),
})
const approvalRow = z
  .object({
    proposalId: z.string(),
    outcome: z.string(),
    statement: z.string(),
    text: z.string().nullable(),
    actor: z.string(),
    method: z.string(),
    at: z.date(),
  })
  .transform(({ text, ...row }) => ({ ...row, reason: reasonOf(text) }))
const scopeRow = z.object({
  id: z.string(),
  store: z.string(),
  subjectKind: z.string(),
  verifiedAt: z.date().nullable(),
})
const occurrenceRow = z.object({ scheduleId: z.string(), at: z.date() })
