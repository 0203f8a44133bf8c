import { generateKeyPair, SignJWT, type JWTPayload } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  attest,
  nonceFor,
  statementFor,
  type Attested,
  type People,
} from '../../../../../lib/people/identity/index.ts'
import { startIssuer, type Issuer } from '../../../../support/vendors/issuer.ts'

const at = new Date('2026-11-21T03:00:00.000Z')
const now = new Date('2026-11-21T03:00:05.000Z')
const seconds = now.getTime() / 1000
const decided = { verb: 'policy.arm' as const, object: 'closed', facts: {}, reason: 'x' }
const statement = statementFor({ ...decided, at })

let issuer: Issuer
beforeAll(async () => {
  issuer = await startIssuer()
})
afterAll(() => issuer.close())

function people(oidc: Partial<NonNullable<People['oidc']>> | null = {}): Pick<People, 'identities' | 'oidc'> {
  const identities = { 'dr-osei': { roles: ['records' as const], ssh_keys: [], oidc_subjects: ['sub-1'] } }
  const settings = { max_age_seconds: 600, second_factor_amr: ['hwk', 'mfa'], token_days: 90 }
  return oidc === null ? { identities } : { identities, oidc: { ...issuer.settings, ...settings, ...oidc } }
}

const seal = (text: string) => ({ keyId: 'k', cipher: Buffer.from(`sealed ${text.length}`) })

async function offer(
  claims: JWTPayload = {},
  { known = people(), clock = now, token = '' } = {},
): Promise<Attested> {
  const given = token === '' ? await issuer.token(statement, claims) : token
  return attest(known, decided, { kind: 'oidc', statement, token: given, seal }, clock)
}

describe('an OIDC token', () => {
  it('names the identity that has its subject', async () => {
    expect((await offer()).identity).toEqual({
      name: 'dr-osei',
      roles: ['records'],
      method: 'oidc',
      secondFactor: false,
    })
  })

  it('carries a second factor where its amr names one', async () => {
    expect((await offer({ amr: ['pwd', 'mfa'] })).identity).toMatchObject({ secondFactor: true })
  })

  it('is kept sealed, beside its digest', async () => {
    const attested = await offer()
    expect(attested.signature).toMatch(/^oidc:sha256:[0-9a-f]{64}$/)
    expect(attested.token?.cipher.toString()).toMatch(/^sealed/)
    expect(JSON.stringify({ ...attested, token: null })).not.toContain('eyJ')
  })

  it.each<[string, JWTPayload]>([
    ['another audience', { aud: 'another' }],
    ['another issuer', { iss: 'https://other.example' }],
    ['an end in the past', { exp: seconds - 61 }],
    ['a sign-in too long ago', { auth_time: seconds - 661 }],
    ['an issue before the statement was written', { iat: seconds - 70 }],
    ['an issue after the statement ran out', { iat: seconds + 700, exp: seconds + 900 }],
    ['the hash of another statement as its nonce', { nonce: nonceFor('another statement') }],
    ['a nonce of its own', { nonce: 'abc' }],
    ['no nonce', { nonce: undefined }],
  ])('with %s is refused', async (_what, claims) => {
    await expect(offer(claims)).rejects.toMatchObject({ code: 'E_TOKEN_INVALID', exitCode: 13 })
  })

  it('is measured by the given clock, not by this machine’s', async () => {
    const clock = new Date(now.getTime() + 3_600_000)
    await expect(offer({}, { clock })).rejects.toMatchObject({ code: 'E_TOKEN_INVALID' })
  })

  it('signed by a stranger’s key is refused', async () => {
    const strangers = await generateKeyPair('ES256')
    const token = await new SignJWT({ sub: 'sub-1', nonce: nonceFor(statement) })
      .setIssuedAt(seconds)
      .setIssuer(issuer.url)
      .setAudience('lethe')
      .setExpirationTime(seconds + 300)
      .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
      .sign(strangers.privateKey)
    await expect(offer({}, { token })).rejects.toMatchObject({ code: 'E_TOKEN_INVALID' })
  })

  it('without a signature, or that is none at all, is refused', async () => {
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${(await issuer.token(statement)).split('.')[1]}.`
    for (const token of [unsigned, 'not-a-token', 'a.b.c', ' '])
      await expect(offer({}, { token })).rejects.toMatchObject({ code: 'E_TOKEN_INVALID' })
  })

  it('of a subject nobody has is refused, without repeating the subject', async () => {
    const error = await offer({ sub: 'canary@example.org' }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'E_IDENTITY_UNKNOWN' })
    expect(String(error)).not.toContain('canary')
  })

  it('does not have its key looked for elsewhere: without a kid each published key is tried', async () => {
    const token = await issuer.token(statement, {}, { alg: 'ES256' })
    expect((await offer({}, { token })).identity.name).toBe('dr-osei')
  })

  it('can not be checked while the issuer is away: that is not the token’s fault', async () => {
    issuer.server.fault = () => ({ before: { status: 503 } })
    try {
      for (const known of [people(), people({ jwks_uri: `${issuer.url}/keys` })])
        await expect(offer({}, { known })).rejects.toMatchObject({
          code: 'E_ISSUER_UNAVAILABLE',
          retryable: true,
        })
    } finally {
      issuer.server.fault = () => null
    }
  })

  it('is not checked against keys published in another issuer’s name', async () => {
    issuer.named = 'https://other.example'
    try {
      await expect(offer()).rejects.toMatchObject({ code: 'E_CONFIG' })
    } finally {
      issuer.named = undefined
    }
  })

  it('without oidc in the configuration says so', async () => {
    await expect(offer({}, { known: people(null) })).rejects.toMatchObject({ code: 'E_CONFIG_MISSING' })
  })
})
