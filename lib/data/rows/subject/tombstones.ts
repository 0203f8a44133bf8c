/**
 * Tombstones: a row in an append-only table says that a person's events can't be read any more, once the key that sealed them
 * is shredded. The rows of the person are gone by then, so all that the map's SQL can ask about them is their key.
 */
import { parseTableName, sqlIdentifier, sqlTable, type SubjectEntry } from '../../datamap/index.ts'
import type { DeletionPlan, RootKey } from '../../deletion/index.ts'
import type { Queryable, Transaction } from '../../../base/db/index.ts'
import { LetheError } from '../../../base/errors/index.ts'
import { givenKeys, keyArrays, rootFromKey } from '../batch/root-sql.ts'

export type Tombstone = SubjectEntry['tombstones'][number]

/** Two workers that overlap write one after the other, so that the second sees what the first has written. */
const LOCK = `SELECT pg_advisory_xact_lock(hashtextextended('lethe tombstones', 0))`

/** One row a rule and key, and none where `once` says that it is there. Returns the rows written. Idempotent. */
export async function writeTombstones(
  tx: Transaction,
  plan: DeletionPlan,
  rules: readonly Tombstone[],
  keys: readonly RootKey[],
): Promise<number> {
  await tx.execute(LOCK)
  let written = 0
  for (const rule of rules) written += await tx.execute(insertSql(plan, rule), keyArrays(plan, keys))
  return written
}

/** Writes nothing. Throws what the statement itself would throw before it looks at a row: E_DATABASE, E_DATABASE_PRIVILEGE. */
export async function tryTombstone(db: Queryable, plan: DeletionPlan, rule: Tombstone): Promise<void> {
  await db.execute(`EXPLAIN ${insertSql(plan, rule)}`, keyArrays(plan, []))
}

function insertSql(plan: DeletionPlan, { table, columns, once }: Tombstone): string {
  const name = parseTableName(table)
  if (name === null)
    throw new LetheError('E_CONFIG', { message: `tombstones: "${table}" is not a table name.` })
  const into = sqlTable(name)
  return `INSERT INTO ${into} (${Object.keys(columns).map(sqlIdentifier).join(', ')})
    SELECT ${Object.values(columns)
      .map((sql) => `(${sql})`)
      .join(', ')}
    FROM ${givenKeys(plan)} CROSS JOIN LATERAL ${rootFromKey(plan)} AS subject
    WHERE NOT EXISTS (SELECT FROM ${into} t WHERE (${once}))`
}
