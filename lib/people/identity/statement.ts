/**
 * What a person agrees to, as bytes that can be signed anywhere and checked again later: JSON with sorted keys and a
 * line break at the end. Its instant is the control database's clock, and it is good for ten minutes around it.
 */
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { readJson } from '../../base/canonical/index.ts'
import { randomSecret } from '../../base/clock/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import type { DecisionVerb } from './verbs.ts'

export const STATEMENT_MINUTES = 10

export interface Decided {
  verb: DecisionVerb
  /** The id of what is decided on: a proposal, a policy, a hold. */
  object: string
  /** What binds the decision to its object as it was seen: hashes, counts, names. No row keys: those as keyed hashes. */
  facts: Readonly<Record<string, string | number | boolean | null | readonly string[]>>
  reason: string
}

export interface Statement extends Decided {
  at: Date
  nonce: string
}

const schema = z.strictObject({
  lethe: z.literal(1),
  verb: z.string(),
  object: z.string(),
  facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string())])),
  reason: z.string(),
  at: z.iso.datetime(),
  nonce: z.string(),
})

/** `at`: the control database's clock. Every call gives other bytes: a nonce stands in it. Throws E_USAGE without a reason. */
export function statementFor(decided: Decided & { at: Date }): string {
  const { verb, object, facts, reason, at } = decided
  requireReason(reason)
  const nonce = randomSecret(12).toString('hex')
  const sorted = Object.fromEntries(Object.entries(facts).sort(([a], [b]) => (a < b ? -1 : 1)))
  return `${JSON.stringify({ at: at.toISOString(), facts: sorted, lethe: 1, nonce, object, reason, verb }, null, 2)}\n`
}

/** Throws E_STATEMENT_MISMATCH for bytes that are no statement of this version. */
export function parseStatement(text: string): Omit<Statement, 'verb'> & { verb: string } {
  const parsed = schema.safeParse(readJson(text))
  if (!parsed.success)
    throw new LetheError('E_STATEMENT_MISMATCH', {
      message: `The signed text is not a statement of Lethe (${parsed.error.issues.map((issue) => issue.path.join('.') || 'not JSON').join(', ')}).`,
    })
  const { verb, object, facts, reason, at, nonce } = parsed.data
  return { verb, object, facts, reason, at: new Date(at), nonce }
}

/**
 * Throws E_USAGE without a reason, E_STATEMENT_MISMATCH where the statement says anything else than what is about to be done, E_STATEMENT_EXPIRED
 * where it is more than ten minutes away from `now` (the control database's clock).
 */
export function checkStatement(text: string, decided: Decided, now: Date): void {
  const stated = parseStatement(text)
  requireReason(stated.reason)
  const differs = (['verb', 'object', 'facts', 'reason'] as const).filter(
    (name) => !isDeepStrictEqual(stated[name], plain(decided[name])),
  )
  if (differs.length > 0)
    throw new LetheError('E_STATEMENT_MISMATCH', {
      message: `The signed statement and this command differ in: ${differs.join(', ')}.`,
      facts: { differs },
    })
  const minutes = Math.abs(now.getTime() - stated.at.getTime()) / 60_000
  if (minutes > STATEMENT_MINUTES)
    throw new LetheError('E_STATEMENT_EXPIRED', {
      message: `The statement was made ${Math.round(minutes)} minutes away from the control database's time; ${STATEMENT_MINUTES} are allowed.`,
    })
}

function requireReason(reason: string): void {
  if (reason.trim() === '')
    throw new LetheError('E_USAGE', {
      message: 'The reason is empty: it is what an auditor reads first.',
      next: 'Say why in a few words, without personal data.',
    })
}

/** Without prototypes and readonly marks, as JSON gives it back. */
function plain(value: unknown): unknown {
  return readJson(JSON.stringify(value))
}
