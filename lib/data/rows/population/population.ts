/**
 * lethe.population: the approved roots that are left. The order in which a sweep takes them keeps heavy subjects from
 * starving the others: everything that fits one batch first, in the order of the approval; then what is too large for
 * one batch, smallest first, and of that what has begun before anything new; last what was locked.
 */
import { z } from 'zod'
import type { RootKey } from '../../deletion/index.ts'
import type { Queryable, Transaction } from '../../../base/db/index.ts'
import type { BatchOutcome } from '../batch/batch.ts'

export type Pass = 'light' | 'heavy' | 'locked'

export const rootStates = ['pending', 'locked', 'removing', 'erased', 'skipped', 'blocked'] as const

export interface PopulationRoot {
  ordinal: bigint
  key: RootKey
  weight: bigint
  state: (typeof rootStates)[number]
}

const populationRow = z
  .object({
    ordinal: z.coerce.bigint(),
    root_key: z.array(z.string()),
    weight: z.coerce.bigint(),
    state: z.enum(rootStates),
  })
  .transform((row): PopulationRoot => ({
    ordinal: row.ordinal,
    key: row.root_key,
    weight: row.weight,
    state: row.state,
  }))

const columns = 'ordinal, root_key, weight, state'
/** A weight of 0 means nobody counted: it passes for light. */
const wheres: Record<Pass, string> = {
  light: `state = 'pending' AND weight <= $2 AND ordinal > $3`,
  heavy: `(state = 'removing' OR (state IN ('pending', 'locked') AND weight > $2)) AND ordinal > $3`,
  locked: `state = 'locked' AND weight <= $2 AND ordinal > $3`,
}
const orders: Record<Pass, string> = {
  light: 'ordinal',
  heavy: `(state = 'removing') DESC, weight, ordinal`,
  locked: 'ordinal',
}

/** The next roots of a pass. `maxRows`: what one batch takes. The heavy pass ignores the cursor: ask with -1. */
export async function nextRoots(
  db: Queryable,
  proposalId: string,
  pass: Pass,
  options: { maxRows: number; after: bigint; limit: number },
): Promise<PopulationRoot[]> {
  return db.query(
    populationRow,
    `SELECT ${columns} FROM lethe.population WHERE proposal_id = $1 AND ${wheres[pass]} ORDER BY ${orders[pass]} LIMIT $4`,
    [proposalId, options.maxRows, options.after.toString(), options.limit],
  )
}

/**
 * What is left of a population, whatever its state, in pages: roots whose ledger entries, if they have any, must be
 * voided when the run ends. Those in state removing have lost rows already, and keep theirs.
 */
export async function remainingRoots(
  db: Queryable,
  proposalId: string,
  after: bigint,
  limit = 1000,
): Promise<PopulationRoot[]> {
  return db.query(
    populationRow,
    `SELECT ${columns} FROM lethe.population WHERE proposal_id = $1 AND state <> 'erased' AND ordinal > $2 ORDER BY ordinal LIMIT $3`,
    [proposalId, after.toString(), limit],
  )
}

/** How many are left, by state and reason. */
export async function populationStates(
  db: Queryable,
  proposalId: string,
): Promise<{ state: PopulationRoot['state']; reason: string | null; count: number }[]> {
  return db.query(
    z.object({
      state: z.enum(rootStates),
      reason: z.string().nullable(),
      count: z.coerce.number(),
    }),
    `SELECT state, reason, count(*) AS count FROM lethe.population WHERE proposal_id = $1
     GROUP BY state, reason ORDER BY state, reason`,
    [proposalId],
  )
}

/** The batch's outcome in the population, in the batch's transaction. */
export async function settlePopulation(
  tx: Transaction,
  proposalId: string,
  outcome: BatchOutcome,
): Promise<void> {
  if (outcome.done.length > 0)
    await tx.execute(
      `UPDATE lethe.population SET state = 'erased', reason = NULL WHERE proposal_id = $1 AND ordinal = ANY ($2::bigint[])`,
      [proposalId, outcome.done.map(String)],
    )
  const changes = [
    ...outcome.skipped.map((entry) => ({ ...entry, state: 'skipped' })),
    ...outcome.blocked.map((entry) => ({
      ordinal: entry.ordinal,
      reason: entry.constraint,
      state: 'blocked',
    })),
    ...outcome.locked.map((ordinal) => ({ ordinal, reason: null, state: 'locked' })),
    ...outcome.removing.map((ordinal) => ({ ordinal, reason: null, state: 'removing' })),
  ]
  if (changes.length === 0) return
  await tx.execute(
    `UPDATE lethe.population p SET state = c.state, reason = c.reason
     FROM unnest($2::bigint[], $3::text[], $4::text[]) AS c(ordinal, state, reason)
     WHERE p.proposal_id = $1 AND p.ordinal = c.ordinal`,
    [
      proposalId,
      changes.map((change) => change.ordinal.toString()),
      changes.map((change) => change.state),
      changes.map((change) => change.reason),
    ],
  )
}

/**
 * SQL that stores the rows of `due` (root_key, clock_at) as the population of proposal `$1`. Numbered in key order: neighbours
 * in the table go together, which halves the pages a batch touches. `weight` (SQL over `due`): the rows that go with a root, so
 * that a batch can be cut by rows.
 */
export function storeDue(weight: string): string {
  return `INSERT INTO lethe.population (proposal_id, ordinal, root_key, clock_at, weight)
       SELECT $1, row_number() OVER (ORDER BY length(root_key[1]), root_key), root_key, clock_at, ${weight} FROM due`
}

/** Its keys leave the target. Idempotent. */
export async function forgetPopulation(db: Queryable, proposalId: string): Promise<void> {
  await db.execute(`DELETE FROM lethe.population WHERE proposal_id = $1`, [proposalId])
}

/**
 * SHA-256 (hex) over the ordinals and keys of a population, made where the keys are. The same for as long as nobody writes
 * another population under the proposal; keys of who was read back are gone, so it is asked before anything is removed.
 */
export async function populationHash(db: Queryable, proposalId: string): Promise<string> {
  const [row] = await db.query(
    z.object({ hash: z.string() }),
    `SELECT encode(sha256(convert_to(coalesce(string_agg(ordinal || ' ' || to_json(root_key)::text, E'\\n' ORDER BY ordinal), ''), 'UTF8')), 'hex') AS hash
     FROM lethe.population WHERE proposal_id = $1`,
    [proposalId],
  )
  return row?.hash ?? ''
}
