/** The keys that the identity provider publishes. */
import { z } from 'zod'
import { canonicalHash, canonicalJson } from '../../base/canonical/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import type { OidcEntry } from './schema.ts'
import { publicKey } from './token.ts'

const TIMEOUT_MS = 5_000

export interface PublishedKey {
  /** SHA-256 (hex) of `jwk`. */
  thumbprint: string
  /** Canonical JSON of its public members. */
  jwk: string
}

/** Throws E_ISSUER_UNAVAILABLE, and E_CONFIG for what is published in another issuer's name. */
export async function fetchIssuerKeys(settings: OidcEntry): Promise<PublishedKey[]> {
  const address = settings.jwks_uri ?? (await discover(settings.issuer))
  const body = z.object({ keys: z.array(z.unknown()) }).safeParse(await getJson(address, 'its keys'))
  if (!body.success) throw unavailable('its keys')
  const keys = body.data.keys.flatMap((key) => {
    const parsed = publicKey.safeParse(key)
    return parsed.success ? [parsed.data] : []
  })
  return keys.map((key) => ({ thumbprint: canonicalHash(key), jwk: canonicalJson(key) }))
}

async function discover(issuer: string): Promise<string> {
  const address = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const body = await getJson(address, 'its configuration')
  const parsed = z.looseObject({ issuer: z.string(), jwks_uri: z.url() }).safeParse(body)
  // An answer in another issuer's name would let its keys sign for this one.
  if (parsed.success && parsed.data.issuer === issuer) return parsed.data.jwks_uri
  throw new LetheError('E_CONFIG', {
    message: 'What the identity provider publishes does not name oidc.issuer as its issuer.',
    next: 'Set oidc.issuer to exactly the issuer that its openid-configuration names.',
  })
}

async function getJson(address: string, what: string): Promise<unknown> {
  try {
    const response = await fetch(address, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'error' })
    if (!response.ok) throw unavailable(`${what} (HTTP ${response.status})`)
    return await response.json()
  } catch (error) {
    throw error instanceof LetheError ? error : unavailable(what)
  }
}

function unavailable(what: string): LetheError {
  return new LetheError('E_ISSUER_UNAVAILABLE', {
    message: `The identity provider (oidc.issuer) did not give ${what}.`,
  })
}
