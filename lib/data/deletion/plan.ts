/**
 * What the planner hands to an eraser: every table it reaches, why, and the statements in the order they must run.
 * A plan holds statement shapes and no data, so it can be printed, hashed and compared.
 */

import type { KeyType, TableName } from '../datamap/index.ts'

/** A column of a key, and how its values become texts. */
export interface KeyColumn extends KeyType {
  name: string
}

/** Values of a key, in the order of its columns, as the texts that keyText (datamap) makes: one for all values that are equal. */
export type RootKey = readonly string[]

/** lock: rows that stay and through which others are found, so that nobody moves them before the commit. */
export type StepKind =
  'collect' | 'lock' | 'detach' | 'pseudonymise' | 'delete' | 'root-delete' | 'root-pseudonymise'

/**
 * One statement. Parameters $1…$k are the root key's columns, each an array with one element a root (text arrays, cast
 * inside the statement); behind them come, in the order of `collected`, the arrays that earlier collect steps returned.
 */
export interface PlanStep {
  id: string
  kind: StepKind
  table: TableName
  /** Why the table is in the plan: the path of edges to the root, in words. */
  why: string
  /** Ids of the collect steps whose results this statement takes as further parameters (one text array a column). */
  collected: readonly string[]
  /** Collect steps only: the columns of the rows they return (as text, named k1, k2 …). */
  returns?: readonly KeyColumn[]
  /** The statement takes no parameters at all (SET CONSTRAINTS): send none, and run it again in each transaction. */
  bare?: true
  /**
   * In root-delete and root-pseudonymise the root's table has the alias `root`, and the statement ends with its WHERE
   * clause, without RETURNING: the executor appends ` RETURNING …` for the keys that it touched.
   */
  sql: string
  /**
   * The same statement bounded by one more parameter (rows at most), for a subject too large for one batch.
   * Repeat it until it reports zero rows, then go on to the next step. A step without it runs with the root in the last
   * transaction, and so does every step that must come after it: those have no pieceSql either. On a table that `walks`
   * lead from it returns `up`: JSON, for each of them in their order an array of texts, or null.
   */
  pieceSql?: string
}

/** From rows of one table to those they hang from. $1…: one text array a column; locks those rows and returns their own `up`. */
export interface Walk {
  /** Tables as `tableKey` writes them. */
  from: string
  to: string
  sql: string
}

export interface PlanTable {
  table: TableName
  action: 'delete' | 'pseudonymise' | 'retain' | 'detach'
  why: string
  /** Why its rows are retained, as the map says; null: no row is. */
  ground: string | null
  /** SQL condition: row `t` of this table stays although its root goes; null: none does. The statements carry the same. */
  stays: string | null
  /** SQL condition: row `t` is let go of and not removed, since another of its owners stays; null: no row has several. */
  released: string | null
  /** SQL scalar over row `t`: when the ground that retains it ends; null: no end of its own is known. */
  until: string | null
  /** Rows that stay are pseudonymised. */
  pseudonymised: boolean
  /**
   * SQL condition: row `t` of this table belongs to root row `root`. Both aliases stand free, so it can be put in an
   * EXISTS, a count or a LATERAL.
   */
  belongs: string
  /** Rows in this table at the catalogue's estimate. */
  estimate: number
}

/** A legal minimum on a table the plan reaches: while the condition holds for a root row (alias root), its subject waits whole. */
export interface Minimum {
  table: TableName
  ground: string
  condition: string
}

/** A hold of the application's own: SQL condition over root row `root`, under which its subject stays. */
export interface OwnHold {
  name: string
  sql: string
}

/** A kind of subject that may own rows of the plan: what is asked of its rows, and how they are found. */
export interface OwnerSearch {
  subject: string
  root: TableName
  key: readonly KeyColumn[]
  tenant: KeyColumn | null
  /** Every table but its root, with the condition that ties row `t` to its row `root`. */
  tables: readonly Pick<PlanTable, 'table' | 'belongs'>[]
  holds: readonly OwnHold[]
  /** SQL conditions over the plan's row `root`; between `before` and `after` comes one over the owner's row, called `root` there. */
  searches: readonly { before: string; after: string }[]
}

export interface DeletionPlan {
  store: string
  /** The subject's name in the map, or `table:schema.table` where a policy works on a table's own rows. */
  subject: string
  root: TableName
  key: readonly KeyColumn[]
  tenant: KeyColumn | null
  alias: string | null
  /**
   * Where an alias column exists: $1…$k as in a step; returns the keys (text, k1 …) of rows merged into the given ones,
   * transitively, without those given. A row merged into another is that one's part: take as heads only rows whose alias
   * column is null.
   */
  aliasSql: string | null
  /** TimeZone the executor sets in its transactions, so that timestamps without a zone mean what the map says. */
  timeZone: string
  /** Every table but the root. */
  tables: readonly PlanTable[]
  steps: readonly PlanStep[]
  /** What locks the rows through which a piece found its own; see PlanStep.pieceSql. */
  walks: readonly Walk[]
  minimums: readonly Minimum[]
  /** The application's own holds on this kind of subject. */
  holds: readonly OwnHold[]
  /** A hold on any other owner of a row that would go keeps the subject. */
  owners: readonly OwnerSearch[]
  /**
   * SQL condition over root row `root`: rows that must stay name it, so the root is pseudonymised and not deleted;
   * null where nothing can keep it. `keptUntil` is an SQL scalar over `root`: when the last ground ends (null: open).
   */
  keptCondition: string | null
  keptUntil: string | null
  /** Materialised views over the plan's tables, to refresh afterwards, in order; unique: can be refreshed concurrently. */
  materialisedViews: readonly { view: TableName; unique: boolean }[]
  /** What the plan knowingly doesn't reach: ignored tables with their reasons, other stores, accepted findings. */
  notCovered: readonly string[]
  /** SHA-256 (hex) of the map's canonical JSON, and of this plan's statements and key. */
  mapVersion: string
  hash: string
}

/** What `datamap check` found; `id` is what `accept` names. */
export interface Finding {
  id: string
  kind:
    | 'unclassified-table'
    | 'unclassified-column'
    | 'vanished-table'
    | 'vanished-column'
    | 'delete-trigger'
    | 'rule'
    | 'cascade-outside-plan'
    | 'nullable-path'
    | 'blocking-foreign-key'
    | 'unindexed-foreign-key'
    | 'unindexed-identifier'
    | 'unbreakable-cycle'
    | 'no-primary-key'
    | 'key-of-several-texts'
    | 'several-owners'
    | 'ambiguous-owner'
    | 'map-error'
  store: string
  on: string
  message: string
  mend: string
  /** The reason given in the map's `accept`, if it was accepted. */
  accepted: string | null
}
