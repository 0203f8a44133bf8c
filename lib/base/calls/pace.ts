/** A vendor's own limit on calls, shared by every worker: who is told to wait keeps the others from calling too. */
export interface Pace {
  /**
   * Resolves when the next call may go out. Throws E_STORE_THROTTLED (`facts.retryAfterSeconds`) where that is further
   * away than a worker waits in its slot, or what the signal was aborted with.
   */
  turn(signal: AbortSignal): Promise<void>
  /** The vendor said when to come back (429, Retry-After): no worker calls before. */
  rest(seconds: number): Promise<void>
}
