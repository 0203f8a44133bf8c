/** The steps of a plan in their order: which there are, and what must come before what. */
import { openKey, sortOpening } from './circles.ts'
import { addRule, addStep, detachId, pseudonymiseId, removeId, type Draught } from './draught.ts'
import type { Draft } from './findings/findings.ts'
import { detachments, foreignKeysInto, linkOf, removes } from './findings/hazards.ts'
import type { Membership } from './model/membership.ts'
import { columnsOf, mapError } from './model/model.ts'
import type { TableKey } from '../datamap/index.ts'
import type { PlanStep } from './plan.ts'
import { leads, type Target } from './model/reach.ts'
import { releases, type Retention } from './model/retention.ts'
import { collectId, detachable, statements } from './statements.ts'

export function sequence(
  target: Target,
  rows: Membership,
  kept: Retention,
): { steps: PlanStep[]; drafts: Draft[] } {
  const draught: Draught = {
    target,
    write: statements(target, rows, kept),
    kept,
    steps: new Map(),
    rules: [],
    drafts: [],
  }
  addCollects(draught)
  addLocks(draught)
  addNames(draught)
  addTables(draught)
  addRoot(draught)
  addForeignKeys(draught)
  addReads(draught)
  const sorted = sortOpening(draught)
  return { steps: withoutStrayPieces(sorted, draught), drafts: draught.drafts }
}

/** Rows that the near side points to are found before it goes: afterwards nothing leads to them. */
function addCollects(draught: Draught): void {
  const { target, write } = draught
  for (const { mapped, links } of target.reached.values())
    for (const link of links) {
      if (link.pointing === link.from) continue
      const statement = write.collect(link)
      addStep(
        draught,
        collectId(link),
        'collect',
        mapped.key,
        `rows that ${link.to} points to and nobody else does`,
        statement,
      )
      for (const id of statement.collected) addRule(draught, id, collectId(link))
    }
}

/**
 * Rows that stay and that others are found through. The transaction changes or removes every other row it walks through, so
 * it can't miss that one was moved; these it must lock.
 */
function addLocks(draught: Draught): void {
  const { target, write, kept } = draught
  const through = new Set([...target.reached.values()].flatMap(({ links }) => links.map(({ to }) => to)))
  for (const { mapped, why } of target.reached.values()) {
    if (!through.has(mapped.key) || kept.stays(mapped.key) === null) continue
    const statement = write.lock(mapped.key)
    const id = `lock ${mapped.key}`
    addStep(
      draught,
      id,
      'lock',
      mapped.key,
      `${why}; its rows may stay, and others are found through them`,
      statement,
    )
    for (const collect of statement.collected) addRule(draught, collect, id)
  }
}

/** Names of rows that go: authorship, references and shared ownership are nulled or repointed before. */
function addNames(draught: Draught): void {
  const { target, write } = draught
  for (const link of detachments(target)) {
    const path = leads(link)
    const table = target.model.catalogue.tables.get(link.from)
    const nulled = detachable(target, link)
    if (link.then === 'null' && link.kind !== 'owned' && nulled.length !== 1 && link.nulls === null) {
      const columns = columnsOf(link.from, link.columns)
      draught.drafts.push(
        nulled.length === 0
          ? mapError(
              columns,
              `The map nulls ${columns}, and no column of it may be null that no other edge or key uses.`,
              'Say repoint or keep, let the column be null, or name it: then: { null: [COLUMN] }.',
            )
          : mapError(
              columns,
              `The map nulls ${columns}, and does not say which column names the row: the others may be a tenant's.`,
              'Name it: then: { null: [COLUMN] }.',
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
    addStep(
      draught,
      detachId(link),
      'detach',
      link.from,
      `${link.kind} by ${link.to} through ${columnsOf(link.from, link.columns)}: ${how}`,
      write.detach(link, link.kind === 'owned' ? 'staying' : 'all'),
    )
    addRule(draught, detachId(link), removeId(target, link.to))
    // A shared row goes, or is let go: only what the delete left over is let go.
    if (path) {
      addRule(draught, removeId(target, link.from), detachId(link))
      addRule(draught, pseudonymiseId(link.from), detachId(link))
    }
  }
}

function addTables(draught: Draught): void {
  const { target, write, kept } = draught
  for (const { mapped, why } of target.reached.values()) {
    const { key, entry } = mapped
    if (removes(target, key))
      addStep(
        draught,
        removeId(target, key),
        'delete',
        key,
        entry.action === 'retain' ? `${why}; its time is over` : why,
        write.remove(key),
      )
    if (entry.pseudonymise !== undefined && kept.stays(key) !== null) {
      const ground = entry.retain === undefined ? 'rows stay' : `retained: ${entry.retain.ground}`
      addStep(draught, pseudonymiseId(key), 'pseudonymise', key, `${why}; ${ground}`, write.pseudonymise(key))
    }
  }
}

function addRoot(draught: Draught): void {
  const { target, write, kept } = draught
  const { root } = target
  const remove = removeId(target, root.key)
  if (removes(target, root.key))
    addStep(
      draught,
      remove,
      'root-delete',
      root.key,
      kept.keptCondition === null ? 'the root' : 'roots that nothing keeps',
      write.removeRoot(),
    )
  if (kept.keptCondition === null) return
  if (target.alias !== null) {
    const letGo = `detach ${columnsOf(root.key, [target.alias])}`
    addStep(
      draught,
      letGo,
      'detach',
      root.key,
      'merged rows that stay let go of the row they were merged into',
      write.detachMerged(target.alias),
    )
    addRule(draught, letGo, remove)
  }
  const why = kept.keepers.map((keeper) => `${keeper.table}: ${keeper.why}`).join('; ')
  if (root.entry.pseudonymise !== undefined) {
    addStep(
      draught,
      pseudonymiseId(root.key),
      'root-pseudonymise',
      root.key,
      `roots that stay: ${why}`,
      write.pseudonymiseRoot(),
    )
    addRule(draught, remove, pseudonymiseId(root.key))
  }
  for (const { links } of target.reached.values())
    for (const link of links) {
      if (link.pointing !== root.key || link.from === root.key) continue
      const pinned = link.columns.every((column) => root.table.columns.get(column)?.notNull === true)
      if (link.columns.some((column) => root.entry.pseudonymise?.[column] !== undefined))
        addRule(draught, pseudonymiseId(root.key), removeId(target, link.from))
      else if (pinned)
        draught.drafts.push(
          mapError(
            columnsOf(root.key, link.columns),
            `A root that stays would hold on to its row of ${link.from}: ${columnsOf(root.key, link.columns)} is NOT NULL.`,
            `Pseudonymise that column (to a neutral row of ${link.from}), or let it be null.`,
          ),
        )
      else {
        addStep(
          draught,
          detachId(link),
          'detach',
          root.key,
          `roots that stay let go of their row of ${link.from}`,
          write.detachRoot(link),
        )
        addRule(draught, detachId(link), removeId(target, link.from))
      }
    }
}

/** Whoever points goes before what it points to. */
function addForeignKeys(draught: Draught): void {
  const { target } = draught
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
      openKey(draught, fk, removeId(target, fk.to))
      continue
    }
    addRule(
      draught,
      removeId(target, fk.from),
      removeId(target, fk.to),
      link === null || link.kind !== 'owned' ? fk : null,
    )
  }
  for (const { links } of target.reached.values())
    for (const link of links)
      if (link.pointing === link.from)
        addRule(draught, removeId(target, link.from), removeId(target, link.to))
      // Owned from the parent side: the guard wants the pointing row gone.
      else addRule(draught, removeId(target, link.to), removeId(target, link.from))
}

/** A step that finds its rows through another table comes before whatever changes the rows it looks at. */
function addReads(draught: Draught): void {
  const { target } = draught
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
        if (other !== key) for (const change of own(other)) addRule(draught, step, change)
    addRule(draught, pseudonymiseId(key), removeId(target, target.root.key))
    for (const detach of pathDetaches(target, key))
      addRule(draught, detach, removeId(target, target.root.key))
  }
  for (const link of detachments(target))
    if (!leads(link) && link.to !== target.root.key)
      for (const other of [link.to, ...near(link.to)])
        for (const change of own(other)) addRule(draught, detachId(link), change)
  // What was collected is looked at before anything moves.
  const looks = (step: PlanStep) => step.kind === 'collect' || step.kind === 'lock'
  const collects = [...draught.steps.values()].filter(looks)
  for (const step of draught.steps.values())
    if (!looks(step)) for (const collect of collects) addRule(draught, collect.id, step.id)
}

function pathDetaches(target: Target, key: TableKey): string[] {
  return detachments(target)
    .filter((link) => leads(link) && link.from === key)
    .map(detachId)
}

/** A step behind one that has no pieces can't have any either; see PlanStep.pieceSql. */
function withoutStrayPieces(sorted: readonly PlanStep[], draught: Draught): PlanStep[] {
  const whole = new Set<string>()
  return sorted.map((step) => {
    const behind = draught.rules.some(
      (one) =>
        one.after === step.id &&
        whole.has(one.before) &&
        !['collect', 'lock'].includes(draught.steps.get(one.before)?.kind ?? ''),
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
