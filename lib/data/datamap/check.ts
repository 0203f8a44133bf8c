/** What no single key of the map can know: whether its parts fit together. Finds everything; throws nothing. */
import { checkZone } from '../../base/schedule/index.ts'
import { storeNamed, type Problem } from '../../base/settings/index.ts'
import { otherStore } from './other-store.ts'
import { postgresStore, type DataMap, type Edge, type SubjectEntry } from './schema.ts'

/** What depends on the kind of another store than PostgreSQL is checked by `checkStores` of the erasers. */
export function checkMapFile(map: DataMap): Problem[] {
  return [...checkZones(map), ...checkSubjects(map), ...checkTables(map)]
}

function checkZones(map: DataMap): Problem[] {
  return Object.keys(map.stores).flatMap((name) =>
    checkZone(postgresStore(map, name)?.time_zone, ['stores', name, 'time_zone']),
  )
}

function checkSubjects(map: DataMap): Problem[] {
  const byRoot = new Map<string, string>()
  return Object.entries(map.subjects).flatMap(([name, subject]) => {
    const path = ['subjects', name]
    const problems: Problem[] = []
    const root = `${subject.store}/${subject.root}`
    const other = byRoot.get(root)
    if (other !== undefined)
      problems.push({
        path: [...path, 'root'],
        message: `${subject.root} is already the root of subject ${other}; a row can be one data subject only`,
      })
    byRoot.set(root, name)
    problems.push(...checkPlace(map, subject.store, subject.root, [...path, 'store'], [...path, 'root']))
    problems.push(...checkOtherStores(map, subject, path))
    problems.push(...checkAccess(map, subject, path))
    problems.push(...checkTombstones(map, subject, path))
    return problems
  })
}

function checkOtherStores(map: DataMap, subject: SubjectEntry, path: PropertyKey[]): Problem[] {
  const seen = new Set<string>()
  return subject.other_stores.flatMap((entry, index) => {
    const at = [...path, 'other_stores', index]
    const { store, linked } = otherStore(entry)
    const kind = storeNamed(map.stores, store)?.kind
    const found: Problem[] = []
    if (kind === undefined) found.push({ path: at, message: `there is no store ${store}` })
    else if (store === subject.store) found.push({ path: at, message: `${store} is the subject's own store` })
    else if (seen.has(store)) found.push({ path: at, message: `${store} is named twice` })
    else if (kind === 'postgres' && linked === null)
      found.push({
        path: at,
        message: `${store} is a PostgreSQL store: say which subject its rows belong to, { store, subject, key }`,
      })
    else if (kind !== 'postgres' && linked !== null)
      found.push({
        path: at,
        message: `${store} is ${kind}: only a PostgreSQL store has subjects of its own`,
      })
    if (linked !== null && map.subjects[linked.subject]?.store !== store)
      found.push({
        path: [...at, 'subject'],
        message: `there is no subject ${linked.subject} in store ${store}`,
      })
    seen.add(store)
    return found
  })
}

function checkAccess(map: DataMap, subject: SubjectEntry, path: PropertyKey[]): Problem[] {
  const others = new Set(subject.other_stores.map((entry) => otherStore(entry).store))
  const places = (['set', 'delete'] as const).flatMap((verb) =>
    subject.access[verb].flatMap(({ table }, index) =>
      isMapped(map, subject.store, table)
        ? []
        : [
            {
              path: [...path, 'access', verb, index, 'table'],
              message: `${table} is not in the map (tables.${subject.store})`,
            },
          ],
    ),
  )
  const stores = subject.access.stores.flatMap((store, index) => {
    const at = [...path, 'access', 'stores', index]
    return others.has(store) ? [] : [{ path: at, message: `${store} is not among other_stores` }]
  })
  return [...places, ...stores]
}

function checkTombstones(map: DataMap, subject: SubjectEntry, path: PropertyKey[]): Problem[] {
  return subject.tombstones.flatMap(({ table }, index) =>
    isMapped(map, subject.store, table)
      ? []
      : [
          {
            path: [...path, 'tombstones', index, 'table'],
            message: `${table} is not in the map (tables.${subject.store})`,
          },
        ],
  )
}

/** The store exists and is a PostgreSQL one, and the table is in the map. */
export function checkPlace(
  map: DataMap,
  store: string,
  table: string,
  storePath: PropertyKey[],
  tablePath: PropertyKey[],
): Problem[] {
  const entry = storeNamed(map.stores, store)
  if (entry === null) return [{ path: storePath, message: `there is no store ${store}` }]
  if (entry.kind !== 'postgres')
    return [
      { path: storePath, message: `store ${store} is ${entry.kind}; a table stands in a postgres store` },
    ]
  return isMapped(map, store, table)
    ? []
    : [{ path: tablePath, message: `${table} is not in the map (tables.${store})` }]
}

function isMapped(map: DataMap, store: string, table: string): boolean {
  const tables = Object.hasOwn(map.tables, store) ? map.tables[store] : undefined
  return tables !== undefined && Object.hasOwn(tables, table)
}

function checkTables(map: DataMap): Problem[] {
  return Object.entries(map.tables).flatMap(([store, tables]) => {
    if (!Object.hasOwn(map.stores, store))
      return [{ path: ['tables', store], message: `there is no store ${store}` }]
    return Object.entries(tables).flatMap(([table, entry]) => {
      const path = ['tables', store, table]
      return [
        ...checkColumns(entry.columns, [...path, 'columns']),
        ...entry.edges.flatMap((edge, index) => checkEdge(map, store, edge, [...path, 'edges', index])),
      ]
    })
  })
}

function checkColumns(columns: Readonly<Record<string, readonly string[]>>, path: PropertyKey[]): Problem[] {
  const seen = new Map<string, string>()
  return Object.entries(columns).flatMap(([category, names]) =>
    names.flatMap((column, index) => {
      const first = seen.get(column)
      seen.set(column, category)
      return first === undefined
        ? []
        : [
            {
              path: [...path, category, index],
              message: `column ${column} is listed twice (already under ${first})`,
            },
          ]
    }),
  )
}

function checkEdge(map: DataMap, store: string, edge: Edge, path: PropertyKey[]): Problem[] {
  const problems: Problem[] = []
  if (!isMapped(map, store, edge.to))
    problems.push({ path: [...path, 'to'], message: `${edge.to} is not in the map (tables.${store})` })
  if (edge.references !== undefined && edge.references.length !== edge.columns.length)
    problems.push({
      path: [...path, 'references'],
      message: `names ${edge.references.length} columns for ${edge.columns.length} pointing ones`,
    })
  if (
    typeof edge.then === 'object' &&
    'repoint' in edge.then &&
    edge.then.repoint.length !== edge.columns.length
  )
    problems.push({
      path: [...path, 'then', 'repoint'],
      message: `gives ${edge.then.repoint.length} values for ${edge.columns.length} pointing columns`,
    })
  return problems
}
