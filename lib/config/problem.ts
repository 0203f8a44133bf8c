/** One thing wrong with the file, at one place in it. */
export interface Problem {
  path: readonly PropertyKey[]
  message: string
}
