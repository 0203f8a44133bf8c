/**
 * OpenID Connect ID tokens: who someone is, proven by the organisation's own identity provider for one statement, whose hash
 * is the token's nonce. A token therefore proves one decision and can't be used for another.
 */
import { hash } from 'node:crypto'
import { createLocalJWKSet, errors, jwtVerify, type JWTPayload } from 'jose'
import { z } from 'zod'
import { LetheError } from '../../base/errors/index.ts'
import type { Identity } from './identity.ts'
import type { OidcEntry, People } from './schema.ts'
import { parseStatement, STATEMENT_MINUTES } from './statement.ts'
import { keysFor, readPublicKey, readToken, type SeenKey } from './token.ts'

/** Between the issuer's clock and the control database's. */
const TOLERANCE_SECONDS = 60
/** Signatures by a key pair only: with a shared secret, whoever can check a token can make one. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']

const claims = z.looseObject({
  sub: z.string().min(1),
  iat: z.number(),
  nonce: z.string(),
  auth_time: z.number().optional(),
  amr: z.array(z.string()).optional(),
})

export interface Offered {
  token: string
  /** The statement that the token was made for. */
  statement: string
  /** The control database's clock, at the decision. Absent: it was made before; the token is checked as of its issue. */
  now?: Date
}

/** Throws E_TOKEN_INVALID, E_IDENTITY_UNKNOWN, E_CONFIG_MISSING, E_STATEMENT_MISMATCH. */
export async function verifyOidc(
  { token, statement, now }: Offered,
  { identities, oidc: settings }: Pick<People, 'identities' | 'oidc'>,
  keys: readonly SeenKey[],
): Promise<Identity> {
  if (settings === undefined)
    throw new LetheError('E_CONFIG_MISSING', {
      message: 'A token proves who decided, and the configuration has no key oidc: { issuer, audience }.',
    })
  const at = now ?? readToken(token)?.issuedAt ?? new Date(0)
  const payload = claims.safeParse(await verifiedPayload(token, settings, keysFor(token, keys), at))
  if (!payload.success)
    throw invalid(
      `a claim is missing (${payload.error.issues.map((issue) => issue.path.join('.')).join(', ')})`,
    )
  checkBinding(payload.data, statement)
  checkAge(payload.data, settings, at)
  const found = Object.entries(identities).find(([, entry]) => entry.oidc_subjects.includes(payload.data.sub))
  if (found === undefined)
    throw new LetheError('E_IDENTITY_UNKNOWN', {
      message: 'The subject of the token belongs to no identity in the configuration.',
    })
  const [name, entry] = found
  const factors = payload.data.amr ?? []
  return {
    name,
    roles: entry.roles,
    method: 'oidc',
    secondFactor: settings.second_factor_amr.some((factor) => factors.includes(factor)),
  }
}

async function verifiedPayload(
  token: string,
  settings: OidcEntry,
  keys: readonly SeenKey[],
  at: Date,
): Promise<JWTPayload> {
  const options = {
    issuer: settings.issuer,
    audience: settings.audience,
    algorithms,
    requiredClaims: ['exp', 'iat', 'sub', 'nonce'],
    currentDate: at,
    clockTolerance: TOLERANCE_SECONDS,
  }
  let failed = invalid('its key is none that the issuer publishes')
  for (const { jwk } of keys) {
    const key = readPublicKey(jwk)
    if (key === null) continue
    try {
      return (await jwtVerify(token.trim(), createLocalJWKSet({ keys: [key] }), options)).payload
    } catch (error) {
      if (error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired)
        throw invalid(`its claim ${error.claim} does not hold`)
      if (!(error instanceof errors.JOSEError)) throw error
      failed = invalid(error.code)
    }
  }
  throw failed
}

/** Made for this statement, after it was written and before it ran out. */
function checkBinding(payload: z.infer<typeof claims>, statement: string): void {
  if (payload.nonce !== hash('sha256', statement))
    throw invalid(
      'its nonce is not the hash of this statement',
      'Sign in with the nonce that --print-statement gives.',
    )
  const after = payload.iat - parseStatement(statement).at.getTime() / 1000
  if (after < -TOLERANCE_SECONDS || after > STATEMENT_MINUTES * 60 + TOLERANCE_SECONDS)
    throw invalid(
      `it was issued ${Math.round(after)} s after the statement; ${STATEMENT_MINUTES} minutes are allowed`,
    )
}

/** A long session at the identity provider is no proof that the person is there now. */
function checkAge(payload: z.infer<typeof claims>, settings: OidcEntry, now: Date): void {
  const age = now.getTime() / 1000 - (payload.auth_time ?? payload.iat)
  if (age > settings.max_age_seconds + TOLERANCE_SECONDS)
    throw invalid(
      `the sign-in is ${Math.round(age)} s old, ${settings.max_age_seconds} s are allowed`,
      'Sign in again and take a fresh token.',
    )
  if (age < -TOLERANCE_SECONDS) throw invalid('it was issued in the future')
}

function invalid(why: string, next?: string): LetheError {
  return new LetheError('E_TOKEN_INVALID', {
    message: `The token does not prove who you are: ${why}.`,
    ...(next === undefined ? {} : { next }),
  })
}
