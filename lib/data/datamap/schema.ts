/**
 * The data map as people write it: the `stores`, `subjects`, `tables` and `accept` keys of lethe.yaml. What a key means
 * to a reader stands in its description, which the published JSON Schema (lethe.schema.json) carries to editors.
 */
import { z } from 'zod'
import { nameSchema as name, secretSchema as secret, storeNamed } from '../../base/settings/index.ts'
import { column, sql, table } from './schema-parts.ts'

export const categories = [
  'none',
  'identity',
  'contact',
  'health',
  'financial',
  'behaviour',
  'credentials',
  'free-text',
] as const

const lawfulBasis = z.strictObject({
  article6: z.enum(['a', 'b', 'c', 'd', 'e', 'f']),
  article9: z.enum(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']).optional(),
})

/** The one kind of store that the planner knows; the erasers declare all others. */
export const postgresSchema = z.strictObject({
  kind: z.literal('postgres'),
  url: secret.describe('where the connection address stands'),
  schemas: z
    .array(z.string().min(1))
    .min(1)
    .default(['public'])
    .describe('every table in these schemas must be classified'),
  time_zone: z
    .string()
    .optional()
    .describe(
      'the zone in which every expression of the map reads timestamps without one; needed if a clock uses such a column',
    ),
  large_table_rows: z
    .number()
    .int()
    .positive()
    .default(100_000)
    .describe('from this estimate on, a foreign key on the path needs an index'),
  location: z.string().optional().describe('Where the data is: a country or a region, for receipts.'),
})

const cell = z.union([z.string(), z.number(), z.boolean(), z.null()])
const access = z.strictObject({
  set: z
    .array(
      z.strictObject({
        table: table.describe("in the subject's own store"),
        where: sql.describe('SQL over the row (alias t) and the subject (alias root)'),
        columns: z
          .record(column, cell)
          .describe('what the columns become; a cancel gives back what stood there'),
      }),
    )
    .default([]),
  delete: z
    .array(
      z.strictObject({
        table,
        where: sql.describe('sessions and tokens: SQL over the row (alias t) and the subject (alias root)'),
      }),
    )
    .default([]),
  stores: z
    .array(name)
    .default([])
    .describe('of other_stores: emptied of the subject at once, such as a Redis with its sessions'),
})

const tombstone = z.strictObject({
  table: table.describe("an append-only table of the subject's own store"),
  columns: z
    .record(column, sql)
    .refine((columns) => Object.keys(columns).length > 0, 'names no column')
    .describe('SQL for each column, over the subject (alias subject: a row that has nothing but its key)'),
  once: sql.describe(
    'SQL over the row (alias t) and the subject (alias subject): true for the tombstone that is there already',
  ),
})

const subject = z.strictObject({
  store: name,
  root: table.describe('the table whose rows are the data subjects'),
  key: z.array(column).min(1).optional().describe('default: the primary key'),
  tenant: column.optional().describe('column of the root that names the tenant'),
  alias: column
    .optional()
    .describe('column of the root naming the row this one was merged into: the same data subject'),
  contact: sql.optional().describe('SQL over the root (alias root) giving the address for warnings'),
  identifiers: z
    .record(
      column,
      z.strictObject({
        sql: sql.describe(
          'SQL over the root (alias root) giving text, or an array of it: root.email, or ARRAY(SELECT d.file_key FROM …)',
        ),
        unique: z
          .boolean()
          .default(false)
          .describe(
            'leads to one person: requests may be made by it, and it is searched for in free text afterwards',
          ),
        owners: sql
          .optional()
          .describe(
            'SQL over wanted.value giving an array of the keys that have this value too, found by an index: ARRAY(SELECT d.person_id FROM documents d WHERE d.file_key = wanted.value)',
          ),
      }),
    )
    .default({})
    .describe("what leads to the subject in other stores; the key's columns are there by their own names"),
  holds: z
    .array(z.strictObject({ name, sql }))
    .default([])
    .describe(
      "the application's own legal holds: SQL conditions over the root (alias root) under which it stays",
    ),
  access: access.prefault({}).describe('what is done at once so that nobody signs in as this person'),
  tombstones: z
    .array(tombstone)
    .default([])
    .describe(
      'for event tables whose payload goes by crypto-shredding: a row inserted once the keys are shredded',
    ),
  other_stores: z
    .array(
      z.union([
        name,
        z.strictObject({
          store: name,
          subject: name.describe('for a postgres store: the kind of subject that its rows belong to'),
          key: z
            .array(z.string().min(1))
            .min(1)
            .describe('templates of its key, such as {id}; each combination of values is one row'),
        }),
      ]),
    )
    .default([])
    .describe('every other place that holds something of the subject'),
})

const edge = z.strictObject({
  kind: z.enum(['owned', 'authored', 'shared', 'reference']),
  to: table.describe('the table one step nearer to the subject'),
  columns: z.array(column).min(1).describe('columns of the side that points'),
  references: z
    .array(column)
    .min(1)
    .optional()
    .describe('columns of the side pointed to; default: its primary key'),
  side: z.enum(['child', 'parent']).default('child').describe('parent: `to` points at this table'),
  when: z
    .strictObject({ column, equals: z.string() })
    .optional()
    .describe('the other half of a polymorphic pair'),
  then: z
    .union([
      z.enum(['keep', 'null']),
      z.strictObject({
        null: z
          .array(column)
          .min(1)
          .describe('of several columns, those that name the row: a shared tenant stays'),
      }),
      z.strictObject({ repoint: z.array(z.string()).min(1) }),
    ])
    .optional()
    .describe(
      'authored, shared and reference edges: what happens to the pointing columns (default keep; shared: null)',
    ),
})

/** What a pseudonymised column becomes: a fixed text, null, a keyed hash of what stood there, or an SQL expression over the row (alias t). */
const replacement = z.union([
  z.strictObject({ set: z.union([z.string(), z.number(), z.boolean(), z.null()]) }),
  z.strictObject({ hash: z.literal(true) }),
  z.strictObject({ sql }),
])

const tableEntry = z
  .strictObject({
    columns: z
      .partialRecord(z.enum(categories), z.array(column))
      .describe('every column, once, under its category'),
    edges: z.array(edge).default([]),
    action: z.enum(['delete', 'pseudonymise', 'retain', 'ignore']),
    pseudonymise: z
      .record(column, replacement)
      .optional()
      .describe('for action pseudonymise, for retained rows, and for a root that must stay'),
    retain: z
      .strictObject({
        ground: z.string().min(3),
        until: sql.describe(
          'SQL over the row (alias t) giving a timestamptz or date, or the word parent: as long as the row it belongs to',
        ),
      })
      .optional(),
    minimum: z
      .strictObject({
        ground: z.string().min(3),
        until: sql.describe(
          'SQL over the row (alias t): before this instant the whole subject waits; null: nobody knows it yet, and the subject waits',
        ),
        applies: sql
          .optional()
          .describe(
            'SQL condition over the row (alias t): where it is false, this minimum says nothing of the row',
          ),
      })
      .optional(),
    reason: z.string().min(3).optional().describe('for action ignore'),
    class: name.optional().describe('the class of records (erasure.classes) that requests are decided by'),
    purpose: z.string().optional(),
    lawful_basis: lawfulBasis.optional(),
    location: z.string().optional(),
  })
  .superRefine((entry, context) => {
    const demand = (ok: boolean, message: string) => {
      if (!ok) context.addIssue({ code: 'custom', message })
    }
    demand(entry.action !== 'ignore' || entry.reason !== undefined, 'action ignore needs a reason')
    demand(
      entry.action !== 'retain' || entry.retain !== undefined,
      'action retain needs retain: { ground, until }',
    )
    demand(
      entry.action !== 'pseudonymise' || entry.pseudonymise !== undefined,
      'action pseudonymise needs pseudonymise: { column: … }',
    )
  })

const acceptance = z.strictObject({
  finding: z.string().min(3).describe('the finding as `lethe datamap check` names it'),
  reason: z.string().min(3),
})

/** The map's keys, for a file in which `stores` are of these kinds. */
export function mapShape<S extends z.ZodType<{ kind: string }>>(store: S) {
  return {
    stores: z.record(name, store),
    subjects: z.record(name, subject),
    tables: z.record(name, z.record(table, tableEntry)).describe('by store, then by schema.table'),
    accept: z.array(acceptance).default([]),
  }
}

export interface DataMap {
  stores: Readonly<Record<string, PostgresStoreEntry | { kind: string }>>
  subjects: Record<string, SubjectEntry>
  tables: Record<string, Record<string, TableEntry>>
  accept: z.infer<typeof acceptance>[]
}
export type PostgresStoreEntry = z.infer<typeof postgresSchema>
export type SubjectEntry = z.infer<typeof subject>
export type TableEntry = z.infer<typeof tableEntry>
export type Edge = z.infer<typeof edge>
export type Replacement = z.infer<typeof replacement>
export { sql as sqlSchema, table as tableSchema, column as columnSchema }

/** Null where the map has no PostgreSQL store of this name. */
export function postgresStore(map: Pick<DataMap, 'stores'>, store: string): PostgresStoreEntry | null {
  const entry = storeNamed(map.stores, store)
  return entry !== null && isPostgres(entry) ? entry : null
}

function isPostgres(entry: { kind: string }): entry is PostgresStoreEntry {
  return entry.kind === 'postgres'
}
