/** Erasure requests of the people in a retention house, as its application asks for them and workers carry them on. */
import { z } from 'zod'
import { ensureCascade, readReceipt } from '../../../jobs/erasure/index.ts'
import { logKeys, verifierKeys } from '../../../lib/record/evidence/index.ts'
import { verifyReceipt, type Receipt } from '../../../lib/record/receipt/index.ts'
import type { RetentionHouse } from './retention-house.ts'

/** Asks in the application's own transaction, and works until nothing moves; the requests' ids. */
export async function askFor(house: RetentionHouse, ...keys: number[]): Promise<string[]> {
  const rows = await house.app.query(
    z.object({ id: z.string() }),
    `SELECT lethe.request_erasure('person', ARRAY[key], kind => 'article-17', identity => 'signed-in-session') AS id
     FROM unnest($1::text[]) AS key`,
    [keys.map(String)],
  )
  await carryOn(house)
  return rows.map(({ id }) => id)
}

export async function carryOn(house: RetentionHouse): Promise<void> {
  await ensureCascade(house.context, 'person')
  await house.work()
}

/** What waits is due now. */
export async function carryOnLater(house: RetentionHouse): Promise<void> {
  for (const table of ['erasure_legs', 'erasure_requests'])
    await house.control.execute(
      `UPDATE lethe_control.${table} SET next_at = clock_timestamp() WHERE next_at < 'infinity'`,
    )
  await carryOn(house)
}

/** Verified. */
export async function receiptOf(house: RetentionHouse, id: string): Promise<Receipt> {
  const keys = verifierKeys(logKeys('lethe', house.context.keystore, null))
  return verifyReceipt(await readReceipt(house.context, id), keys).receipt
}
