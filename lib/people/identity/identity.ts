/** Who a verified person is, and whether that is enough for what they ask. */
import { LetheError } from '../../base/errors/index.ts'
import type { People } from './schema.ts'
import { verbs, type DecisionVerb, type Role } from './verbs.ts'

export interface Identity {
  /** Its name under `identities` in the configuration. */
  name: string
  roles: readonly Role[]
  /** `ssh-sk`: a FIDO key. */
  method: 'ssh' | 'ssh-sk' | 'oidc'
  /** A FIDO key that was touched, or a token whose `amr` names a second factor. */
  secondFactor: boolean
}

/** As the keystore seals: a token is a credential and names a person. */
export interface SealedToken {
  keyId: string
  cipher: Buffer
}

/** A decision with its evidence: the exact bytes that were agreed to and what proves who agreed. */
export interface Attested {
  identity: Identity
  statement: string
  /** The armoured SSH signature over the statement, or `oidc:sha256:HEX` of the token that proved the identity. */
  signature: string
  /** The ID token whose nonce is the statement's hash; null where an SSH key signed. */
  token: SealedToken | null
}

/** What a policy demands of those who decide about it, beside what the configuration demands of everyone. */
export interface Demand {
  /** Default: the roles that the table of verbs names. */
  roles?: readonly Role[]
  secondFactor?: boolean
}

/**
 * Throws E_ROLE_MISSING unless the identity has one of the roles, E_SECOND_FACTOR where `second_factor` of the configuration
 * names the verb, or `demand` asks for one, and it is missing.
 */
export function authorise(
  people: Pick<People, 'second_factor'>,
  identity: Identity,
  verb: DecisionVerb,
  demand: Demand = {},
): void {
  const roles: readonly Role[] = demand.roles ?? verbs[verb]
  if (!identity.roles.some((role) => roles.includes(role)))
    throw new LetheError('E_ROLE_MISSING', {
      message: `${identity.name} has the roles ${identity.roles.join(', ')}; this needs one of: ${[...new Set(roles)].join(', ')}.`,
      facts: { identity: identity.name, needs: [...new Set(roles)] },
    })
  if ((demand.secondFactor === true || people.second_factor.includes(verb)) && !identity.secondFactor)
    throw new LetheError('E_SECOND_FACTOR', {
      message: `${identity.name} proved who they are without a second factor, which is demanded for ${verb}.`,
      facts: { identity: identity.name, method: identity.method, verb },
    })
}
