/** Signed receipts, one a request. */
import { z } from 'zod'
import { prepared, type Queryable } from '../../base/db/index.ts'
import { eventsJson, eventsSql } from '../evidence/index.ts'
import { fenced, heldRun, type Claim } from '../ledger/index.ts'

/** `hash`: SHA-256 of the receipt's canonical JSON, recorded as evidence. Throws E_FENCED. */
export async function storeReceipts(
  control: Queryable,
  claim: Claim,
  receipts: readonly { requestId: string; text: string; hash: string }[],
): Promise<void> {
  const [row] = await control.query(
    z.object({ held: z.boolean() }),
    prepared(`WITH held AS (
       ${heldRun('$1', '$2')}
     ), written AS (
       INSERT INTO lethe_control.erasure_receipts (request_id, receipt)
       SELECT g.id, g.text FROM unnest($3::uuid[], $4::text[]) AS g(id, text) WHERE EXISTS (SELECT FROM held)
       ON CONFLICT (request_id) DO UPDATE SET receipt = EXCLUDED.receipt
     ), noted AS (
       ${eventsSql('held', '$5')}
     )
     SELECT EXISTS (SELECT FROM held) AS held`),
    [
      claim.id,
      claim.fence.toString(),
      receipts.map(({ requestId }) => requestId),
      receipts.map(({ text }) => text),
      eventsJson(
        receipts.map(({ requestId, hash }) => ({
          type: 'receipt.issued',
          actor: 'lethe',
          data: { request: requestId, receipt: hash },
        })),
      ),
    ],
  )
  if (row?.held !== true) throw fenced(claim)
}

/** Null: there is none. */
export async function receiptOf(db: Queryable, requestId: string): Promise<string | null> {
  const [row] = z.uuid().safeParse(requestId).success
    ? await db.query(
        z.object({ receipt: z.string() }),
        `SELECT receipt FROM lethe_control.erasure_receipts WHERE request_id = $1`,
        [requestId],
      )
    : []
  return row?.receipt ?? null
}
