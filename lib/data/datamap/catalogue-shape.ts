/** What is read of a live database's catalogue. */
import type { z } from 'zod'
import type { KeyType } from './key-text.ts'
import type { TableKey, TableName } from './names.ts'

/** The one method of lib/base/db's Database that the loader needs. */
export interface CatalogueSource {
  query<T>(schema: z.ZodType<T>, text: string, values?: readonly unknown[]): Promise<T[]>
}

export interface Column {
  name: string
  /** As `format_type` prints it. */
  type: string
  notNull: boolean
  generated: boolean
  /** As a key's column: how its values become texts. */
  keyType: KeyType
}

export interface Index {
  columns: readonly string[]
  unique: boolean
  /** The predicate of a partial index, as `pg_get_expr` prints it. */
  predicate: string | null
}

export interface Trigger {
  name: string
  level: 'row' | 'statement'
  onDelete: boolean
  onUpdate: boolean
  function: string
}

export interface Rule {
  name: string
  event: 'update' | 'delete'
}

export interface CatalogueTable {
  name: TableName
  key: TableKey
  kind: 'table' | 'partitioned' | 'foreign'
  columns: ReadonlyMap<string, Column>
  primaryKey: readonly string[] | null
  /** Valid indexes on plain columns; leading columns first. */
  indexes: readonly Index[]
  /** Enabled triggers of users, without PostgreSQL's own for foreign keys. */
  triggers: readonly Trigger[]
  rules: readonly Rule[]
  rowSecurity: 'off' | 'on' | 'forced'
  owner: string
  /** Rows, partitions included; from statistics, or from the size where nothing was ever analysed. */
  estimate: number
  /** Whether other tables inherit from this one (not partitions). */
  hasChildren: boolean
  /** Whether it lies in the schemas the store declares; others are here only because a foreign key joins them. */
  inScope: boolean
}

export type ForeignKeyAction = 'no action' | 'restrict' | 'cascade' | 'set null' | 'set default'

export interface ForeignKey {
  name: string
  from: TableKey
  to: TableKey
  columns: readonly string[]
  references: readonly string[]
  onDelete: ForeignKeyAction
  deferrable: boolean
}

export interface MaterialisedView {
  view: TableName
  unique: boolean
  /** Tables it reads, directly or through other views. */
  reads: ReadonlySet<TableKey>
}

export interface Catalogue {
  schemas: readonly string[]
  tables: ReadonlyMap<TableKey, CatalogueTable>
  foreignKeys: readonly ForeignKey[]
  /** In the order in which they must be refreshed. */
  materialisedViews: readonly MaterialisedView[]
}
