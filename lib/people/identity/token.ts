/** What an ID token and a public key say about themselves, read without checking anything: which keys are to be tried. */
import { z } from 'zod'
import { readJson } from '../../base/canonical/index.ts'

/** A key that the issuer no longer publishes verifies what was issued until a day after it was last seen. */
const WITHDRAWN_MS = 86_400_000

/** Members that a public key has; anything else, such as a secret by mistake, is left where it is. */
export const publicKey = z.object({
  kty: z.enum(['RSA', 'EC', 'OKP']),
  kid: z.string().exactOptional(),
  alg: z.string().exactOptional(),
  use: z.string().exactOptional(),
  crv: z.string().exactOptional(),
  n: z.string().exactOptional(),
  e: z.string().exactOptional(),
  x: z.string().exactOptional(),
  y: z.string().exactOptional(),
})
export type PublicKey = z.infer<typeof publicKey>

/** A key of the issuer (canonical JSON), and when it was last among those that the issuer publishes. */
export interface SeenKey {
  jwk: string
  lastSeen: Date
}

/** Null where it is none. */
export function readPublicKey(jwk: string): PublicKey | null {
  return publicKey.safeParse(readJson(jwk)).data ?? null
}

const head = z.object({ kid: z.string().optional() })
const body = z.object({ iat: z.number() })

/** Null where it is no token. */
export function readToken(token: string): { kid: string | undefined; issuedAt: Date } | null {
  const [header = '', payload = ''] = token.trim().split('.')
  const read = (part: string) => readJson(Buffer.from(part, 'base64url').toString())
  const [first, second] = [head.safeParse(read(header)), body.safeParse(read(payload))]
  if (!first.success || !second.success) return null
  return { kid: first.data.kid, issuedAt: new Date(second.data.iat * 1000) }
}

/** Of the keys seen, those that this token may be signed with. */
export function keysFor<K extends SeenKey>(token: string, keys: readonly K[]): K[] {
  const named = readToken(token)
  return keys.filter(({ jwk, lastSeen }) => {
    const key = readPublicKey(jwk)
    if (named === null || key === null) return false
    const still = named.issuedAt.getTime() <= lastSeen.getTime() + WITHDRAWN_MS
    return still && (named.kid === undefined || key.kid === named.kid)
  })
}
