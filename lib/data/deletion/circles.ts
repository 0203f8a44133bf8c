/** Sorting the steps, and opening the circles that foreign keys make among tables. */
import pg from 'pg'
import type { ForeignKey } from '../datamap/index.ts'
import { addRule, addStep, removeId, type Draught } from './draught.ts'
import { columnsOf } from './model/model.ts'
import { order, type Precedence } from './order.ts'
import type { PlanStep, StepKind } from './plan.ts'
import { leads, type Target } from './model/reach.ts'

/** Sorts; a circle is opened by nulling a key that may be null, else by deferring one, else it is a finding. */
export function sortOpening(draught: Draught): PlanStep[] {
  const { target } = draught
  for (;;) {
    const ids = [...draught.steps.keys()].toSorted(
      (a, b) => rank(draught, a) - rank(draught, b) || (a < b ? -1 : 1),
    )
    const { sorted, circle } = order(ids, draught.rules)
    if (circle.length === 0) return sorted.flatMap((id) => draught.steps.get(id) ?? [])
    const pairs = circle.map((before, place) => ({
      before,
      after: circle[(place + 1) % circle.length] ?? before,
    }))
    const between = ({ before, after }: Precedence) =>
      draught.rules.filter((one) => one.before === before && one.after === after)
    const candidates = pairs.map(between).filter((rules) => rules.every((one) => one.foreignKey !== null))
    const nullable = (fk: ForeignKey | null) => fk !== null && openColumns(target, fk).length > 0
    const chosen =
      candidates.find((rules) => rules.every((one) => nullable(one.foreignKey))) ??
      candidates.find((rules) =>
        rules.every((one) => nullable(one.foreignKey) || one.foreignKey?.deferrable === true),
      )
    for (const one of chosen ?? []) if (one.foreignKey !== null) openKey(draught, one.foreignKey, one.after)
    if (chosen === undefined)
      draught.drafts.push({
        kind: 'unbreakable-cycle',
        on: circle
          .map((id) => id.replace(/^delete (root )?/, ''))
          .toSorted()
          .join(' <-> '),
        message: `${circle.join(' must come before ')} must come before ${circle[0] ?? ''}: no key in the circle can be null or deferred.`,
        mend: 'Let one of the columns be null, make one foreign key DEFERRABLE, or declare an edge with then: null.',
      })
    const [first] = pairs
    const lifted = new Set(chosen ?? (first === undefined ? [] : between(first)))
    draught.rules = draught.rules.filter((one) => !lifted.has(one))
  }
}

export function openKey(draught: Draught, fk: ForeignKey, removal: string): void {
  const { target, write } = draught
  const columns = openColumns(target, fk)
  const id = `detach ${columnsOf(fk.from, fk.columns)}`
  if (columns.length > 0) {
    addStep(
      draught,
      id,
      'detach',
      fk.from,
      `opens a circle: foreign key ${fk.name} points at ${fk.to}, which goes first`,
      write.open(fk, columns),
    )
    addRule(draught, id, removal)
    addRule(draught, id, removeId(target, fk.from))
  } else if (fk.deferrable) {
    const schema = target.model.catalogue.tables.get(fk.from)?.name.schema ?? 'public'
    const deferral = `defer ${fk.name} of ${fk.from}`
    addStep(
      draught,
      deferral,
      'detach',
      fk.from,
      `opens a circle: foreign key ${fk.name} is checked at commit`,
      {
        collected: [],
        bare: true,
        sql: `SET CONSTRAINTS ${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(fk.name)} DEFERRED`,
      },
    )
    // Both ends must meet in one transaction: without pieces (see withoutStrayPieces).
    addRule(draught, deferral, removal)
    addRule(draught, deferral, removeId(target, fk.from))
  } else
    draught.drafts.push({
      kind: 'unbreakable-cycle',
      on: [fk.from, fk.to].toSorted().join(' <-> '),
      message: `${columnsOf(fk.from, fk.columns)} points at ${fk.to}, whose rows belong to it: neither can go first.`,
      mend: 'Let the column be null, or make the foreign key DEFERRABLE.',
    })
}

/** Columns of the key that may be null and that no edge needs to find the rows. */
function openColumns(target: Target, fk: ForeignKey): string[] {
  const table = target.model.catalogue.tables.get(fk.from)
  const needed = new Set(
    target.model.links
      .filter((link) => leads(link) && link.pointing === fk.from)
      .flatMap((link) => [...link.columns, ...(link.when === undefined ? [] : [link.when.column])]),
  )
  return fk.columns
    .filter((column) => table?.columns.get(column)?.notNull === false && !needed.has(column))
    .slice(0, 1)
}

const ranks: Record<StepKind, number> = {
  collect: 0,
  lock: 0,
  detach: 1,
  pseudonymise: 2,
  delete: 3,
  'root-delete': 4,
  'root-pseudonymise': 5,
}

function rank(draught: Draught, id: string): number {
  const kind = draught.steps.get(id)?.kind
  return kind === undefined ? 0 : ranks[kind]
}
