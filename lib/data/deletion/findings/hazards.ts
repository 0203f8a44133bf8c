/** What in the live database would make a plan do more than it says, less than it says, or stop half-way. */
import { indexed } from '../model/access.ts'
import type { CatalogueTable, ForeignKey, TableKey } from '../../datamap/index.ts'
import { indexable } from '../model/compare.ts'
import type { Draft } from './findings.ts'
import { columnsOf, samePairs, type Link } from '../model/model.ts'
import { isProven, leads, ownerColumns, type Target } from '../model/reach.ts'
import { severalOwners } from '../owners.ts'
import { releases } from '../model/retention.ts'
import { holders } from '../statements.ts'

export function hazards(target: Target): Draft[] {
  return [
    ...changedTables(target).flatMap(({ table, removes }) => surprises(table, removes)),
    ...foreignKeysInto(target).flatMap((fk) => verdict(target, fk)),
    ...nullablePaths(target),
    ...severalTexts(target),
    ...rowsOfSeveral(target),
    ...ambiguousOwners(target),
    ...missingIndexes(target, target.model.store.large_table_rows),
  ]
}

/** Whether rows of this table are deleted by the plan. */
export function removes(target: Target, key: TableKey): boolean {
  if (key === target.root.key) return target.root.entry.action !== 'pseudonymise'
  const action = target.reached.get(key)?.mapped.entry.action
  return action === 'delete' || action === 'retain'
}

/** Names of rows that go, which the map says to null or repoint. */
export function detachments(target: Target): Link[] {
  return target.model.links.filter(
    (link) =>
      link.pointing === link.from &&
      removes(target, link.to) &&
      link.then !== null &&
      link.then !== 'keep' &&
      (!leads(link) || target.reached.has(link.from)),
  )
}

export function foreignKeysInto(target: Target): ForeignKey[] {
  return target.model.catalogue.foreignKeys.filter((fk) => removes(target, fk.to))
}

export function linkOf(target: Target, fk: ForeignKey): Link | null {
  return (
    target.model.links.find(
      (link) =>
        link.pointing === fk.from &&
        link.pointed === fk.to &&
        samePairs(link.columns, link.references, fk.columns, fk.references),
    ) ?? null
  )
}

function changedTables(target: Target): { table: CatalogueTable; removes: boolean }[] {
  const keys = [target.root.key, ...target.reached.keys(), ...detachments(target).map((link) => link.from)]
  return [...new Set(keys)].flatMap((key) => {
    const table = target.model.catalogue.tables.get(key)
    return table === undefined ? [] : [{ table, removes: removes(target, key) }]
  })
}

function surprises(table: CatalogueTable, deletes: boolean): Draft[] {
  const triggers = table.triggers
    .filter((trigger) => deletes && trigger.onDelete)
    .map((trigger) => ({
      kind: 'delete-trigger' as const,
      on: `${table.key}.${trigger.name}`,
      message: `A DELETE on ${table.key} fires ${trigger.level} trigger ${trigger.name} (${trigger.function}): it may copy, keep or refuse what the plan removes.`,
      mend: 'Read the function; accept the finding with what it does, or drop the trigger.',
    }))
  const rules = table.rules
    .filter((rule) => (rule.event === 'delete' ? deletes : true))
    .map((rule) => ({
      kind: 'rule' as const,
      on: `${table.key}.${rule.name}`,
      message: `Rule ${rule.name} rewrites ${rule.event.toUpperCase()} on ${table.key}: what runs is not what the plan says.`,
      mend: 'Drop the rule, or accept the finding with what it does.',
    }))
  return [...triggers, ...rules]
}

/** Each foreign key into rows that go must be met by the order, by what an edge says, or by a key inside the plan. */
function verdict(target: Target, fk: ForeignKey): Draft[] {
  const link = linkOf(target, fk)
  const acts = fk.onDelete === 'cascade' || fk.onDelete === 'set null' || fk.onDelete === 'set default'
  const mapped = target.model.tables.get(fk.from)
  const inside = fk.from === target.root.key || target.reached.has(fk.from)
  const goes = inside && removes(target, fk.from) && mapped?.entry.action !== 'retain'
  const on = `${columnsOf(fk.from, fk.columns)}->${fk.to}`
  if (link === null) {
    const { alias } = target
    if (
      fk.from === target.root.key &&
      fk.to === fk.from &&
      fk.columns.length === 1 &&
      fk.columns[0] === alias
    )
      return []
    if (acts) return [cascade(on, fk, 'and the map has no edge for it')]
    return goes ? [] : [blocking(on, fk, 'and the map has no edge for it')]
  }
  if (link.from !== link.pointing) return []
  if (mapped !== undefined && releases(link, mapped.entry) && (inside || !leads(link))) return []
  if (leads(link) && !target.reached.has(link.from) && fk.from !== target.root.key)
    return [
      acts
        ? cascade(on, fk, `and the map ignores ${fk.from}`)
        : blocking(on, fk, `and the map ignores ${fk.from}`),
    ]
  // The root stays where such rows name it, so the key is never broken.
  if (fk.to === target.root.key && (link.kind !== 'owned' || !goes)) return []
  if (link.kind === 'owned' || link.kind === 'shared') {
    if (goes) return []
    if (mapped?.entry.action === 'retain' && target.reached.get(fk.to)?.mapped.entry.action === 'retain')
      return []
    return [blocking(on, fk, `and rows of ${fk.from} stay while rows of ${fk.to} go`)]
  }
  if (acts) return [cascade(on, fk, 'and the edge says keep')]
  return goes || holders(target, fk.to).some((one) => one.from === fk.to)
    ? []
    : [blocking(on, fk, 'and the edge says keep')]
}

function cascade(on: string, fk: ForeignKey, why: string): Draft {
  return {
    kind: 'cascade-outside-plan',
    on,
    message: `Foreign key ${fk.name} on ${fk.from} is ON DELETE ${fk.onDelete.toUpperCase()} towards ${fk.to}, whose rows go, ${why}: PostgreSQL would change rows that no plan shows.`,
    mend: 'Declare the edge in the map (owned, or with then: null or repoint), or change the key to NO ACTION.',
  }
}

function blocking(on: string, fk: ForeignKey, why: string): Draft {
  return {
    kind: 'blocking-foreign-key',
    on,
    message: `Foreign key ${fk.name} on ${fk.from} points at ${fk.to}, whose rows go, ${why}: the delete would be refused.`,
    mend: `Declare the edge in ${fk.from} (owned, or then: null or repoint), or retain ${fk.to} as long.`,
  }
}

/**
 * The ledger, an open request and a hold know a person by the key's text. While the row is there, another text leads to it; once it
 * is gone or rewritten, nothing says that both are one.
 */
function severalTexts({ root, subject, key }: Target): Draft[] {
  return key
    .filter(({ oneText }) => !oneText)
    .map(({ name, type }) => ({
      kind: 'key-of-several-texts' as const,
      on: columnsOf(root.key, [name]),
      message: `${root.key}.${name} (${type}) is in the key of ${subject}, and values of it that are equal can be written in several ways of which none is the one: a replay after a restore would not find an erased person whose row is written otherwise there.`,
      mend: 'Name other unique columns as key, or accept with why nobody rewrites it.',
    }))
}

/** A row with two owners goes with the first of them that goes, and is missed by the other. */
function rowsOfSeveral(target: Target): Draft[] {
  return [...target.reached.values()].flatMap(({ mapped }) => {
    const links = severalOwners(target, mapped.key)
    if (mapped.entry.action === 'ignore' || links.length === 0) return []
    const named = links.map(({ columns, to }) => `${to} through ${columns.join(', ')}`)
    return [
      {
        kind: 'several-owners' as const,
        on: columnsOf(mapped.key, [...new Set(links.flatMap(({ columns }) => columns))]),
        message: `A row of ${mapped.key} may have several owners (${named.join('; ')}), and is deleted with the first of them.`,
        mend: 'Make all of these edges shared (the row then goes with the last of its owners), or all but one authored or a reference; or accept with why it may go with the first. See runbooks/data-map.md.',
      },
    ]
  })
}

/** Values that several rows share lead from one person's rows to another's. */
function ambiguousOwners(target: Target): Draft[] {
  const links = [
    ...[...target.reached.values()].flatMap((entry) => [...entry.links, ...entry.self]),
    ...detachments(target),
  ]
  return [...new Set(links)]
    .filter((link) => !isProven(target.model, link))
    .map((link) => {
      const columns = ownerColumns(link).join(', ')
      const own = link.pointing === link.from ? link.columns : link.references
      return {
        kind: 'ambiguous-owner' as const,
        on: `${columnsOf(link.from, own)}->${columnsOf(link.to, ownerColumns(link))}`,
        message: `Nothing in the database says that ${columnsOf(link.to, ownerColumns(link))} is unique: a row of ${link.from} may lead to several rows of ${link.to}.`,
        mend: `Add a unique index on ${columns} without a predicate, or name unique columns. Accepted, a row of ${link.from} that leads to several stays until the last of them goes.`,
      }
    })
}

/** A table that is reached through nullable columns only has rows that nobody's erasure ever finds. */
function nullablePaths(target: Target): Draft[] {
  return [...target.reached.values()].flatMap(({ mapped, links }) => {
    const all = [...links]
    const loose = (link: Link) =>
      link.kind === 'owned' &&
      link.pointing === link.from &&
      link.columns.some((column) => mapped.table.columns.get(column)?.notNull === false)
    if (all.length === 0 || !all.every(loose)) return []
    const columns = [...new Set(all.flatMap((link) => link.columns))]
    return [
      {
        kind: 'nullable-path' as const,
        on: columnsOf(mapped.key, columns),
        message: `${mapped.key} is reached through nullable columns only (${columns.join(', ')}): rows where they are null belong to nobody, and no plan reaches them.`,
        mend: 'Make a column NOT NULL, add another edge, or accept with how such rows are found.',
      },
    ]
  })
}

interface Lookup {
  table: TableKey
  columns: readonly string[]
  when: Link['when']
  castable: boolean
}

/** Every column set of a table of `fromRows` or more by which the plan, or a foreign key check of PostgreSQL's own, looks rows up. */
export function missingIndexes(target: Target, fromRows: number): Draft[] {
  const { model } = target
  const used = [
    ...[...target.reached.values()].flatMap((entry) => [...entry.links, ...entry.self]),
    ...model.links.filter(
      (link) => !leads(link) && (link.to === target.root.key || removes(target, link.to)),
    ),
  ]
  const lookups: Lookup[] = [
    ...used.map((link) => ({
      table: link.pointing,
      columns: link.columns,
      when: link.when,
      castable:
        link.pointing !== link.from ||
        link.columns.every((column, place) => usable(target, link, column, place)),
    })),
    ...used
      .filter((link) => link.pointing !== link.from)
      .map((link) => ({ table: link.pointed, columns: link.references, when: undefined, castable: true })),
    ...foreignKeysInto(target).map((fk) => ({
      table: fk.from,
      columns: fk.columns,
      when: undefined,
      castable: true,
    })),
  ]
  const indexes = lookups.flatMap(({ table: key, columns, when, castable }) => {
    const table = model.catalogue.tables.get(key)
    if (table === undefined || table.estimate < fromRows) return []
    if (castable && indexed(table, columns, when)) return []
    return [
      {
        kind: 'unindexed-foreign-key' as const,
        on: columnsOf(key, columns),
        message: castable
          ? `${key} has about ${table.estimate} rows and no index that begins with ${columns.join(', ')}: each batch would read the whole table.`
          : `${key} has about ${table.estimate} rows, and ${columns.join(', ')} is compared through a cast, which no index serves: each batch would read the whole table.`,
        mend: castable
          ? `CREATE INDEX CONCURRENTLY ON ${key} (${columns.join(', ')}).`
          : 'Give both columns one type.',
      },
    ]
  })
  return [...indexes, ...unindexedIdentifiers(target, fromRows)]
}

/** Before each call elsewhere it is asked who else has a value: by reading all of the subject's table where no index serves. */
function unindexedIdentifiers(target: Target, fromRows: number): Draft[] {
  const { root, model } = target
  const entry = model.subjects.get(target.subject)?.entry
  if (entry === undefined || entry.other_stores.length === 0 || root.table.estimate < fromRows) return []
  return Object.entries(entry.identifiers).flatMap(([name, { sql, owners }]): Draft[] => {
    const column = /^root\.("?)([a-z_][a-z0-9_]*)\1$/.exec(sql.trim())?.[2]
    if (owners !== undefined || (column !== undefined && indexed(root.table, [column], undefined))) return []
    return [
      {
        kind: 'unindexed-identifier',
        on: `${target.subject}.${name}`,
        message: `${root.key} has about ${root.table.estimate} rows, and who else has a value of identifier ${name} can be found by no index: each call to another store would read the whole table.`,
        mend: `Index that column, or say in the identifier's owners how the keys that have a value are found.`,
      },
    ]
  })
}

function usable(target: Target, link: Link, column: string, place: number): boolean {
  const { tables } = target.model.catalogue
  const own = tables.get(link.pointing)?.columns.get(column)?.type ?? 'text'
  const far = tables.get(link.pointed)?.columns.get(link.references[place] ?? '')?.type ?? 'text'
  return indexable(far, own)
}
