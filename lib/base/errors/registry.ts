/**
 * Every error code that the running process knows: its exit code, whether trying again can help, and what to do next.
 * A room defines its codes in `errors.ts`, which its `index.ts` imports first, so that whoever enters a room has them.
 * `runbooks/errors.md` has one section a code; a test holds the two together.
 */
import type { ErrorCode, ErrorEntry } from './codes.ts'

export interface DefinedError extends ErrorEntry {
  /** The part of runbooks/errors.md that explains it. */
  group: string
}

const defined = new Map<string, DefinedError>()

/** Throws where a code is defined already: two rooms can't mean two things by it. */
export function defineErrors<const T extends Readonly<Record<`E_${string}`, ErrorEntry>>>(
  group: string,
  entries: T,
): T {
  for (const [code, entry] of Object.entries<ErrorEntry>(entries)) {
    if (defined.has(code)) throw new Error(`the error code ${code} is defined twice`)
    defined.set(code, { group, ...entry })
  }
  return entries
}

/** Throws for a code whose room was never entered. */
export function errorEntry(code: ErrorCode): ErrorEntry {
  const entry = defined.get(code)
  if (entry === undefined)
    throw new Error(`no room that was entered defines the error code ${code as string}`)
  return entry
}

/** Whether a text, such as one that was stored, is a code of a room that was entered. */
export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === 'string' && defined.has(text)
}

/** Of the rooms that were entered, in the order of their definition. */
export function definedErrors(): ReadonlyMap<string, DefinedError> {
  return defined
}
