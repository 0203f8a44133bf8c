/**
 * Makes a plan: which tables belong to the root, what happens to each, and the statements in an order that no foreign
 * key refuses. Pure: everything it knows comes from the map and the catalogue it is given.
 */
import {
  otherStore,
  type Catalogue,
  parseTableName,
  postgresStore,
  sqlColumn,
  tableKey,
  type TableKey,
  type DataMap,
  type TableEntry,
  mapVersion,
} from '../datamap/index.ts'
import { canonicalHash } from '../../base/canonical/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { classify } from './model/classify.ts'
import { settle, type Draft } from './findings/findings.ts'
import { detachments, hazards, missingIndexes } from './findings/hazards.ts'
import { anyOf, fromTable, membership, type Membership } from './model/membership.ts'
import { buildModel, columnsOf, mapError, type Model } from './model/model.ts'
import type { DeletionPlan, Finding, KeyColumn, Minimum, PlanTable } from './plan.ts'
import { keyColumn, reach, type Target } from './model/reach.ts'
import { owners, ownHolds } from './owners.ts'
import { exists, retention, type Retention } from './model/retention.ts'
import { sequence } from './sequence.ts'
import { walks } from './walks.ts'

/** A subject of the map, or a table whose own rows a policy works on (`table` as the map spells it). */
export type PlanTarget = { subject: string } | { table: string; key?: readonly string[] | undefined }

/**
 * Throws E_MAP_FINDINGS with every finding on this plan that the map doesn't accept (facts.findings), E_NOT_FOUND for a
 * target or store the map doesn't have. Findings on other subjects don't stop this one; whatever is unclassified does.
 */
export function planDeletion(
  map: DataMap,
  storeName: string,
  target: PlanTarget,
  catalogue: Catalogue,
): DeletionPlan {
  const { plan, findings } = draftPlan(map, storeName, target, catalogue)
  const open = findings.filter((finding) => finding.accepted === null)
  if (open.length > 0 || plan === null) throw refusal(storeName, open)
  return plan
}

/** The refusal that carries the whole list. */
export function refusal(storeName: string, open: readonly Finding[]): LetheError {
  return new LetheError('E_MAP_FINDINGS', {
    message: `The data map of store ${storeName} has ${open.length} open finding${open.length === 1 ? '' : 's'}:\n${open
      .map((finding) => `  ${finding.id}: ${finding.message} ${finding.mend}`)
      .join('\n')}`,
    facts: { store: storeName, findings: open },
  })
}

/**
 * The plan and everything found on the way, accepted or not; the plan is null where the map's errors forbid one.
 * `dormant`: what would be found if every table were large.
 */
export function draftPlan(
  map: DataMap,
  storeName: string,
  wanted: PlanTarget,
  catalogue: Catalogue,
): { plan: DeletionPlan | null; findings: Finding[]; dormant: Finding[] } {
  const store = postgresStore(map, storeName)
  if (store === null)
    throw new LetheError('E_NOT_FOUND', {
      message: `The map has no PostgreSQL store ${storeName}.`,
      next: 'Name one of the stores in lethe.yaml.',
    })
  const { model, drafts } = buildModel(map, storeName, store, catalogue)
  const general = [...drafts, ...classify(model)]
  const { target, found } = resolveTarget(model, wanted)
  if (target === null)
    return { plan: null, findings: settle(map, storeName, [...general, ...found]), dormant: [] }
  const rows = membership(target)
  const kept = retention(target, rows)
  const ordered = sequence(target, rows, kept)
  const findings = settle(map, storeName, [
    ...general,
    ...found,
    ...hazards(target),
    ...ordered.drafts,
    ...keptRoot(target, kept),
  ])
  const statements = {
    store: storeName,
    subject: target.subject,
    root: target.root.table.name,
    key: target.key,
    tenant: target.tenant,
    alias: target.alias,
    aliasSql: aliasSql(target, rows),
    timeZone: store.time_zone ?? 'UTC',
    tables: planTables(target, rows, kept),
    steps: ordered.steps,
    walks: walks(target),
    minimums: minimums(target, rows),
    holds: ownHolds(model, target.subject),
    owners: owners(target),
    keptCondition: kept.keptCondition,
    keptUntil: kept.keptUntil,
    materialisedViews: catalogue.materialisedViews
      .filter((view) => [target.root.key, ...target.reached.keys()].some((key) => view.reads.has(key)))
      .map(({ view, unique }) => ({ view, unique })),
  }
  const plan: DeletionPlan = {
    ...statements,
    notCovered: notCovered(target, findings),
    mapVersion: mapVersion(map),
    // Estimates change every day and are no part of what is approved.
    hash: canonicalHash({
      ...statements,
      tables: statements.tables.map((table) => ({ ...table, estimate: 0 })),
    }),
  }
  // A table under the limit today may be over it tomorrow: its acceptance isn't stale.
  return { plan, findings, dormant: settle(map, storeName, missingIndexes(target, 0)) }
}

function resolveTarget(model: Model, wanted: PlanTarget): { target: Target | null; found: Draft[] } {
  const found: Draft[] = []
  const subject = 'subject' in wanted ? model.subjects.get(wanted.subject) : undefined
  if (
    'subject' in wanted &&
    subject === undefined &&
    model.map.subjects[wanted.subject]?.store !== model.storeName
  )
    throw new LetheError('E_NOT_FOUND', {
      message: `The map has no subject ${wanted.subject} in store ${model.storeName}.`,
      next: 'Name one of the subjects in lethe.yaml.',
    })
  const name = 'table' in wanted ? parseTableName(wanted.table) : null
  const rootKey: TableKey | undefined =
    'table' in wanted ? (name === null ? undefined : tableKey(name)) : subject?.root
  const root = rootKey === undefined ? undefined : model.tables.get(rootKey)
  if (root === undefined) {
    if ('table' in wanted)
      found.push(
        mapError(
          wanted.table,
          `A policy works on ${wanted.table}, which has no entry in the map or does not exist.`,
          'Mend the name, or classify the table.',
        ),
      )
    return { target: null, found }
  }
  const label = 'subject' in wanted ? wanted.subject : `table:${root.key}`
  const names = ('table' in wanted ? wanted.key : subject?.entry.key) ?? root.table.primaryKey
  if (names === null) {
    found.push({
      kind: 'no-primary-key',
      on: root.key,
      message: `${root.key} has no primary key: nothing names one of its rows.`,
      mend: 'Give the table a primary key, or name unique NOT NULL columns as key.',
    })
    return { target: null, found }
  }
  const key: KeyColumn[] = names.flatMap((column) => {
    const found = keyColumn(root.table, column)
    return found === null ? [] : [found]
  })
  if (key.length < names.length) return { target: null, found }
  if (root.entry.action === 'ignore') {
    found.push(
      mapError(
        root.key,
        `${root.key} is ignored, and ${label} works on its rows.`,
        'Give it another action.',
      ),
    )
    return { target: null, found }
  }
  const target: Target = {
    model,
    subject: label,
    root,
    key,
    tenant: subject?.entry.tenant === undefined ? null : keyColumn(root.table, subject.entry.tenant),
    alias: subject?.entry.alias ?? null,
    reached: reach(model, root.key),
  }
  return { target, found: [...found, ...keyErrors(target)] }
}

function keyErrors(target: Target): Draft[] {
  const { root, key, alias } = target
  const names = key.map((column) => column.name)
  const unique =
    root.table.indexes.some(
      (index) =>
        index.unique &&
        index.predicate === null &&
        index.columns.length === names.length &&
        index.columns.every((column) => names.includes(column)),
    ) && names.every((column) => root.table.columns.get(column)?.notNull === true)
  const drafts: Draft[] = []
  if (!unique)
    drafts.push(
      mapError(
        columnsOf(root.key, names),
        `The key ${names.join(', ')} of ${target.subject} is not unique and NOT NULL on ${root.key}: one key could name several people.`,
        'Use the primary key, or columns with a unique index.',
      ),
    )
  if (alias !== null && key.length !== 1)
    drafts.push(
      mapError(
        root.key,
        `The alias ${alias} is one column, and the key has ${key.length}.`,
        'Use a key of one column.',
      ),
    )
  for (const link of target.model.links)
    if (link.from === root.key && link.to === root.key && (link.kind === 'owned' || link.kind === 'shared'))
      drafts.push(
        mapError(
          columnsOf(root.key, link.columns),
          `${root.key} owns rows of itself: erasing one data subject would erase another.`,
          'Use alias for merged rows, or a reference edge.',
        ),
      )
  return drafts
}

function keptRoot(target: Target, kept: Retention): Draft[] {
  if (kept.keptCondition === null || target.root.entry.pseudonymise !== undefined) return []
  const why = kept.keepers.map((keeper) => `${keeper.table} (${keeper.why})`)
  return [
    mapError(
      `${target.root.key} pseudonymise`,
      `Rows of ${target.root.key} stay while ${why.join('; ')}, and the map doesn't say what is left of them.`,
      `Give ${target.root.key} pseudonymise: { column: … }, or null or repoint those edges.`,
    ),
  ]
}

function planTables(target: Target, rows: Membership, kept: Retention): PlanTable[] {
  const reached = [...target.reached.values()].map(({ mapped, why }) => ({
    table: mapped.table.name,
    action: mapped.entry.action === 'ignore' ? ('detach' as const) : mapped.entry.action,
    why: [
      why,
      ...kept.keepers.filter((keeper) => keeper.table === mapped.key).map((keeper) => keeper.why),
    ].join('; '),
    ground: mapped.entry.action === 'retain' ? (mapped.entry.retain?.ground ?? null) : null,
    stays: mapped.entry.action === 'ignore' ? 'true' : kept.stays(mapped.key),
    released: released(target, rows, mapped.key),
    until: ownEnd(mapped.entry),
    pseudonymised: mapped.entry.action !== 'ignore' && mapped.entry.pseudonymise !== undefined,
    belongs: rows.belongs(mapped.key, 't', { by: 'row' }),
    estimate: mapped.table.estimate,
  }))
  const named = Map.groupBy(
    detachments(target).filter((link) => !target.reached.has(link.from) && link.to === target.root.key),
    (link) => link.from,
  )
  const detached = [...named].flatMap(([key, links]): PlanTable[] => {
    const table = target.model.catalogue.tables.get(key)
    if (table === undefined || key === target.root.key) return []
    return [
      {
        table: table.name,
        action: 'detach',
        ground: null,
        stays: 'true',
        released: null,
        until: null,
        pseudonymised: false,
        why: links.map((link) => `${link.kind} through ${columnsOf(key, link.columns)}`).join('; '),
        belongs: anyOf(links.map((link) => rows.joined(link, 't', { by: 'row' }))),
        estimate: table.estimate,
      },
    ]
  })
  return [...reached, ...detached]
}

function released(target: Target, rows: Membership, table: TableKey): string | null {
  const links = target.reached.get(table)?.links ?? []
  if (!links.some(({ kind }) => kind === 'shared')) return null
  const goes = links.map((link) => {
    const reached = rows.joined(link, 't', { by: 'row' })
    return link.kind === 'shared' ? `${reached} AND ${rows.soleOwner(link, 't', { by: 'row' })}` : reached
  })
  return `(${anyOf(goes)}) IS NOT TRUE`
}

function ownEnd({ action, retain }: TableEntry): string | null {
  return action !== 'retain' || retain === undefined || retain.until === 'parent' ? null : retain.until
}

function minimums(target: Target, rows: Membership): Minimum[] {
  return [target.root.key, ...target.reached.keys()].flatMap((key) => {
    const mapped = target.model.tables.get(key)
    const minimum = mapped?.entry.minimum
    if (mapped === undefined || minimum === undefined) return []
    const mine =
      key === target.root.key
        ? target.key.map(({ name }) => `${sqlColumn('t', name)} = ${sqlColumn('root', name)}`).join(' AND ')
        : rows.belongs(key, 't', { by: 'row' })
    // what nobody can date is kept, and so is what nobody can say the law to be silent on
    const applies = `(${minimum.applies ?? 'true'}) IS NOT FALSE`
    const condition = exists(
      `${fromTable(target, key)} t WHERE ${mine} AND ${applies} AND ((${minimum.until})::timestamptz > now()) IS NOT FALSE`,
    )
    return [{ table: mapped.table.name, ground: minimum.ground, condition }]
  })
}

function aliasSql(target: Target, rows: Membership): string | null {
  const [key] = target.key
  if (target.alias === null || key === undefined) return null
  const from = fromTable(target, target.root.key)
  const id = sqlColumn('root', key.name)
  // UNION, not UNION ALL: a circle of merges ends.
  return `WITH RECURSIVE merged AS (SELECT ${id} AS k1 FROM ${from} root WHERE ${rows.inBatch('root')} UNION SELECT ${id} FROM ${from} root JOIN merged ON ${sqlColumn('root', target.alias)} = merged.k1) SELECT k1::text AS k1 FROM merged WHERE NOT (k1 = ANY ($1::text[]::${key.type}[]))`
}

/** Columns of rows that may stay and that say something of the person, unless they are pseudonymised. */
function inClear(target: Target): string[] {
  return [...target.reached.values()].flatMap(({ mapped: { key, entry } }) => {
    if (entry.action !== 'retain') return []
    const kept = Object.entries(entry.columns).flatMap(([category, columns]) =>
      category === 'none'
        ? []
        : (columns ?? [])
            .filter((column) => entry.pseudonymise?.[column] === undefined)
            .map((column) => `${column} (${category})`),
    )
    return kept.length === 0
      ? []
      : [`${key}: rows kept under "${entry.retain?.ground ?? ''}" keep in clear: ${kept.join(', ')}`]
  })
}

function notCovered(target: Target, findings: readonly Finding[]): string[] {
  const { model } = target
  const subject = model.map.subjects[target.subject]
  const ignored = [...model.tables.values()]
    .filter(({ entry }) => entry.action === 'ignore')
    .map(({ key, entry }) => `${key}: ignored (${entry.reason ?? ''})`)
  const unlinked = [...model.tables.values()]
    .filter(
      ({ entry, key }) =>
        entry.action !== 'ignore' &&
        entry.edges.length === 0 &&
        ![...model.subjects.values()].some((one) => one.root === key) &&
        key !== target.root.key,
    )
    .map(({ key }) => `${key}: no edge leads from it to a data subject`)
  const history = [...target.reached.values()]
    .filter(({ mapped }) => mapped.entry.pseudonymise !== undefined && mapped.entry.action !== 'delete')
    .flatMap(({ mapped }) =>
      mapped.table.triggers
        .filter((trigger) => trigger.onUpdate)
        .map(
          (trigger) =>
            `${mapped.key}: UPDATE trigger ${trigger.name} (${trigger.function}) may copy what is pseudonymised`,
        ),
    )
  return [
    ...ignored,
    ...unlinked,
    ...inClear(target),
    ...history,
    ...(subject?.other_stores ?? []).map(
      (entry) =>
        `store ${otherStore(entry).store}: what it holds of ${target.subject} goes by an erasure request, not by these statements`,
    ),
    ...findings.flatMap((finding) =>
      finding.accepted === null ? [] : [`accepted: ${finding.id} (${finding.accepted})`],
    ),
  ]
}
