/** Small databases, maps and a plain loop that runs a plan as the executor does, for the planner's tests. */
import { z } from 'zod'
import {
  checkMap,
  planDeletion,
  type DeletionPlan,
  type PlanTarget,
} from '../../../lib/data/deletion/index.ts'
import { openDatabase, type Database, type Queryable } from '../../../lib/base/db/index.ts'
import { freshDatabase } from '../servers/shared.ts'
import { loadCatalogue, mapShape, type Catalogue, type DataMap } from '../../../lib/data/datamap/index.ts'
import { storeSchema } from '../../../lib/data/erasers/index.ts'

export interface Playground {
  db: Database
  /** Runs the script in a schema of its own, first on the search path; returns the schema's name. */
  schema(script: string): Promise<string>
  close(): Promise<void>
}

export async function playground(): Promise<Playground> {
  const database = await freshDatabase()
  const db = openDatabase(database.url, { name: 'test', applicationName: 'lethe test', max: 2 })
  let count = 0
  return {
    db,
    async schema(script) {
      count += 1
      const schema = `s${count}`
      await db.transaction(async (tx) => {
        await tx.execute(`CREATE SCHEMA ${schema}`)
        await tx.execute(`SET LOCAL search_path = ${schema}`)
        await tx.client.query(script)
      })
      return schema
    },
    async close() {
      await db.close()
      await database.drop()
    },
  }
}

type Entry = Record<string, unknown>

export interface MapShape {
  schema: string
  catalogue: Catalogue
  /** By table name without its schema; `columns` is filled in from the catalogue where absent, `to` may lack the schema. */
  tables: Record<string, Entry>
  subject?: Entry
  subjects?: Record<string, Entry>
  store?: Entry
  accept?: readonly { finding: string; reason: string }[]
}

/** Findings on who owns a row. */
const ownership = new Set<string>(['several-owners', 'ambiguous-owner'])

/** A valid map of store `test`, subject `person` on table `people`. */
export function mapOf({ schema, catalogue, tables, subject, subjects, store, accept }: MapShape): DataMap {
  const qualified = (name: string) => (name.includes('.') ? name : `${schema}.${name}`)
  return z.strictObject(mapShape(storeSchema)).parse({
    stores: { test: { kind: 'postgres', url: 'env:TEST_URL', schemas: [...catalogue.schemas], ...store } },
    subjects: subjects ?? { person: { store: 'test', root: qualified('people'), ...subject } },
    tables: {
      test: Object.fromEntries(
        Object.entries(tables).map(([name, entry]) => {
          const edges = z.array(z.looseObject({ to: z.string() })).parse(entry['edges'] ?? [])
          return [
            qualified(name),
            {
              action: 'delete',
              columns: { none: [...(catalogue.tables.get(qualified(name))?.columns.keys() ?? [])] },
              ...entry,
              edges: edges.map((edge) => ({ ...edge, to: qualified(edge.to) })),
            },
          ]
        }),
      ),
    },
    accept: accept ?? [],
  })
}

/** Plans on the live catalogue of one schema. Rows of several owners are accepted: tests of findings say which those are. */
export async function planFor(
  db: Database,
  shape: Omit<MapShape, 'catalogue'>,
  target: PlanTarget = { subject: 'person' },
): Promise<DeletionPlan> {
  const catalogue = await loadCatalogue(db, [shape.schema])
  const given = shape.accept ?? []
  const several = checkMap(mapOf({ ...shape, catalogue }), 'test', catalogue)
    .filter(({ kind, accepted }) => accepted === null && ownership.has(kind))
    .map(({ id }) => ({ finding: id, reason: 'drawn so' }))
  return planDeletion(
    mapOf({ ...shape, catalogue, accept: [...given, ...several] }),
    'test',
    target,
    catalogue,
  )
}

const keys = z.record(z.string(), z.string().nullable())

/**
 * Every step in order in one transaction, keys as text arrays. With `piece`, statements that can go in pieces of that
 * many rows do. Returns rows touched by step id.
 */
export async function runPlan(
  db: Database,
  plan: DeletionPlan,
  roots: readonly (readonly string[])[],
  piece?: number,
): Promise<Record<string, number>> {
  return db.transaction(async (tx) => {
    await tx.execute(`SET LOCAL lethe.pseudonym_key = 'test key'`)
    return runSteps(tx, plan, roots, piece)
  })
}

async function runSteps(
  tx: Queryable,
  plan: DeletionPlan,
  roots: readonly (readonly string[])[],
  piece: number | undefined,
): Promise<Record<string, number>> {
  const arrays = plan.key.map((_, place) => roots.map((key) => key[place] ?? ''))
  const collected = new Map<string, string[][]>()
  const touched: Record<string, number> = {}
  for (const step of plan.steps) {
    const values = [...arrays, ...step.collected.flatMap((id) => collected.get(id) ?? [])]
    if (step.kind === 'collect') {
      const rows = await tx.query(keys, step.sql, values)
      collected.set(
        step.id,
        (step.returns ?? []).map((_, place) => rows.map((row) => row[`k${place + 1}`] ?? '')),
      )
      touched[step.id] = rows.length
    } else if (piece !== undefined && step.pieceSql !== undefined) {
      let total = 0
      for (let count = -1; count !== 0; total += count)
        count = await tx.execute(step.pieceSql, [...values, piece])
      touched[step.id] = total
    } else touched[step.id] = await tx.execute(step.sql, step.bare === true ? [] : values)
  }
  return touched
}

/** Rows of a table as JSON texts, sorted. */
export async function rowsOf(db: Queryable, table: string): Promise<string[]> {
  const rows = await db.query(
    z.object({ row: z.string() }),
    `SELECT to_jsonb(t)::text AS row FROM ${table} t ORDER BY 1`,
  )
  return rows.map(({ row }) => row)
}

/** One column of a table as texts, sorted. */
export async function column(db: Queryable, table: string, name: string): Promise<(string | null)[]> {
  const rows = await db.query(
    z.object({ v: z.string().nullable() }),
    `SELECT ${name}::text AS v FROM ${table} ORDER BY 1`,
  )
  return rows.map(({ v }) => v)
}
