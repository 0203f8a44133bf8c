/**
 * A subject too large for one batch goes in pieces, each a transaction with a number of its own, the root last. The
 * first piece makes the decision final: lethe.removing says so to every later run, guards are not asked again, and a
 * cancel finishes the subject. Between pieces everything is committed, so the removal goes on wherever it stopped.
 */
import { z } from 'zod'
import type { DeletionPlan, RootKey } from '../../deletion/index.ts'
import type { Transaction } from '../../../base/db/index.ts'
import type { Subject } from './batch.ts'
import { keyArrays, givenKeys } from './root-sql.ts'
import { subjectRefusal, type Refusal } from './search.ts'
import { noTotals, runCollect, runPiece, type Collected, type StepTotals } from './steps.ts'

export type Piece = { kind: 'removed'; totals: StepTotals; finished: boolean } | Refusal

/** At most `limit` rows. `finished`: every bounded statement has reported zero rows; only the small rest is left. */
export async function removePiece(
  tx: Transaction,
  plan: DeletionPlan,
  keys: readonly RootKey[],
  limit: number,
): Promise<Piece> {
  const totals = noTotals()
  const collected: Collected = {}
  await tx.execute('SAVEPOINT lethe_piece')
  try {
    for (const step of plan.steps) {
      if (step.kind === 'collect') await runCollect(tx, plan, step, keys, collected)
      if (step.pieceSql === undefined) continue
      for (;;) {
        if (totals.rows >= limit) return { kind: 'removed', totals, finished: false }
        const touched = await runPiece(tx, plan, step, keys, collected, limit - totals.rows, totals)
        if (touched === 0) break
      }
    }
    return { kind: 'removed', totals, finished: true }
  } catch (error) {
    const refusal = subjectRefusal(error)
    if (refusal === null) throw error
    await tx.execute('ROLLBACK TO SAVEPOINT lethe_piece')
    return refusal
  }
}

/** Takes the last piece of this transaction back. */
export async function undoPiece(tx: Transaction): Promise<void> {
  await tx.execute('ROLLBACK TO SAVEPOINT lethe_piece')
}

/** The subjects whose removal has begun, in this run or an earlier one. */
export async function removalsBegun(
  tx: Transaction,
  plan: DeletionPlan,
  subjects: readonly Subject[],
): Promise<Set<Subject>> {
  const rows = await tx.query(
    z.object({ ord: z.number() }),
    `SELECT given.ord::int AS ord FROM ${givenKeys(plan)} JOIN lethe.removing r
       ON r.subject_kind = $${plan.key.length + 1} AND r.root_key = ARRAY[${keyNames(plan)}]`,
    [...headArrays(plan, subjects), plan.subject],
  )
  return new Set(
    rows.flatMap((row) => {
      const subject = subjects[row.ord - 1]
      return subject === undefined ? [] : [subject]
    }),
  )
}

export async function beginRemoval(
  tx: Transaction,
  plan: DeletionPlan,
  runId: string,
  subject: Subject,
): Promise<void> {
  await tx.execute(
    `INSERT INTO lethe.removing (subject_kind, root_key, run_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
    [plan.subject, subject.keys[0], runId],
  )
}

export async function endRemoval(
  tx: Transaction,
  plan: DeletionPlan,
  subjects: readonly Subject[],
): Promise<void> {
  if (subjects.length === 0) return
  await tx.execute(
    `DELETE FROM lethe.removing r USING ${givenKeys(plan)}
     WHERE r.subject_kind = $${plan.key.length + 1} AND r.root_key = ARRAY[${keyNames(plan)}]`,
    [...headArrays(plan, subjects), plan.subject],
  )
}

function headArrays(plan: DeletionPlan, subjects: readonly Subject[]): string[][] {
  return keyArrays(
    plan,
    subjects.map((subject) => subject.keys[0] ?? []),
  )
}

function keyNames(plan: DeletionPlan): string {
  return plan.key.map((_, place) => `given.k${place + 1}`).join(', ')
}
