/** The steps of a plan in their order: what must come before what, and how a circle among the tables is opened. */
import pg from 'pg'
import type { ForeignKey } from './catalogue.ts'
import type { Draft } from './findings.ts'
import { detachments, foreignKeysInto, linkOf, removes } from './hazards.ts'
import type { Membership } from './membership.ts'
import { columnsOf, mapError, type Link } from './model.ts'
import type { TableKey } from './names.ts'
import { order, type Precedence } from './order.ts'
import type { PlanStep, StepKind, TableName } from './plan.ts'
import { leads, type Target } from './reach.ts'
import { releases, type Retention } from './retention.ts'
import { collectId, detachable, statements, type Statement, type Statements } from './statements.ts'

interface Rule extends Precedence {
  /** The foreign key behind the rule, if that alone is its reason: opening the key lifts the rule. */
  foreignKey: ForeignKey | null
}

interface Draught {
  steps: Map<string, PlanStep>
  rules: Rule[]
  drafts: Draft[]
}

export function sequence(
  target: Target,
  rows: Membership,
  kept: Retention,
): { steps: PlanStep[]; drafts: Draft[] } {
  const write = statements(target, rows, kept)
  const draught: Draught = { steps: new Map(), rules: [], drafts: [] }
  const name = (key: TableKey): TableName =>
    target.model.catalogue.tables.get(key)?.name ?? target.root.table.name
  const add = (id: string, kind: StepKind, key: TableKey, why: string, statement: Statement) => {
    draught.steps.set(id, { id, kind, table: name(key), why, ...statement })
  }

  addCollects(target, write, add, draught)
  addNames(target, write, add, draught)
  addTables(target, write, kept, add)
  addRoot(target, write, kept, add, draught)
  addForeignKeys(target, write, kept, add, draught)
  addReads(target, draught)
  const sorted = sortOpening(target, write, add, draught)
  return { steps: withoutStrayPieces(sorted, draught), drafts: draught.drafts }
}

type Add = (id: string, kind: StepKind, key: TableKey, why: string, statement: Statement) => void

const removeId = (target: Target, key: TableKey) =>
  key === target.root.key ? `delete root ${key}` : `delete ${key}`
const pseudonymiseId = (key: TableKey) => `pseudonymise ${key}`
const detachId = (link: Link) => `detach ${columnsOf(link.pointing, link.columns)}`

/** Rows that the near side points to are found before it goes: afterwards nothing leads to them. */
function addCollects(target: Target, write: Statements, add: Add, draught: Draught): void {
  for (const { mapped, links } of target.reached.values())
    for (const link of links) {
      if (link.pointing === link.from) continue
      const statement = write.collect(link)
      add(
        collectId(link),
        'collect',
        mapped.key,
        `rows that ${link.to} points to and nobody else does`,
        statement,
      )
      for (const id of statement.collected) rule(draught, id, collectId(link))
    }
}

/** Names of rows that go: authorship, references and shared ownership are nulled or repointed before. */
function addNames(target: Target, write: Statements, add: Add, draught: Draught): void {
  for (const link of detachments(target)) {
    const path = leads(link)
    const table = target.model.catalogue.tables.get(link.from)
    if (link.then === 'null' && detachable(target, link).length === 0 && link.kind !== 'owned') {
      draught.drafts.push(
        mapError(
          columnsOf(link.from, link.columns),
          `The map nulls ${columnsOf(link.from, link.columns)}, and none of it can be null.`,
          'Say repoint or keep, or let the column be null.',
        ),
      )
      continue
    }
    if (
      table === undefined ||
      (link.kind === 'owned' && target.reached.get(link.from)?.mapped.entry.action === 'delete')
    )
      continue
    const how = link.then === 'null' ? 'nulled' : 'repointed'
    add(
      detachId(link),
      'detach',
      link.from,
      `${link.kind} by ${link.to} through ${columnsOf(link.from, link.columns)}: ${how}`,
      write.detach(link, link.kind === 'owned' ? 'staying' : 'all'),
    )
    rule(draught, detachId(link), removeId(target, link.to))
    // A shared row goes, or is let go: only what the delete left over is let go.
    if (path) {
      rule(draught, removeId(target, link.from), detachId(link))
      rule(draught, pseudonymiseId(link.from), detachId(link))
    }
  }
}

function addTables(target: Target, write: Statements, kept: Retention, add: Add): void {
  for (const { mapped, why } of target.reached.values()) {
    const { key, entry } = mapped
    if (removes(target, key))
      add(
        removeId(target, key),
        'delete',
        key,
        entry.action === 'retain' ? `${why}; its time is over` : why,
        write.remove(key),
      )
    if (entry.pseudonymise !== undefined && kept.stays(key) !== null) {
      const ground = entry.retain === undefined ? 'rows stay' : `retained: ${entry.retain.ground}`
      add(pseudonymiseId(key), 'pseudonymise', key, `${why}; ${ground}`, write.pseudonymise(key))
    }
  }
}

function addRoot(target: Target, write: Statements, kept: Retention, add: Add, draught: Draught): void {
  const { root } = target
  const remove = removeId(target, root.key)
  if (removes(target, root.key))
    add(
      remove,
      'root-delete',
      root.key,
      kept.keptCondition === null ? 'the root' : 'roots that nothing keeps',
      write.removeRoot(),
    )
  if (kept.keptCondition === null) return
  if (target.alias !== null) {
    const letGo = `detach ${columnsOf(root.key, [target.alias])}`
    add(
      letGo,
      'detach',
      root.key,
      'merged rows that stay let go of the row they were merged into',
      write.detachMerged(target.alias),
    )
    rule(draught, letGo, remove)
  }
  const why = kept.keepers.map((keeper) => `${keeper.table}: ${keeper.why}`).join('; ')
  if (root.entry.pseudonymise !== undefined) {
    add(
      pseudonymiseId(root.key),
      'root-pseudonymise',
      root.key,
      `roots that stay: ${why}`,
      write.pseudonymiseRoot(),
    )
    rule(draught, remove, pseudonymiseId(root.key))
  }
  for (const { links } of target.reached.values())
    for (const link of links) {
      if (link.pointing !== root.key || link.from === root.key) continue
      const pinned = link.columns.every((column) => root.table.columns.get(column)?.notNull === true)
      if (link.columns.some((column) => root.entry.pseudonymise?.[column] !== undefined))
        rule(draught, pseudonymiseId(root.key), removeId(target, link.from))
      else if (pinned)
        draught.drafts.push(
          mapError(
            columnsOf(root.key, link.columns),
            `A root that stays would hold on to its row of ${link.from}: ${columnsOf(root.key, link.columns)} is NOT NULL.`,
            `Pseudonymise that column (to a neutral row of ${link.from}), or let it be null.`,
          ),
        )
      else {
        add(
          detachId(link),
          'detach',
          root.key,
          `roots that stay let go of their row of ${link.from}`,
          write.detachRoot(link),
        )
        rule(draught, detachId(link), removeId(target, link.from))
      }
    }
}

/** Whoever points goes before what it points to. */
function addForeignKeys(
  target: Target,
  write: Statements,
  kept: Retention,
  add: Add,
  draught: Draught,
): void {
  for (const fk of foreignKeysInto(target)) {
    if (fk.from === fk.to) continue
    const link = linkOf(target, fk)
    const entry = target.model.tables.get(fk.from)?.entry
    if (
      link !== null &&
      entry !== undefined &&
      link.from === link.pointing &&
      !leads(link) &&
      releases(link, entry)
    )
      continue
    const ownedByRoot = fk.from === target.root.key && (link === null || link.from === link.pointing)
    if (ownedByRoot) {
      // A root may stay, and goes last: it never waits for its own rows, but lets go of them first.
      openKey(target, write, add, draught, fk, removeId(target, fk.to))
      continue
    }
    rule(
      draught,
      removeId(target, fk.from),
      removeId(target, fk.to),
      link === null || link.kind !== 'owned' ? fk : null,
    )
  }
  for (const { links } of target.reached.values())
    for (const link of links)
      if (link.pointing === link.from) rule(draught, removeId(target, link.from), removeId(target, link.to))
      // Owned from the parent side: the guard wants the pointing row gone.
      else rule(draught, removeId(target, link.to), removeId(target, link.from))
}

/** A step that finds its rows through another table comes before whatever changes the rows it looks at. */
function addReads(target: Target, draught: Draught): void {
  const near = (key: TableKey, seen = new Set<TableKey>()): Set<TableKey> => {
    for (const link of target.reached.get(key)?.links ?? [])
      if (link.pointing === link.from && link.to !== target.root.key && !seen.has(link.to)) {
        seen.add(link.to)
        near(link.to, seen)
      }
    return seen
  }
  const own = (key: TableKey) => [removeId(target, key), pseudonymiseId(key), ...pathDetaches(target, key)]
  for (const key of target.reached.keys()) {
    for (const step of own(key))
      for (const other of near(key))
        if (other !== key) for (const change of own(other)) rule(draught, step, change)
    rule(draught, pseudonymiseId(key), removeId(target, target.root.key))
    for (const detach of pathDetaches(target, key)) rule(draught, detach, removeId(target, target.root.key))
  }
  for (const link of detachments(target))
    if (!leads(link) && link.to !== target.root.key)
      for (const other of [link.to, ...near(link.to)])
        for (const change of own(other)) rule(draught, detachId(link), change)
  // What was collected is looked at before anything moves.
  const collects = [...draught.steps.values()].filter((step) => step.kind === 'collect')
  for (const step of draught.steps.values())
    if (step.kind !== 'collect') for (const collect of collects) rule(draught, collect.id, step.id)
}

function pathDetaches(target: Target, key: TableKey): string[] {
  return detachments(target)
    .filter((link) => leads(link) && link.from === key)
    .map(detachId)
}

function rule(draught: Draught, before: string, after: string, foreignKey: ForeignKey | null = null): void {
  if (before === after) return
  if (
    !draught.rules.some(
      (one) => one.before === before && one.after === after && one.foreignKey === foreignKey,
    )
  )
    draught.rules.push({ before, after, foreignKey })
}

/** Sorts; a circle is opened by nulling a key that may be null, else by deferring one, else it is a finding. */
function sortOpening(target: Target, write: Statements, add: Add, draught: Draught): PlanStep[] {
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
    for (const one of chosen ?? [])
      if (one.foreignKey !== null) openKey(target, write, add, draught, one.foreignKey, one.after)
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

function openKey(
  target: Target,
  write: Statements,
  add: Add,
  draught: Draught,
  fk: ForeignKey,
  removal: string,
): void {
  const columns = openColumns(target, fk)
  const id = `detach ${columnsOf(fk.from, fk.columns)}`
  if (columns.length > 0) {
    add(
      id,
      'detach',
      fk.from,
      `opens a circle: foreign key ${fk.name} points at ${fk.to}, which goes first`,
      write.open(fk, columns),
    )
    rule(draught, id, removal)
    rule(draught, id, removeId(target, fk.from))
  } else if (fk.deferrable) {
    const schema = target.model.catalogue.tables.get(fk.from)?.name.schema ?? 'public'
    const deferral = `defer ${fk.name} of ${fk.from}`
    add(deferral, 'detach', fk.from, `opens a circle: foreign key ${fk.name} is checked at commit`, {
      collected: [],
      bare: true,
      sql: `SET CONSTRAINTS ${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(fk.name)} DEFERRED`,
    })
    // Both ends must meet in one transaction: without pieces (see withoutStrayPieces).
    rule(draught, deferral, removal)
    rule(draught, deferral, removeId(target, fk.from))
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

/** A step behind one that has no pieces can't have any either; see PlanStep.pieceSql. */
function withoutStrayPieces(sorted: readonly PlanStep[], draught: Draught): PlanStep[] {
  const whole = new Set<string>()
  return sorted.map((step) => {
    const behind = draught.rules.some(
      (one) =>
        one.after === step.id && whole.has(one.before) && draught.steps.get(one.before)?.kind !== 'collect',
    )
    const pointsAway = draught.rules.some(
      (one) =>
        one.before === step.id &&
        draught.steps.get(one.after)?.collected.length !== 0 &&
        step.kind === 'delete' &&
        losesPath(draught, step, one.after),
    )
    if (step.pieceSql !== undefined && !behind && !pointsAway) return step
    whole.add(step.id)
    const { pieceSql: _, ...rest } = step
    return rest
  })
}

/** Once this step's rows are gone, the collect step behind `after` could not find its rows again. */
function losesPath(draught: Draught, step: PlanStep, after: string): boolean {
  const other = draught.steps.get(after)
  return other?.collected.some((id) => id.includes(` from ${tableText(step)}(`)) === true
}

function tableText(step: PlanStep): string {
  return step.id.replace(/^delete (root )?/, '')
}
