/** Entries that sweeps wrote while no bucket was configured: their objects are made once there is one. */
import { z } from 'zod'
import type { Database, Transaction } from '../../base/db/index.ts'
import { holdClaim, type Claim } from '../ledger/index.ts'
import { liveErasures } from './entries.ts'
import { addJournal } from './objects.ts'

/** Hashes in one object: about 700 kB. */
const PAGE = 10_000
/** Those of requests are journalled from the first; theirs have a variant. */
const LACKING = `NOT journalled AND variant = ''`

const scopeRow = z
  .object({
    id: z.string(),
    run_id: z.string(),
    store: z.string(),
    subject_kind: z.string(),
    map_version: z.string(),
    plan_hash: z.string(),
  })
  .transform((row) => ({
    id: row.id,
    runId: row.run_id,
    about: {
      store: row.store,
      subjectKind: row.subject_kind,
      mapVersion: row.map_version,
      planHash: row.plan_hash,
    },
  }))

/**
 * Whoever journals calls this first: from then on every entry of a sweep that stands is in an object, whenever it was written.
 * One scope a transaction; idempotent. Throws E_FENCED.
 */
export async function journalOlder(control: Database, claim: Claim): Promise<void> {
  for (;;) {
    const [row] = await control.query(
      z.object({ lacking: z.boolean() }),
      `SELECT EXISTS (SELECT FROM lethe_control.erasure_scopes WHERE ${LACKING}) AS lacking`,
    )
    if (row?.lacking !== true) return
    await control.transaction(async (tx) => {
      await holdClaim(tx, claim)
      await journalScope(tx)
    })
  }
}

async function journalScope(tx: Transaction): Promise<void> {
  const [scope] = await tx.query(
    scopeRow,
    `SELECT id, run_id, store, subject_kind, map_version, plan_hash FROM lethe_control.erasure_scopes
     WHERE ${LACKING} ORDER BY id LIMIT 1 FOR UPDATE`,
  )
  if (scope === undefined) return
  let after: Buffer | undefined
  for (;;) {
    const page = await liveErasures(tx, scope.id, {
      limit: PAGE,
      ...(after === undefined ? {} : { after }),
    })
    const newest = page.at(-1)
    if (newest === undefined) break
    after = newest.hash
    await addJournal(
      tx,
      scope.runId,
      [...Map.groupBy(page, ({ keyId }) => keyId)].map(([keyId, some]) => ({
        entry: 'erase',
        keyId,
        subjects: some.map(({ hash }) => hash.toString('hex')),
        ...scope.about,
      })),
    )
  }
  await tx.execute(`UPDATE lethe_control.erasure_scopes SET journalled = true WHERE id = $1`, [scope.id])
}
