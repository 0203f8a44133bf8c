/** The issuer's public keys, kept by the worker: what a decision was proved with is verified after they were rotated too. */
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import type { Keystore } from '../../base/keystore/index.ts'

export interface IssuerKey {
  thumbprint: string
  /** Canonical JSON. */
  jwk: string
  lastSeen: Date
}

/** Notes the keys as published now, by the control database's clock. Idempotent. */
export async function keepIssuerKeys(
  control: Queryable,
  keystore: Keystore,
  issuer: string,
  keys: readonly Pick<IssuerKey, 'thumbprint' | 'jwk'>[],
): Promise<void> {
  for (const { thumbprint, jwk } of keys)
    await control.execute(
      `INSERT INTO lethe_control.issuer_keys (issuer, thumbprint, jwk, mark, key_id) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (issuer, thumbprint) DO UPDATE SET jwk = EXCLUDED.jwk, mark = EXCLUDED.mark, key_id = EXCLUDED.key_id,
         last_seen = clock_timestamp()`,
      [issuer, thumbprint, jwk, markOf(keystore, issuer, jwk), keystore.currentKeyId],
    )
}

/** Those with the keystore's mark: a row that somebody wrote by SQL alone is none of them. */
export async function keptIssuerKeys(
  control: Queryable,
  keystore: Keystore,
  issuer: string,
): Promise<IssuerKey[]> {
  const rows = await control.query(
    z.object({
      thumbprint: z.string(),
      jwk: z.string(),
      mark: z.instanceof(Buffer),
      keyId: z.string(),
      lastSeen: z.date(),
    }),
    `SELECT thumbprint, jwk, mark, key_id AS "keyId", last_seen AS "lastSeen" FROM lethe_control.issuer_keys
     WHERE issuer = $1 ORDER BY last_seen DESC`,
    [issuer],
  )
  return rows.filter(
    ({ jwk, mark, keyId }) => keystore.knows(keyId) && mark.equals(markOf(keystore, issuer, jwk, keyId)),
  )
}

/** No store has an address for its name: the mark is nobody's subject. */
function markOf(keystore: Keystore, issuer: string, jwk: string, keyId?: string): Buffer {
  return keystore.subjectHash(issuer, 'issuer-key', [jwk], keyId)
}
