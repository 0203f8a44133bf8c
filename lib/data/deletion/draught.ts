/** A plan's steps while they are being put in order: the statements so far, and what must come before what. */
import type { ForeignKey, TableKey } from '../datamap/index.ts'
import type { Draft } from './findings/findings.ts'
import { columnsOf, type Link } from './model/model.ts'
import type { Precedence } from './order.ts'
import type { PlanStep, StepKind } from './plan.ts'
import type { Target } from './model/reach.ts'
import type { Retention } from './model/retention.ts'
import type { Statement, Statements } from './statements.ts'

export interface Rule extends Precedence {
  /** The foreign key behind the rule, if that alone is its reason: opening the key lifts the rule. */
  foreignKey: ForeignKey | null
}

export interface Draught {
  readonly target: Target
  readonly write: Statements
  readonly kept: Retention
  readonly steps: Map<string, PlanStep>
  rules: Rule[]
  readonly drafts: Draft[]
}

export function addStep(
  draught: Draught,
  id: string,
  kind: StepKind,
  key: TableKey,
  why: string,
  statement: Statement,
): void {
  const { target } = draught
  const table = target.model.catalogue.tables.get(key)?.name ?? target.root.table.name
  draught.steps.set(id, { id, kind, table, why, ...statement })
}

/** A rule may name a step that never comes: then it says nothing. */
export function addRule(
  draught: Draught,
  before: string,
  after: string,
  foreignKey: ForeignKey | null = null,
): void {
  if (before === after) return
  if (
    !draught.rules.some(
      (one) => one.before === before && one.after === after && one.foreignKey === foreignKey,
    )
  )
    draught.rules.push({ before, after, foreignKey })
}

export const removeId = (target: Target, key: TableKey) =>
  key === target.root.key ? `delete root ${key}` : `delete ${key}`
export const pseudonymiseId = (key: TableKey) => `pseudonymise ${key}`
export const detachId = (link: Link) => `detach ${columnsOf(link.pointing, link.columns)}`
