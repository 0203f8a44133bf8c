/** Who a verified person is, and whether that is enough for what they ask. */
import { LetheError } from '../../base/errors/index.ts'
import type { Role } from './schema.ts'

export interface Identity {
  /** Its name under `identities` in the configuration. */
  name: string
  roles: readonly Role[]
  /** `ssh-sk`: a FIDO key. */
  method: 'ssh' | 'ssh-sk' | 'oidc'
  /** A FIDO key that was touched, or a token whose `amr` names a second factor. */
  secondFactor: boolean
}

/** A decision with its evidence: the exact bytes that were agreed to and what proves who agreed. */
export interface Attested {
  identity: Identity
  statement: string
  /** The armoured SSH signature over the statement, or `oidc:sha256:HEX` of the token that proved the identity. */
  signature: string
}

/** Throws E_ROLE_MISSING unless the identity has one of `roles`, E_SECOND_FACTOR where one is demanded and missing. */
export function authorise(
  identity: Identity,
  roles: readonly Role[],
  demand: { secondFactor: boolean } = { secondFactor: false },
): void {
  if (!identity.roles.some((role) => roles.includes(role)))
    throw new LetheError('E_ROLE_MISSING', {
      message: `${identity.name} has the roles ${identity.roles.join(', ')}; this needs one of: ${[...new Set(roles)].join(', ')}.`,
      facts: { identity: identity.name, needs: [...new Set(roles)] },
    })
  if (demand.secondFactor && !identity.secondFactor)
    throw new LetheError('E_SECOND_FACTOR', {
      message: `${identity.name} signed without a second factor, which this policy demands.`,
      facts: { identity: identity.name, method: identity.method },
    })
}
