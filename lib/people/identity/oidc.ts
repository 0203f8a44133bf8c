/**
 * OpenID Connect tokens: who someone is, proven by the organisation's own identity provider a few minutes ago. The token
 * is checked against the issuer's published keys, by the control database's clock.
 */
import { createRemoteJWKSet, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import { z } from 'zod'
import { LetheError } from '../../base/errors/index.ts'
import type { Identity } from './identity.ts'
import type { IdentityEntry, OidcEntry } from './schema.ts'

const TIMEOUT_MS = 5_000
/** Between the issuer's clock and the control database's. */
const TOLERANCE_SECONDS = 60
/** Signatures by a key pair only: with a shared secret, whoever can check a token can make one. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']

const claims = z.looseObject({
  sub: z.string().min(1),
  iat: z.number(),
  auth_time: z.number().optional(),
  amr: z.array(z.string()).optional(),
})

/** `now`: the control database's clock. Throws E_TOKEN_INVALID, E_IDENTITY_UNKNOWN, E_ISSUER_UNAVAILABLE, E_CONFIG_MISSING. */
export async function verifyOidc(
  token: string,
  settings: OidcEntry | undefined,
  identities: Readonly<Record<string, IdentityEntry>>,
  now: Date,
): Promise<Identity> {
  if (settings === undefined)
    throw new LetheError('E_CONFIG_MISSING', {
      message: 'A token was given, and the configuration has no key oidc: { issuer, audience }.',
    })
  const payload = claims.safeParse(await verifiedPayload(token, settings, now))
  if (!payload.success)
    throw invalid(
      `a claim is missing (${payload.error.issues.map((issue) => issue.path.join('.')).join(', ')})`,
    )
  checkAge(payload.data, settings, now)
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

async function verifiedPayload(token: string, settings: OidcEntry, now: Date): Promise<JWTPayload> {
  const keys = createRemoteJWKSet(new URL(settings.jwks_uri ?? (await discover(settings.issuer))), {
    timeoutDuration: TIMEOUT_MS,
  })
  try {
    const { payload } = await jwtVerify(token.trim(), answering(keys), {
      issuer: settings.issuer,
      audience: settings.audience,
      algorithms,
      requiredClaims: ['exp', 'iat', 'sub'],
      currentDate: now,
      clockTolerance: TOLERANCE_SECONDS,
    })
    return payload
  } catch (error) {
    if (error instanceof LetheError) throw error
    if (error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired)
      throw invalid(`its claim ${error.claim} does not hold`)
    if (error instanceof errors.JOSEError) throw invalid(error.code)
    throw error
  }
}

/** Keys that can't be fetched are the issuer's failure; a key that isn't among them is the token's. */
function answering(keys: JWTVerifyGetKey): JWTVerifyGetKey {
  return async (header, token) => {
    try {
      return await keys(header, token)
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
        throw error
      throw unavailable('its keys')
    }
  }
}

async function discover(issuer: string): Promise<string> {
  const address = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  let body: unknown
  try {
    const response = await fetch(address, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'error' })
    if (!response.ok) throw unavailable(`its configuration (HTTP ${response.status})`)
    body = await response.json()
  } catch (error) {
    throw error instanceof LetheError ? error : unavailable('its configuration')
  }
  const parsed = z.looseObject({ issuer: z.string(), jwks_uri: z.url() }).safeParse(body)
  // An answer in another issuer's name would let its keys sign for this one.
  if (parsed.success && parsed.data.issuer === issuer) return parsed.data.jwks_uri
  throw new LetheError('E_CONFIG', {
    message: 'What the identity provider publishes does not name oidc.issuer as its issuer.',
    next: 'Set oidc.issuer to exactly the issuer that its openid-configuration names.',
  })
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

function unavailable(what: string): LetheError {
  return new LetheError('E_ISSUER_UNAVAILABLE', {
    message: `The identity provider (oidc.issuer) did not give ${what}.`,
  })
}
