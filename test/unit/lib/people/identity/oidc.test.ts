import { createServer, type Server } from 'node:http'
import { exportJWK, generateKeyPair, SignJWT, type JWTPayload } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verifyOidc } from '../../../../../lib/people/identity/oidc.ts'
import type { OidcEntry } from '../../../../../lib/people/identity/schema.ts'

const now = new Date('2026-11-21T03:00:00.000Z')
const seconds = now.getTime() / 1000
const keys = await generateKeyPair('ES256')
const strangers = await generateKeyPair('ES256')
const identities = { 'dr-osei': { roles: ['records' as const], ssh_keys: [], oidc_subjects: ['sub-1'] } }

let server: Server
let issuer: string
let named: string | undefined
let broken = false

beforeAll(async () => {
  const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' }
  server = createServer((request, response) => {
    if (broken) response.writeHead(503).end()
    else if (request.url === '/.well-known/openid-configuration')
      response.end(JSON.stringify({ issuer: named ?? issuer, jwks_uri: `${issuer}/keys` }))
    else response.end(JSON.stringify({ keys: [jwk] }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address !== 'object') throw new Error('no port')
  issuer = `http://127.0.0.1:${address.port}`
})
afterAll(() => server.close())

function settings(): OidcEntry {
  return { issuer, audience: 'lethe', max_age_seconds: 600, second_factor_amr: ['hwk', 'mfa'] }
}

function token(
  claims: JWTPayload = {},
  key = keys.privateKey,
  header = { alg: 'ES256', kid: 'k1' },
): Promise<string> {
  return new SignJWT({
    iss: issuer,
    aud: 'lethe',
    sub: 'sub-1',
    iat: seconds - 5,
    exp: seconds + 300,
    ...claims,
  })
    .setProtectedHeader(header)
    .sign(key)
}

describe('an OIDC token', () => {
  it('names the identity that has its subject', async () => {
    expect(await verifyOidc(await token(), settings(), identities, now)).toEqual({
      name: 'dr-osei',
      roles: ['records'],
      method: 'oidc',
      secondFactor: false,
    })
  })

  it('carries a second factor where its amr names one', async () => {
    expect(await verifyOidc(await token({ amr: ['pwd', 'mfa'] }), settings(), identities, now)).toMatchObject(
      {
        secondFactor: true,
      },
    )
  })

  it.each<[string, JWTPayload]>([
    ['another audience', { aud: 'another' }],
    ['another issuer', { iss: 'https://other.example' }],
    ['an end in the past', { exp: seconds - 61 }],
    ['a sign-in too long ago', { auth_time: seconds - 661 }],
    ['an issue too long ago', { iat: seconds - 661 }],
    ['an issue in the future', { iat: seconds + 61 }],
  ])('with %s is refused', async (_what, claims) => {
    await expect(verifyOidc(await token(claims), settings(), identities, now)).rejects.toMatchObject({
      code: 'E_TOKEN_INVALID',
      exitCode: 13,
    })
  })

  it('is measured by the given clock, not by this machine’s', async () => {
    const later = new Date(now.getTime() + 3_600_000)
    await expect(verifyOidc(await token(), settings(), identities, later)).rejects.toMatchObject({
      code: 'E_TOKEN_INVALID',
    })
  })

  it('signed by a stranger’s key is refused', async () => {
    await expect(
      verifyOidc(await token({}, strangers.privateKey), settings(), identities, now),
    ).rejects.toMatchObject({ code: 'E_TOKEN_INVALID' })
  })

  it('without a signature, or that is none at all, is refused', async () => {
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${(await token()).split('.')[1]}.`
    for (const text of [unsigned, 'not-a-token', ''])
      await expect(verifyOidc(text, settings(), identities, now)).rejects.toMatchObject({
        code: 'E_TOKEN_INVALID',
      })
  })

  it('of a subject nobody has is refused, without repeating the subject', async () => {
    const error = await verifyOidc(
      await token({ sub: 'canary@example.org' }),
      settings(),
      identities,
      now,
    ).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'E_IDENTITY_UNKNOWN' })
    expect(String(error)).not.toContain('canary')
  })

  it('can not be checked while the issuer is away: that is not the token’s fault', async () => {
    broken = true
    try {
      await expect(verifyOidc(await token(), settings(), identities, now)).rejects.toMatchObject({
        code: 'E_ISSUER_UNAVAILABLE',
        retryable: true,
      })
      const direct = { ...settings(), jwks_uri: `${issuer}/keys` }
      await expect(verifyOidc(await token(), direct, identities, now)).rejects.toMatchObject({
        code: 'E_ISSUER_UNAVAILABLE',
      })
    } finally {
      broken = false
    }
  })

  it('is not checked against keys published in another issuer’s name', async () => {
    named = 'https://other.example'
    try {
      await expect(verifyOidc(await token(), settings(), identities, now)).rejects.toMatchObject({
        code: 'E_CONFIG',
      })
    } finally {
      named = undefined
    }
  })

  it('without oidc in the configuration says so', async () => {
    await expect(verifyOidc(await token(), undefined, identities, now)).rejects.toMatchObject({
      code: 'E_CONFIG_MISSING',
    })
  })
})
