/** Entries that sweeps wrote while no bucket was configured: their objects are made once there is one. */
import { z } from 'zod'
import type { Database, Transaction } from '../../base/db/index.ts'
import { holdClaim, type Claim } from '../ledger/index.ts'
import { objectsSql } from './objects.ts'

/** Hashes in one object: about 700 kB. */
const PAGE = 10_000
/** Those of requests have objects from the first; theirs have a variant. */
const LACKING = `NOT journalled AND variant = ''`

/**
 * From its return on every entry of a sweep that stands is in an object, whenever it was written. One scope a transaction;
 * idempotent. Throws E_FENCED.
 */
export async function addOlderObjects(control: Database, claim: Claim): Promise<void> {
  for (;;) {
    const [row] = await control.query(
      z.object({ lacking: z.boolean() }),
      `SELECT EXISTS (SELECT FROM lethe_control.erasure_scopes WHERE ${LACKING}) AS lacking`,
    )
    if (row?.lacking !== true) return
    await control.transaction(async (tx) => {
      await holdClaim(tx, claim)
      await addObjectsOfOneScope(tx)
    })
  }
}

async function addObjectsOfOneScope(tx: Transaction): Promise<void> {
  const [scope] = await tx.query(
    z.object({ id: z.string() }),
    `SELECT id FROM lethe_control.erasure_scopes WHERE ${LACKING} ORDER BY id LIMIT 1 FOR UPDATE`,
  )
  if (scope === undefined) return
  let after: Buffer | null = null
  do after = await addOneObject(tx, scope.id, after)
  while (after !== null)
  await tx.execute(`UPDATE lethe_control.erasure_scopes SET journalled = true WHERE id = $1`, [scope.id])
}

/** Returns the last hash of the page, null where nothing was left. */
async function addOneObject(tx: Transaction, scopeId: string, after: Buffer | null): Promise<Buffer | null> {
  const [page] = await tx.query(
    z.object({ newest: z.instanceof(Buffer).nullable() }),
    `WITH written AS (
       SELECT scope_id, entry, subject_hash, key_id, hash_version FROM (
         SELECT DISTINCT ON (subject_hash) scope_id, entry, subject_hash, key_id, hash_version FROM lethe_control.erasures
         WHERE scope_id = $1 AND ($2::bytea IS NULL OR subject_hash > $2)
         ORDER BY subject_hash, id DESC
       ) AS last WHERE entry = 'erase' ORDER BY subject_hash LIMIT ${PAGE}
     )${objectsSql.parts}
     SELECT (SELECT subject_hash FROM written ORDER BY subject_hash DESC LIMIT 1) AS newest, (SELECT count(*) FROM object)`,
    [scopeId, after],
  )
  return page?.newest ?? null
}
