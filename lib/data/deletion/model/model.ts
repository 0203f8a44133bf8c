/** The map of one store, joined with its live catalogue: tables by name, edges resolved to columns on both sides. */
import {
  type Catalogue,
  type CatalogueTable,
  type ForeignKey,
  parseTableName,
  tableKey,
  type TableKey,
  type DataMap,
  type Edge,
  type PostgresStoreEntry,
  type SubjectEntry,
  type TableEntry,
} from '../../datamap/index.ts'
import type { Draft } from '../findings/findings.ts'

export interface MappedTable {
  key: TableKey
  entry: TableEntry
  table: CatalogueTable
}

/** An edge of the map with both its sides: `pointing` has the columns, `pointed` what they refer to. */
export interface Link {
  kind: Edge['kind']
  /** The table whose entry has the edge, and the one it leads to, a step nearer to the subject. */
  from: TableKey
  to: TableKey
  pointing: TableKey
  pointed: TableKey
  columns: readonly string[]
  references: readonly string[]
  when: Edge['when']
  /** null: nothing was said on an owned edge. */
  then: 'keep' | 'null' | { repoint: readonly string[] } | null
  /** Where the map names them: the columns that `then: null` sets. */
  nulls: readonly string[] | null
  foreignKey: ForeignKey | null
}

export interface Model {
  map: DataMap
  storeName: string
  store: PostgresStoreEntry
  catalogue: Catalogue
  tables: ReadonlyMap<TableKey, MappedTable>
  links: readonly Link[]
  subjects: ReadonlyMap<string, { entry: SubjectEntry; root: TableKey }>
}

/** What can't be resolved is left out of the model and stands in `drafts`; nothing is planned while drafts has errors. */
export function buildModel(
  map: DataMap,
  storeName: string,
  store: PostgresStoreEntry,
  catalogue: Catalogue,
): { model: Model; drafts: Draft[] } {
  const drafts: Draft[] = []
  const tables = new Map<TableKey, MappedTable>()
  for (const [text, entry] of Object.entries(map.tables[storeName] ?? {})) {
    const name = parseTableName(text)
    if (name === null) {
      drafts.push(mapError(text, `"${text}" is not a table name.`, 'Write schema.table.'))
      continue
    }
    const key = tableKey(name)
    const table = catalogue.tables.get(key)
    if (tables.has(key))
      drafts.push(mapError(key, `${key} stands in the map twice.`, 'Join the two entries.'))
    else if (table === undefined)
      drafts.push({
        kind: 'vanished-table',
        on: key,
        message: `${key} is in the map, and the database has no such table.`,
        mend: 'Take it out of the map, or mend its name (partitions follow their parent and have no entry).',
      })
    else if (!table.inScope)
      drafts.push(
        mapError(
          key,
          `${key} lies in a schema that store ${storeName} doesn't declare.`,
          'Add it to schemas.',
        ),
      )
    else tables.set(key, { key, entry, table })
  }
  const links = [...tables.values()].flatMap((mapped) =>
    mapped.entry.edges.flatMap((edge) => resolve(mapped, edge, tables, catalogue, drafts)),
  )
  return {
    model: {
      map,
      storeName,
      store,
      catalogue,
      tables,
      links,
      subjects: subjects(map, storeName, tables, drafts),
    },
    drafts,
  }
}

export function mapError(on: string, message: string, mend: string): Draft {
  return { kind: 'map-error', on, message, mend }
}

/** `table(column, column)`, as findings and plans name an edge or key. */
export function columnsOf(table: TableKey, columns: readonly string[]): string {
  return `${table}(${columns.join(', ')})`
}

function resolve(
  mapped: MappedTable,
  edge: Edge,
  tables: ReadonlyMap<TableKey, MappedTable>,
  catalogue: Catalogue,
  drafts: Draft[],
): Link[] {
  const on = `${mapped.key} edge ${edge.columns.join(', ')} to ${edge.to}`
  const fail = (message: string, mend: string): Link[] => {
    drafts.push(mapError(on, message, mend))
    return []
  }
  const name = parseTableName(edge.to)
  const other = name === null ? undefined : tables.get(tableKey(name))
  if (other === undefined)
    return fail(
      `An edge of ${mapped.key} leads to ${edge.to}, which has no entry in the map.`,
      'Classify that table.',
    )
  if (edge.side === 'parent' && edge.kind !== 'owned')
    return fail('Only owned rows can stand on the parent side.', 'Use kind: owned, or side: child.')
  const [pointing, pointed] = edge.side === 'child' ? [mapped, other] : [other, mapped]
  const references = edge.references ?? pointed.table.primaryKey
  if (references === null) {
    drafts.push({
      kind: 'no-primary-key',
      on: pointed.key,
      message: `${pointed.key} has no primary key, and an edge of ${mapped.key} needs to know what its columns refer to.`,
      mend: 'Give the edge references: [column, …], or the table a primary key.',
    })
    return []
  }
  const missing = [
    ...edge.columns
      .filter((column) => !pointing.table.columns.has(column))
      .map((c) => `${pointing.key}.${c}`),
    ...references.filter((column) => !pointed.table.columns.has(column)).map((c) => `${pointed.key}.${c}`),
    ...(edge.when === undefined || pointing.table.columns.has(edge.when.column)
      ? []
      : [`${pointing.key}.${edge.when.column}`]),
  ]
  if (missing.length > 0) {
    for (const column of missing)
      drafts.push({
        kind: 'vanished-column',
        on: column,
        message: `An edge of ${mapped.key} names ${column}, which does not exist.`,
        mend: 'Mend the name, or take the edge out.',
      })
    return []
  }
  if (references.length !== edge.columns.length)
    return fail(
      `The edge names ${edge.columns.length} columns on one side and ${references.length} on the other.`,
      'Name as many columns as references.',
    )
  const named = typeof edge.then === 'object' && 'null' in edge.then ? undefined : edge.then
  const nulls = typeof edge.then === 'object' && 'null' in edge.then ? edge.then.null : null
  const strange = (nulls ?? []).filter((column) => !edge.columns.includes(column))
  if (strange.length > 0)
    return fail(
      `The edge nulls ${strange.join(', ')}, which is none of its columns.`,
      'Name some of its columns.',
    )
  const weak = edge.kind === 'owned' ? null : edge.kind === 'shared' ? 'null' : 'keep'
  return [
    {
      kind: edge.kind,
      from: mapped.key,
      to: other.key,
      pointing: pointing.key,
      pointed: pointed.key,
      columns: edge.columns,
      references,
      when: edge.when,
      then: nulls === null ? (named ?? weak) : 'null',
      nulls,
      foreignKey:
        catalogue.foreignKeys.find(
          (fk) =>
            fk.from === pointing.key &&
            fk.to === pointed.key &&
            samePairs(fk.columns, fk.references, edge.columns, references),
        ) ?? null,
    },
  ]
}

/** Whether two keys pair the same columns, in any order. */
export function samePairs(
  columns: readonly string[],
  references: readonly string[],
  otherColumns: readonly string[],
  otherReferences: readonly string[],
): boolean {
  const pairs = (a: readonly string[], b: readonly string[]) =>
    JSON.stringify(
      a.map((column, place) => JSON.stringify([column, b[place]])).toSorted((x, y) => (x < y ? -1 : 1)),
    )
  return pairs(columns, references) === pairs(otherColumns, otherReferences)
}

function subjects(
  map: DataMap,
  storeName: string,
  tables: ReadonlyMap<TableKey, MappedTable>,
  drafts: Draft[],
): Model['subjects'] {
  const found = new Map<string, { entry: SubjectEntry; root: TableKey }>()
  const byRoot = new Map<TableKey, string>()
  for (const [subject, entry] of Object.entries(map.subjects)) {
    if (map.stores[entry.store] === undefined)
      drafts.push(
        mapError(`subject ${subject}`, `Store ${entry.store} doesn't exist.`, 'Name one of the stores.'),
      )
    if (entry.store !== storeName) continue
    const name = parseTableName(entry.root)
    const root = name === null ? undefined : tables.get(tableKey(name))
    if (root === undefined) {
      drafts.push(
        mapError(
          `subject ${subject}`,
          `The root ${entry.root} of subject ${subject} has no entry in the map.`,
          'Classify it, or mend the name.',
        ),
      )
      continue
    }
    const first = byRoot.get(root.key)
    if (first !== undefined)
      drafts.push(
        mapError(
          `subject ${subject}`,
          `Subjects ${first} and ${subject} have the same root ${root.key}: two plans would delete the same rows.`,
          'Keep one subject a root.',
        ),
      )
    byRoot.set(root.key, subject)
    found.set(subject, { entry, root: root.key })
  }
  return found
}
