/** What the map says about tables and columns, against what the database has. Independent of any subject. */
import { otherStore } from '../../datamap/index.ts'
import type { Draft } from '../findings/findings.ts'
import { columnsOf, mapError, type MappedTable, type Model } from './model.ts'
import { leads } from './reach.ts'
import { hashDigits } from '../statements.ts'

export function classify(model: Model): Draft[] {
  return [
    ...schemasAndStores(model),
    ...unclassifiedTables(model),
    ...[...model.tables.values()].flatMap((mapped) => [
      ...columns(mapped),
      ...replacementErrors(mapped),
      ...retentionErrors(model, mapped),
    ]),
    ...edgeErrors(model),
    ...subjectErrors(model),
  ]
}

function schemasAndStores(model: Model): Draft[] {
  const unknown = Object.keys(model.map.tables).filter((store) => model.map.stores[store] === undefined)
  return unknown.map((store) =>
    mapError(
      `tables ${store}`,
      `The map classifies tables of store ${store}, which it doesn't declare.`,
      'Declare the store, or mend the name.',
    ),
  )
}

function unclassifiedTables(model: Model): Draft[] {
  return [...model.catalogue.tables.values()]
    .filter((table) => table.inScope && !model.tables.has(table.key))
    .map((table) => ({
      kind: 'unclassified-table',
      on: table.key,
      message: `${table.key} is in the database and not in the map: nobody said whose data it holds.`,
      mend: 'Classify it: columns, edges and an action; or action: ignore with a reason.',
    }))
}

function columns({ key, entry, table }: MappedTable): Draft[] {
  const named = Object.values(entry.columns).flat()
  const known = new Set(named)
  const twice = new Set(named.filter((column, place) => named.indexOf(column) !== place))
  return [
    ...[...table.columns.keys()]
      .filter((column) => !known.has(column))
      .map((column) => ({
        kind: 'unclassified-column' as const,
        on: `${key}.${column}`,
        message: `${key}.${column} is in the database and not in the map.`,
        mend: 'Put it under its category.',
      })),
    ...[...known]
      .filter((column) => !table.columns.has(column))
      .map((column) => ({
        kind: 'vanished-column' as const,
        on: `${key}.${column}`,
        message: `${key}.${column} is in the map, and the table has no such column.`,
        mend: 'Take it out of the map, or mend its name.',
      })),
    ...[...twice].map((column) =>
      mapError(`${key}.${column}`, `${key}.${column} stands under two categories.`, 'Keep one.'),
    ),
  ]
}

function replacementErrors({ key, entry, table }: MappedTable): Draft[] {
  return Object.entries(entry.pseudonymise ?? {}).flatMap(([name, by]): Draft[] => {
    const column = table.columns.get(name)
    const on = `${key}.${name} pseudonymise`
    if (column === undefined)
      return [
        {
          kind: 'vanished-column',
          on: `${key}.${name}`,
          message: `The map pseudonymises ${key}.${name}, which does not exist.`,
          mend: 'Take it out of the map, or mend its name.',
        },
      ]
    if (column.generated)
      return [
        mapError(
          on,
          `${key}.${name} is a generated column: it follows the columns it is made from.`,
          'Pseudonymise those.',
        ),
      ]
    if ('set' in by && by.set === null && column.notNull)
      return [
        mapError(on, `The map nulls ${key}.${name}, which is NOT NULL.`, 'Set a fixed text, or use hash.'),
      ]
    if ('hash' in by && hashDigits(column.type) === null)
      return [
        mapError(
          on,
          `A keyed hash of ${key}.${name} doesn't fit type ${column.type}.`,
          'Use set or sql; a hash needs text of at least 19 characters.',
        ),
      ]
    return []
  })
}

function retentionErrors(model: Model, { key, entry }: MappedTable): Draft[] {
  if (entry.action !== 'retain' || entry.retain?.until !== 'parent') return []
  const parents = model.links.filter((link) => link.from === key && leads(link) && link.pointing === key)
  const held = parents.some((link) => {
    const action = model.tables.get(link.to)?.entry.action
    return action === 'retain' || action === 'pseudonymise'
  })
  return held
    ? []
    : [
        mapError(
          `${key} retain`,
          `${key} is retained as long as its parent, and no owned edge leads to a table that is retained.`,
          'Give it an end of its own, or retain the parent.',
        ),
      ]
}

function edgeErrors(model: Model): Draft[] {
  return model.links.flatMap((link) => {
    const entry = model.tables.get(link.from)?.entry
    const on = columnsOf(link.pointing, link.columns)
    const drafts: Draft[] = []
    if (
      typeof link.then === 'object' &&
      link.then !== null &&
      link.then.repoint.length !== link.columns.length
    )
      drafts.push(
        mapError(
          on,
          `The edge repoints ${link.columns.length} columns to ${link.then.repoint.length} values.`,
          'Give one value a column.',
        ),
      )
    if (link.kind === 'owned' && link.then !== null && entry?.action === 'delete')
      drafts.push(
        mapError(
          on,
          `${link.from} is deleted with its owner, so "then" on its owned edge says nothing.`,
          'Take "then" out, or choose another kind of edge.',
        ),
      )
    return drafts
  })
}

function subjectErrors(model: Model): Draft[] {
  return [...model.subjects].flatMap(([name, { entry, root }]) => {
    const table = model.tables.get(root)?.table
    const named = [
      ...(entry.key ?? []),
      ...(entry.tenant === undefined ? [] : [entry.tenant]),
      ...(entry.alias === undefined ? [] : [entry.alias]),
    ]
    return [
      ...named
        .filter((column) => table?.columns.has(column) !== true)
        .map((column) => ({
          kind: 'vanished-column' as const,
          on: `${root}.${column}`,
          message: `Subject ${name} names ${root}.${column}, which does not exist.`,
          mend: 'Mend the name.',
        })),
      ...entry.other_stores
        .map((other) => otherStore(other).store)
        .filter((store) => model.map.stores[store] === undefined)
        .map((store) =>
          mapError(
            `subject ${name}`,
            `Subject ${name} names store ${store}, which the map doesn't declare.`,
            'Declare the store.',
          ),
        ),
    ]
  })
}
