/** Runs a plan's statements over the keys of some subjects, inside the batch's transaction. */
import pg from 'pg'
import { z } from 'zod'
import { summed } from '../../../base/counts/index.ts'
import { tableKey } from '../../datamap/index.ts'
import type { DeletionPlan, PlanStep, RootKey } from '../../deletion/index.ts'
import { databaseError, type Transaction } from '../../../base/db/index.ts'
import type { RowCounts } from './batch.ts'
import { notKeptBefore } from './kept.ts'
import { keyArrays, plannedOnce, rootKeyText } from './root-sql.ts'
import { addRows, bucketOf, Changed, keyRow, returningKey, rowKeys } from './tally.ts'

/** Rows by table, and how many in all. */
export interface RowTotals {
  removed: RowCounts
  pseudonymised: RowCounts
  detached: RowCounts
  rows: number
}

export interface StepTotals extends RowTotals {
  deletedRoots: RootKey[]
  keptRoots: RootKey[]
}

/** What collect steps found, by step: one text array a column. */
export type Collected = Record<string, string[][]>

export const noTotals = (): StepTotals => ({
  removed: {},
  pseudonymised: {},
  detached: {},
  rows: 0,
  deletedRoots: [],
  keptRoots: [],
})

export function addTotals(into: RowTotals, more: RowTotals): void {
  for (const bucket of ['removed', 'pseudonymised', 'detached'] as const)
    into[bucket] = summed([into[bucket], more[bucket]])
  into.rows += more.rows
}

/** Every step in order. The root's statements report the keys they touched, so that the caller sees what a trigger or a rule kept back. */
export async function runSteps(
  tx: Transaction,
  plan: DeletionPlan,
  given: readonly RootKey[],
): Promise<StepTotals> {
  const totals = noTotals()
  const collected: Collected = {}
  const arrays = keyArrays(plan, given)
  const named = await rowKeys(tx, plan)
  const changed = new Changed()
  for (const step of plan.steps) {
    const place = tableKey(step.table)
    const columns = step.bare === true ? undefined : named.get(place)
    if (step.kind === 'collect') {
      await runCollect(tx, plan, step, given, collected)
    } else if (step.kind === 'lock') {
      const { text, values } = statement(step.sql, [...arrays, ...arraysOf(step, collected)])
      await tx.execute(plannedOnce(given, text), values)
    } else if (step.kind === 'root-delete' || step.kind === 'root-pseudonymise') {
      const values = [...arrays, ...arraysOf(step, collected)]
      const touched = await runRootStep(tx, plan, step, given, values)
      totals.rows += touched.length
      // a root that was pseudonymised by an earlier request is written again, and is no news
      const fresh = step.kind === 'root-delete' ? touched : await notKeptBefore(tx, plan, touched)
      if (columns === undefined) addRows(totals[bucketOf(step)], place, fresh.length)
      else changed.meet(totals, bucketOf(step), place, fresh)
      if (step.kind === 'root-delete') totals.deletedRoots.push(...touched)
      else totals.keptRoots.push(...touched)
    } else {
      const { text, values } = statement(step.sql, [...arrays, ...arraysOf(step, collected)])
      if (columns === undefined || (step.kind === 'delete' && !changed.any(place)))
        count(totals, step, await tx.execute(plannedOnce(given, text), values))
      else {
        const sql = plannedOnce(given, `${text}\n ${returningKey(columns)}`)
        const keys = (await tx.query(keyRow, sql, values)).map(({ key }) => key)
        totals.rows += keys.length
        changed.meet(totals, bucketOf(step), place, keys)
      }
    }
  }
  return totals
}

/** One bounded statement of an oversized subject; the number of rows it touched. */
export async function runPiece(
  tx: Transaction,
  plan: DeletionPlan,
  step: PlanStep,
  keys: readonly RootKey[],
  collected: Collected,
  limit: number,
  totals: StepTotals,
): Promise<number> {
  if (step.pieceSql === undefined) return 0
  const { text, values } = statement(step.pieceSql, [
    ...keyArrays(plan, keys),
    ...arraysOf(step, collected),
    limit,
  ])
  const walked = plan.walks.some(({ from }) => from === tableKey(step.table))
  const rows = walked ? await tx.query(upRow, text, values) : []
  const touched = walked ? rows.length : await tx.execute(text, values)
  await lockWalked(tx, plan, tableKey(step.table), rows)
  // what lets go in this piece may go itself in another transaction: there it is counted
  const again = plan.steps.some((one) => one !== step && tableKey(one.table) === tableKey(step.table))
  if (step.kind === 'detach' && again) totals.rows += touched
  else count(totals, step, touched)
  return touched
}

const upRow = z.object({ up: z.array(z.array(z.string()).nullable()) })

/** Locks the rows that these were found through, up to the roots, which are locked. */
async function lockWalked(
  tx: Transaction,
  plan: DeletionPlan,
  table: string,
  rows: readonly z.infer<typeof upRow>[],
  seen: ReadonlySet<string> = new Set(),
): Promise<void> {
  const ways = plan.walks.filter(({ from }) => from === table)
  for (const [place, way] of ways.entries()) {
    const values = new Map(
      rows.flatMap(({ up }) => {
        const value = up[place] ?? null
        const id = JSON.stringify([way.to, value])
        return value === null || seen.has(id) ? [] : [[id, value] as const]
      }),
    )
    if (values.size === 0) continue
    const [first = []] = values.values()
    const arrays = first.map((_, column) => [...values.values()].map((value) => value[column] ?? ''))
    const found = await tx.query(upRow, way.sql, arrays)
    // a tree may lead back to a row that is locked already
    await lockWalked(tx, plan, way.to, found, new Set([...seen, ...values.keys()]))
  }
}

/** What a collect step finds, in the parameters' order of columns. */
export async function runCollect(
  tx: Transaction,
  plan: DeletionPlan,
  step: PlanStep,
  keys: readonly RootKey[],
  collected: Collected,
): Promise<void> {
  collected[step.id] = await collect(tx, step, [...keyArrays(plan, keys), ...arraysOf(step, collected)])
}

async function runRootStep(
  tx: Transaction,
  plan: DeletionPlan,
  step: PlanStep,
  given: readonly RootKey[],
  all: readonly unknown[],
): Promise<RootKey[]> {
  const { text, values } = statement(`${step.sql}\n RETURNING ${rootKeyText(plan)} AS key`, all)
  return (await tx.query(keyRow, plannedOnce(given, text), values)).map(({ key }) => key)
}

/** PostgreSQL refuses a parameter that the text doesn't mention: only those it does are sent, numbered anew. */
function statement(sql: string, values: readonly unknown[]): { text: string; values: unknown[] } {
  const used = [...new Set([...sql.matchAll(/\$(\d+)/g)].map((match) => Number(match[1])))].toSorted(
    (a, b) => a - b,
  )
  const text = sql.replaceAll(/\$(\d+)/g, (_, number: string) => `$${used.indexOf(Number(number)) + 1}`)
  return { text, values: used.map((number) => values[number - 1]) }
}

async function collect(tx: Transaction, step: PlanStep, values: readonly unknown[]): Promise<string[][]> {
  try {
    // As arrays: a step may return two columns of one name, and the number of columns counts even without a row.
    const result = await tx.client.query({ ...statement(step.sql, values), rowMode: 'array' })
    const rows = z.array(z.array(z.string())).parse(result.rows)
    return result.fields.map((_, place) => rows.map((row) => row[place] ?? ''))
  } catch (error) {
    throw error instanceof pg.DatabaseError ? databaseError(error, 'target') : error
  }
}

function arraysOf(step: PlanStep, collected: Collected): string[][] {
  return step.collected.flatMap((id) => collected[id] ?? [])
}

function count(totals: StepTotals, step: PlanStep, rows: number): void {
  addRows(totals[bucketOf(step)], tableKey(step.table), rows)
  totals.rows += rows
}
