/** From what a person offers as evidence to an attested decision, and from what was kept of it back to the person. */
import { createHash, hash } from 'node:crypto'
import { LetheError } from '../../base/errors/index.ts'
import type { Attested, Identity, SealedToken } from './identity.ts'
import type { People } from './schema.ts'
import { signWithSsh, verifySsh } from './ssh.ts'
import { checkStatement, statementFor, type Decided } from './statement.ts'
import type { SeenKey } from './token.ts'

export type Evidence =
  /** Sign now, with this key. */
  | { kind: 'ssh-key'; file: string; tell?: (text: string) => void }
  /** Signed on another machine: the statement's exact bytes and their signature. */
  | { kind: 'ssh-signature'; statement: string; signature: string }
  /** The statement's exact bytes, an ID token whose nonce is their hash, and how it is sealed before it is kept. */
  | { kind: 'oidc'; statement: string; token: string; seal: (token: string) => SealedToken }

/** By configured people. */
type Known = Pick<People, 'identities' | 'oidc'>

/** The nonce to sign in with for this statement: SHA-256 of its UTF-8 bytes, 64 hex digits. */
export function nonceFor(statement: string): string {
  return hash('sha256', statement)
}

/**
 * `now`: the control database's clock. `show` gets the statement before it is signed. The caller still asks `authorise`
 * whether the identity may. Throws what verifySsh, verifyOidc, fetchIssuerKeys, signWithSsh and checkStatement throw.
 */
export async function attest(
  people: Known,
  decided: Decided,
  evidence: Evidence,
  now: Date,
  show: (statement: string) => void = () => undefined,
): Promise<Attested> {
  if (evidence.kind === 'ssh-key') {
    const statement = statementFor({ ...decided, at: now })
    show(statement)
    const signature = await signWithSsh(statement, evidence.file, evidence.tell)
    const identity = await verifySsh(statement, signature, people.identities)
    return { identity, statement, signature, token: null }
  }
  const { statement } = evidence
  if (evidence.kind === 'ssh-signature') {
    const identity = await verifySsh(statement, evidence.signature, people.identities)
    checkStatement(statement, decided, now)
    return { identity, statement, signature: evidence.signature, token: null }
  }
  const token = evidence.token.trim()
  const identity = await verifyToken(people, { token, statement, now })
  checkStatement(statement, decided, now)
  return { identity, statement, signature: digestOf(token), token: evidence.seal(token) }
}

/** What the record keeps of a decision's evidence. */
export interface KeptEvidence {
  statement: string
  signature: string
  /** Where the signature names the digest of a token: the token. Null: it was not kept, or was forgotten since. */
  token: string | null
}

/**
 * Whose decision it is, asked again of what was kept. `keysOf` gives the issuer's keys for a token, as the caller has them.
 * Throws what verifySsh and verifyOidc throw, and E_TOKEN_INVALID where no token is there.
 */
export async function verifyKept(
  people: Known,
  { statement, signature, token }: KeptEvidence,
  keysOf: (token: string) => Promise<readonly SeenKey[]>,
): Promise<Identity> {
  if (!signature.startsWith('oidc:')) return verifySsh(statement, signature, people.identities)
  if (token === null || digestOf(token) !== signature)
    throw new LetheError('E_TOKEN_INVALID', {
      message: 'It was proved by a token, and that token was not kept, or another one stands in its place.',
      next: 'Decide again.',
    })
  const { verifyOidc } = await import('./oidc.ts')
  return verifyOidc({ token, statement }, people, people.oidc === undefined ? [] : await keysOf(token))
}

async function verifyToken(
  people: Known,
  offered: { token: string; statement: string; now: Date },
): Promise<Identity> {
  // Loaded only where a token is given: most decisions carry a signature.
  const [{ verifyOidc }, { fetchIssuerKeys }] = await Promise.all([
    import('./oidc.ts'),
    import('./issuer.ts'),
  ])
  const keys = people.oidc === undefined ? [] : await fetchIssuerKeys(people.oidc)
  return verifyOidc(
    offered,
    people,
    keys.map(({ jwk }) => ({ jwk, lastSeen: offered.now })),
  )
}

/** What names the token in the record and in the issuer's own log: it is a credential and names a person. */
function digestOf(token: string): string {
  return `oidc:sha256:${createHash('sha256').update(token).digest('hex')}`
}
