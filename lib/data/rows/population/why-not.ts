/** The guard of a batch, asked without one: for subjects who are handed to somebody else to erase. */
import { z } from 'zod'
import type { DeletionPlan, RootKey } from '../../deletion/index.ts'
import type { Database, Queryable } from '../../../base/db/index.ts'
import type { Guard } from '../batch/batch.ts'
import { firstReason, fullGuard, mergedCondition } from '../batch/guard.ts'
import { givenIsRoot, givenKeys, keyArrays, rootTable, shiftParameters } from '../batch/root-sql.ts'

/** One word a key, in their order; null: it may go. `gone`: its row isn't there; `merged`: it goes with another. */
export async function whyNot(
  db: Database,
  plan: DeletionPlan,
  guard: Guard,
  keys: readonly RootKey[],
): Promise<(string | null)[]> {
  const full = await fullGuard(db, plan, guard)
  const width = plan.key.length
  const rows = await db.transaction(
    async (tx) => {
      await tx.execute(`SELECT set_config('TimeZone', $1, true)`, [plan.timeZone])
      return tx.query(
        z.object({ place: z.coerce.number(), word: z.string().nullable() }),
        `SELECT given.ord AS place, ${shiftParameters(
          `CASE WHEN ${mergedCondition(plan)} THEN 'merged' WHEN (${full.due}) IS NOT TRUE THEN 'not-due' ELSE ${firstReason(full)} END`,
          width,
        )} AS word
         FROM ${givenKeys(plan)} JOIN ${rootTable(plan)} root ON ${givenIsRoot(plan)}`,
        [...keyArrays(plan, keys), ...full.values],
      )
    },
    { readOnly: true, retry: true },
  )
  const found = keys.map((): string | null => 'gone')
  for (const { place, word } of rows) found[place - 1] = word
  return found
}

/** Roots that no batch of this population takes any more, each with the reason that the report counts it under. */
export async function markPopulation(
  db: Queryable,
  proposalId: string,
  marks: readonly { ordinal: bigint; reason: string }[],
): Promise<void> {
  await db.execute(
    `UPDATE lethe.population p SET state = 'skipped', reason = m.reason
     FROM unnest($2::bigint[], $3::text[]) AS m(ordinal, reason) WHERE p.proposal_id = $1 AND p.ordinal = m.ordinal`,
    [proposalId, marks.map(({ ordinal }) => ordinal.toString()), marks.map(({ reason }) => reason)],
  )
}
