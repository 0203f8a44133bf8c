/**
 * The live catalogue: what PostgreSQL itself says about the tables of a store. Read anew before every plan, so that an
 * order or a foreign key is never remembered from yesterday.
 *
 * Partitions follow their parent: they don't stand in `tables`, their own foreign keys, triggers and rules count as the
 * parent's, and an index counts when every partition has it. Children by inheritance do stand there: they hold rows and
 * columns of their own, so they are classified like any table, and statements say ONLY where a table has such children.
 */
import { mapTables, readCatalogue, type RawCatalogue } from './catalogue-query.ts'
import { tableKey } from './names.ts'
import { postgresStore, type DataMap } from './schema.ts'
import type {
  Catalogue,
  CatalogueSource,
  ForeignKey,
  ForeignKeyAction,
  MaterialisedView,
} from './catalogue-shape.ts'

/** The catalogue of a store, in the schemas that the map names; empty where the map has no PostgreSQL store of this name. */
export async function storeCatalogue(
  db: CatalogueSource,
  map: Pick<DataMap, 'stores'>,
  store: string,
): Promise<Catalogue> {
  return loadCatalogue(db, postgresStore(map, store)?.schemas ?? [])
}

/** Reads the tables of `schemas`, and those that a foreign key joins to them. Takes no locks beyond catalogue reads. */
export async function loadCatalogue(db: CatalogueSource, schemas: readonly string[]): Promise<Catalogue> {
  const raw = await readCatalogue(db, schemas)
  return {
    schemas,
    tables: mapTables(raw, schemas),
    foreignKeys: foreignKeys(raw),
    materialisedViews: materialisedViews(raw),
  }
}

function foreignKeys(raw: RawCatalogue): ForeignKey[] {
  const found = new Map<string, ForeignKey>()
  for (const fk of raw.foreignKeys) {
    const from = raw.names.get(fk.from_oid)
    const to = raw.names.get(fk.to_oid)
    if (from === undefined || to === undefined) continue
    const key: ForeignKey = {
      name: fk.name,
      from: tableKey(from),
      to: tableKey(to),
      columns: fk.columns,
      references: fk.refs,
      onDelete: actions[fk.on_delete],
      deferrable: fk.deferrable,
    }
    // The same key declared on every partition by itself is one key of the parent to us.
    const identity = JSON.stringify([key.from, key.to, key.columns, key.references, key.onDelete])
    if (!found.has(identity)) found.set(identity, key)
  }
  return [...found.values()]
}

const actions = {
  a: 'no action',
  r: 'restrict',
  c: 'cascade',
  n: 'set null',
  d: 'set default',
} as const satisfies Record<string, ForeignKeyAction>

function materialisedViews(raw: RawCatalogue): MaterialisedView[] {
  const below = new Map<string, string[]>()
  for (const { view_oid, reads_oid } of raw.viewReads)
    below.set(view_oid, [...(below.get(view_oid) ?? []), reads_oid])
  const closure = (oid: string, seen = new Set<string>()): Set<string> => {
    for (const next of below.get(oid) ?? [])
      if (!seen.has(next)) {
        seen.add(next)
        closure(next, seen)
      }
    return seen
  }
  return (
    raw.materialisedViews
      .map((view) => ({ view, reads: closure(view.oid) }))
      // A view that reads another reads all that one reads, and more: so it comes later.
      .toSorted((a, b) => a.reads.size - b.reads.size || tableKey(a.view).localeCompare(tableKey(b.view)))
      .map(({ view, reads }) => ({
        view: { schema: view.schema, table: view.table },
        unique: view.unique_index && view.populated,
        reads: new Set([...reads].flatMap((oid) => raw.names.get(oid) ?? []).map(tableKey)),
      }))
  )
}
