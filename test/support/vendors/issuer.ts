/** An OpenID Connect identity provider over the wire: what it publishes, tokens as it signs them, and keys that it rotates. */
import { exportJWK, generateKeyPair, SignJWT, type JWTPayload } from 'jose'
import { nonceFor, parseStatement } from '../../../lib/people/identity/index.ts'
import { startJsonServer, type JsonServer } from '../servers/json-server.ts'

export interface Issuer {
  /** Its name: the `iss` of its tokens. */
  readonly url: string
  readonly server: JsonServer
  /** The issuer that its configuration names; undefined: itself. */
  named: string | undefined
  /** What `oidc` of the configuration says of it. */
  readonly settings: { issuer: string; audience: string }
  /** Signs with the newest key, for a person who signs in to decide this statement. */
  token(statement: string, claims?: JWTPayload, header?: { alg: string; kid?: string }): Promise<string>
  /** Publishes a new key, and the former one no longer. */
  rotate(): Promise<void>
  close(): Promise<void>
}

export async function startIssuer(): Promise<Issuer> {
  let made = 0
  const makeKey = async () => {
    const pair = await generateKeyPair('ES256')
    made += 1
    return { kid: `k${made}`, pair, jwk: await exportJWK(pair.publicKey) }
  }
  let key = await makeKey()
  const server = await startJsonServer(({ path }) => ({
    status: 200,
    body:
      path === '/.well-known/openid-configuration'
        ? { issuer: issuer.named ?? server.url, jwks_uri: `${server.url}/keys` }
        : { keys: [{ ...key.jwk, kid: key.kid, alg: 'ES256', use: 'sig' }] },
  }))
  const issuer: Issuer = {
    url: server.url,
    server,
    named: undefined,
    settings: { issuer: server.url, audience: 'lethe' },
    token(statement, claims = {}, header = { alg: 'ES256', kid: key.kid }) {
      const at = Math.floor(parseStatement(statement).at.getTime() / 1000)
      const usual = {
        iss: server.url,
        aud: 'lethe',
        sub: 'sub-1',
        iat: at,
        exp: at + 300,
        nonce: nonceFor(statement),
      }
      return new SignJWT({ ...usual, ...claims }).setProtectedHeader(header).sign(key.pair.privateKey)
    },
    async rotate() {
      key = await makeKey()
    },
    close: () => server.close(),
  }
  return issuer
}
