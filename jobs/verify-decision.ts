/** Whether a decision in the record is what a verified person agreed to, asked by the process that destroys. */
import { isDeepStrictEqual } from 'node:util'
import { LetheError } from '../lib/base/errors/index.ts'
import { parseStatement, verifyKept, type Decided, type Identity } from '../lib/people/identity/index.ts'
import { readStatement, statementHash } from '../lib/record/decisions/index.ts'
import type { Context } from './context.ts'
import { issuerKeysFor } from './issuer-keys.ts'

/** Between what a statement says of its time and when it came in: signing took that long at most. */
const LONGEST_MINUTES = 60

export interface Recorded {
  /** In a sentence: "The decision on proposal …". */
  what: string
  /** Hash of the statement, in hex. */
  statement: string
  /** Whose decision the record says it is. */
  actor: string
  facts: Readonly<Record<string, string>>
  /** What to do where it can't be verified. */
  next: string
}

/**
 * A row in a table is not yet a decision, and whoever may write the table can't make one: the statement that would have been
 * signed is built anew by `expected` (the reason stands nowhere else than in the statement itself) and compared with the one
 * that was, its signature or token is verified, and it has to come from whom the record names. Whether that person may is the
 * caller's to ask. Throws E_APPROVAL_FORGED, also for a text that was erased, E_ISSUER_UNAVAILABLE, and what verifyKept throws.
 */
export async function verifyDecision(
  context: Pick<Context, 'config' | 'control' | 'keystore'>,
  recorded: Recorded,
  expected: (reason: string) => Decided | Promise<Decided>,
): Promise<Identity> {
  const { what, statement, actor, next } = recorded
  const facts = { ...recorded.facts, statement }
  const forged = (why: string) =>
    new LetheError('E_APPROVAL_FORGED', {
      message: `${what} is not what a verified person agreed to: ${why}.`,
      facts,
    })
  const kept = await readStatement(context.control, statement)
  if (kept === null) throw forged('it names no statement of the record')
  if (kept.text === null)
    throw new LetheError('E_APPROVAL_FORGED', {
      message: `${what} can't be checked: its signed statement ${statement} was erased.`,
      next: `See who erased it (the event text.erased). ${next}`,
      facts,
    })
  if (kept.signature === null) throw forged('it carries no signed statement')
  if (statementHash(kept.text) !== statement)
    throw forged('the statement is not the one that the record names')
  const stated = parseStatement(kept.text)
  const wanted = await expected(stated.reason)
  const differs = (['verb', 'object', 'facts'] as const).filter(
    (name) => !isDeepStrictEqual(stated[name], wanted[name]),
  )
  if (differs.length > 0) throw forged(`the statement differs in ${differs.join(', ')}`)
  if (Math.abs(stated.at.getTime() - kept.at.getTime()) > LONGEST_MINUTES * 60_000)
    throw forged('the statement came in long after it had run out')
  const { file } = context.config
  if (kept.signature.startsWith('oidc:') && file.oidc === undefined)
    throw forged('it stands on a token, and the configuration has no oidc')
  const token =
    kept.token === null ? null : context.keystore.open(kept.token.keyId, kept.token.cipher).toString()
  const evidence = { statement: kept.text, signature: kept.signature, token }
  const identity = await verifyKept(file, evidence, (one) => issuerKeysFor(context, one)).catch(
    (error: unknown) => {
      if (!(error instanceof LetheError) || error.retryable) throw error
      throw new LetheError(error.code, {
        message: `${what} can't be verified. ${error.message}`,
        next,
        facts: { ...error.facts, ...facts },
        cause: error,
      })
    },
  )
  if (identity.name !== actor) throw forged('another person signed it')
  return identity
}
