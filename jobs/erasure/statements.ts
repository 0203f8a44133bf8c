/** What a person signs about a request: the desk has it signed, and the cascade builds it again and compares. */
import type { Decided, DecisionVerb } from '../../lib/people/identity/index.ts'

export function requestStatement(
  verb: DecisionVerb,
  requestId: string,
  facts: Readonly<Record<string, string | null>>,
  reason: string,
): Decided {
  return { verb, object: requestId, facts, reason }
}
