import type { ErrorCode } from './codes.ts'
import { errorEntry } from './registry.ts'

export interface ErrorDetails {
  /** What failed and on what, in one sentence. Never a row value, a key or an address of a person. */
  message: string
  /** What was left behind: "Nothing was changed." when nothing was. */
  left?: string
  /** What to do next; what the code's room says stands when this is absent. */
  next?: string
  /** Machine-readable facts for `--json`; the same rule about personal data holds. */
  facts?: Record<string, unknown>
  cause?: unknown
}

/** Every error Lethe raises on purpose: a code that its room defines, and what a person needs to go on. */
export class LetheError extends Error {
  readonly code: ErrorCode
  readonly left: string
  readonly next: string
  readonly facts: Record<string, unknown>

  constructor(code: ErrorCode, details: ErrorDetails) {
    super(details.message, details.cause === undefined ? {} : { cause: details.cause })
    this.name = 'LetheError'
    this.code = code
    this.left = details.left ?? 'Nothing was changed.'
    this.next = details.next ?? errorEntry(code).next
    this.facts = details.facts ?? {}
  }

  get exitCode(): number {
    return errorEntry(this.code).exit
  }

  get retryable(): boolean {
    return errorEntry(this.code).retryable
  }

  /** Path and anchor in the repository: the page's headings are the codes, and GitHub only lowers their case. */
  get runbook(): string {
    return `runbooks/errors.md#${this.code.toLowerCase()}`
  }
}
