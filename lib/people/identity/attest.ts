/** From what a person offers as evidence to an attested decision, whichever of the three ways they took. */
import { createHash } from 'node:crypto'
import type { Attested } from './identity.ts'
import type { People } from './schema.ts'
import { signWithSsh, verifySsh } from './ssh.ts'
import { checkStatement, statementFor, type Decided } from './statement.ts'

export type Evidence =
  /** Sign now, with this key. */
  | { kind: 'ssh-key'; file: string; tell?: (text: string) => void }
  /** Signed on another machine: the statement's exact bytes and their signature. */
  | { kind: 'ssh-signature'; statement: string; signature: string }
  | { kind: 'oidc'; token: string }

/**
 * `now`: the control database's clock. `show` gets the statement before it is signed. The caller still asks `authorise`
 * whether the identity may. Throws what verifySsh, verifyOidc, signWithSsh and checkStatement throw.
 */
export async function attest(
  { identities, oidc }: Pick<People, 'identities' | 'oidc'>,
  decided: Decided,
  evidence: Evidence,
  now: Date,
  show: (statement: string) => void = () => undefined,
): Promise<Attested> {
  if (evidence.kind === 'ssh-signature') {
    const { statement, signature } = evidence
    const identity = await verifySsh(statement, signature, identities)
    checkStatement(statement, decided, now)
    return { identity, statement, signature }
  }
  const statement = statementFor({ ...decided, at: now })
  show(statement)
  if (evidence.kind === 'ssh-key') {
    const signature = await signWithSsh(statement, evidence.file, evidence.tell)
    return { identity: await verifySsh(statement, signature, identities), statement, signature }
  }
  // Loaded only where a token is given: most decisions carry a signature.
  const { verifyOidc } = await import('./oidc.ts')
  const identity = await verifyOidc(evidence.token, oidc, identities, now)
  // The token itself is a credential and names a person: its digest is enough to find it in the issuer's own log.
  const digest = createHash('sha256').update(evidence.token.trim()).digest('hex')
  return { identity, statement, signature: `oidc:sha256:${digest}` }
}
