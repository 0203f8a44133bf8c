/** What reading back finds. Every eraser answers in these words; here they are of rows. */

export interface Retained {
  place: string
  count: number
  ground: string
  /** ISO instant; null: until nothing names it any more. */
  until: string | null
}

/** What reading back found of one subject. */
export interface Verification {
  /** False with nothing in `left`: a part of the subject could not be looked at. */
  absent: boolean
  /** What is still there and should not be, by place; empty when absent. */
  left: Readonly<Record<string, number>>
  retained: readonly Retained[]
}
