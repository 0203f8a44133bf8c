/** A row in a table is not yet a decision: whoever destroys checks the signature once more, with its own configuration. */
import { isDeepStrictEqual } from 'node:util'
import type { ConfigFile } from '../config/index.ts'
import { LetheError } from '../errors/index.ts'
import { verifySsh } from './ssh.ts'
import { parseStatement } from './statement.ts'

export interface Recorded {
  actor: string
  method: string
  statement: string | null
  signature: string | null
}

/** What the statement must have been about; the keys besides `object` stand in its facts. */
export type About = { object: string } & Readonly<Record<string, string>>

/**
 * The statement's age plays no part here. A token can't be checked again after its hour: then the statement must fit and
 * its actor must still be in the configuration. Throws E_SIGNATURE_INVALID, E_IDENTITY_UNKNOWN, E_STATEMENT_MISMATCH,
 * E_SSH_KEYGEN.
 */
export async function verifyAgain(
  config: Pick<ConfigFile, 'identities'>,
  recorded: Recorded,
  about: About,
): Promise<void> {
  const { actor, method, statement, signature } = recorded
  if (statement === null || signature === null)
    throw new LetheError('E_SIGNATURE_INVALID', {
      message: `The decision of ${actor} on ${about.object} carries no signature.`,
      next: 'Decide again, with a key or a token.',
    })
  if (method !== 'oidc') {
    const identity = await verifySsh(statement, signature, config.identities)
    if (identity.name !== actor)
      throw unknown(`${about.object} was signed by ${identity.name}, not by ${actor}.`)
  } else if (!Object.hasOwn(config.identities, actor))
    throw unknown(`${actor}, who decided on ${about.object}, is no identity in the configuration any more.`)
  const stated = parseStatement(statement)
  const { object, ...facts } = about
  const differs = [
    ...(stated.object === object ? [] : ['object']),
    ...Object.entries(facts).flatMap(([name, value]) =>
      isDeepStrictEqual(stated.facts[name], value) ? [] : [name],
    ),
  ]
  if (differs.length > 0)
    throw new LetheError('E_STATEMENT_MISMATCH', {
      message: `What ${actor} signed is not this decision on ${object}: it differs in ${differs.join(', ')}.`,
      next: 'Look at who could write to the control database, and decide again.',
      facts: { object, differs },
    })
}

function unknown(message: string): LetheError {
  return new LetheError('E_IDENTITY_UNKNOWN', { message })
}
