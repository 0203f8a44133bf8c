/** The codes of all rooms, put together by the compiler: each room's `errors.ts` adds its own to `ErrorCodes`. */

export interface ErrorEntry {
  /**
   * 0 done, 1 failed, 2 usage, 3 partly done, 10 not found, 11 leased elsewhere, 12 refused by policy or hold, 13 approval
   * or step-up missing, 20 dependency unavailable, 30 verification failed, 57 schema mismatch, 130 interrupted.
   */
  exit: 1 | 2 | 3 | 10 | 11 | 12 | 13 | 20 | 30 | 57 | 130
  /** Whether trying again can help. */
  retryable: boolean
  /** What to do next, where the thrower has nothing more exact to say. */
  next: string
}

// oxlint-disable-next-line typescript/no-empty-interface
export interface ErrorCodes {}

export type ErrorCode = keyof ErrorCodes

/** What a room adds: `interface ErrorCodes extends Codes<typeof errors> {}`. */
export type Codes<T> = { readonly [C in keyof T]: ErrorEntry }
