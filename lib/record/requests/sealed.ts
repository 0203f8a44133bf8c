/**
 * What leads to the person, sealed by the keystore until the request ends: the key, identifiers collected before the rows that
 * held them went, the address for the answer, and what was changed to cut access. Kept nowhere else.
 */
import { z } from 'zod'
import { LetheError } from '../../base/errors/index.ts'
import { prepared, type Queryable } from '../../base/db/index.ts'
import type { Keystore } from '../../base/keystore/index.ts'
import type { ErasureRequest } from './request.ts'

const values = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
const secretsSchema = z.object({
  key: z.array(z.string()).min(1),
  /** The same as it was written in its row, or given: what other stores know the person by. */
  written: z.array(z.string()).optional(),
  /** The person's own key first, then those of rows merged into it. */
  keys: z.array(z.array(z.string())).optional(),
  identifiers: z.record(z.string(), z.array(z.string())).optional(),
  contact: z.string().nullable().optional(),
  /** Of these, what led to sessions that were ended with access: the rows that held them are gone. */
  ended: z.record(z.string(), z.array(z.string())).optional(),
  /** Rows whose columns were changed at the access cut, with what stood there. */
  access: z.array(z.object({ rule: z.number(), key: values, was: values })).optional(),
})
export type Secrets = z.infer<typeof secretsSchema>

/** Throws E_SEALED_GONE where it had expired, and what the keystore throws. */
export function openSecrets(keystore: Keystore, request: ErasureRequest): Secrets {
  if (request.sealed === null || request.sealedKeyId === null)
    throw new LetheError('E_SEALED_GONE', {
      message: `What leads to the person of request ${request.id} is not kept any more.`,
      facts: { request: request.id },
    })
  return secretsSchema.parse(JSON.parse(keystore.open(request.sealedKeyId, request.sealed).toString()))
}

/** Replaces what is sealed, and sets its expiry to `keep` from now. A request that has ended meanwhile keeps nothing. */
export async function sealSecrets(
  tx: Queryable,
  keystore: Keystore,
  secrets: readonly { requestId: string; secrets: Secrets }[],
  keep: string,
): Promise<void> {
  if (secrets.length === 0) return
  const sealed = secrets.map(({ secrets }) => keystore.seal(JSON.stringify(secrets)))
  await tx.execute(
    prepared(`UPDATE lethe_control.erasure_requests r SET sealed = g.cipher, sealed_key_id = g.key_id,
       sealed_until = clock_timestamp() + $4::interval
     FROM unnest($1::uuid[], $2::bytea[], $3::text[]) AS g(id, cipher, key_id) WHERE r.id = g.id AND r.finished_at IS NULL`),
    [
      secrets.map(({ requestId }) => requestId),
      sealed.map(({ cipher }) => cipher),
      sealed.map(({ keyId }) => keyId),
      keep,
    ],
  )
}

/** A leg is open still, so what leads to the person is kept on. */
export async function keepSealed(tx: Queryable, ids: readonly string[], keep: string): Promise<void> {
  if (ids.length === 0) return
  await tx.execute(
    prepared(`UPDATE lethe_control.erasure_requests SET sealed_until = clock_timestamp() + $2::interval
     WHERE id = ANY ($1::uuid[]) AND sealed IS NOT NULL AND sealed_until < clock_timestamp() + $2::interval / 2`),
    [ids, keep],
  )
}

/** Of requests that have ended. */
export async function forgetSealed(tx: Queryable, ids: readonly string[]): Promise<void> {
  await tx.execute(
    prepared(`UPDATE lethe_control.erasure_requests SET sealed = NULL, sealed_key_id = NULL, sealed_until = NULL
     WHERE id = ANY ($1::uuid[])`),
    [ids],
  )
}
