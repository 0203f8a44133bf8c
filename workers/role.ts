/** A role is one part of a process that runs until it is told to stop. Any number of them share one process. */
export interface Role {
  readonly name: string
  /** A sentence when the role's own loop no longer turns; `/livez` shows it and fails. Null: all is well. */
  problem(): string | null
  /** Takes no more work, gives back what it has and resolves. Called once. */
  stop(): Promise<void>
}

/** `fail` ends the whole process in order, with the error's exit code: the supervisor starts it again. */
export type StartRole = (fail: (error: unknown) => void) => Promise<Role>
