/** A plan as people read it. No data: shapes and reasons only. */
import { tableKey } from '../../datamap/index.ts'
import type { DeletionPlan, PlanStep } from '../plan.ts'

/** Plain text, for `datamap explain`. */
export function explainPlan(plan: DeletionPlan): string {
  const key = plan.key.map((column) => `${column.name} ${column.type}`).join(', ')
  const sections = [
    `Plan for ${plan.subject} in store ${plan.store}: root ${tableKey(plan.root)} (${key})\nPlan ${plan.hash.slice(0, 12)}, map ${plan.mapVersion.slice(0, 12)}`,
    list(
      'Tables',
      plan.tables.map(
        (table) =>
          `${tableKey(table.table)}: ${table.action}, about ${rows(table.estimate)}\n    ${table.why}`,
      ),
    ),
    list(
      'Steps, in this order',
      plan.steps.map((step, place) => describe(step, place + 1)),
    ),
    list(
      'The whole subject waits while',
      plan.minimums.map((minimum) => `${tableKey(minimum.table)}: ${minimum.ground}`),
    ),
    plan.keptCondition === null
      ? 'Nothing keeps a root: each is deleted.'
      : `A root stays, pseudonymised, while\n    ${plan.keptCondition}\n  until\n    ${plan.keptUntil ?? 'nothing names it any more'}`,
    plan.aliasSql === null ? '' : `Rows merged into a root (column ${plan.alias ?? ''}) go with it.`,
    list(
      'Refreshed afterwards',
      plan.materialisedViews.map(
        ({ view, unique }) =>
          `${tableKey(view)}${unique ? ' (concurrently)' : ' (readers wait: no unique index, or never filled)'}`,
      ),
    ),
    list('Not covered', plan.notCovered),
  ]
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`
}

function describe(step: PlanStep, place: number): string {
  const pieces = step.pieceSql === undefined ? '' : ' (in pieces for a large subject)'
  const takes = step.collected.length === 0 ? '' : `\n    takes: ${step.collected.join('; ')}`
  return `${place}. ${step.id}${pieces}\n    why: ${step.why}${takes}\n    ${step.sql}`
}

function list(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? '' : `${title}\n${lines.map((line) => `  ${line}`).join('\n')}`
}

function rows(count: number): string {
  return `${count.toLocaleString('en-GB')} row${count === 1 ? '' : 's'}`
}
