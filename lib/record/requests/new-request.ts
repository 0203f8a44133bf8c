/** What a request is made of, and the limits that it is made under. */
import type { IdentityMethod, Origin, RequestKind, Requester } from './request.ts'

export interface NewRequest {
  subjectKind: string
  /** The subject's own store. */
  store: string
  /** By the one text that all equal values have. */
  key: readonly string[]
  /** As it is written in its row, or as it was given where no row is there. Absent: its row says it. */
  written?: readonly string[]
  kind: RequestKind
  ground: string
  requester: Requester
  /** A verified name, `app:LOGIN`, `policy:NAME`. */
  actor: string
  origin: Origin
  /** The target's own id of it; copying it twice makes one request. */
  intakeId?: string
  receivedAt?: Date
  /** An interval; '0' is none. Cut where it would leave the slowest leg too little of the month. */
  grace: string
  /** Null: it has to be confirmed first. */
  identity: { method: IdentityMethod; by: string } | null
  instruction: string | null
  /** Of a policy's: the proposal whose guard and brakes hold for it. */
  proposalId?: string
}

export interface Limits {
  /** Requests of one actor in 24 hours that need no approval. */
  ceiling: number
  /** What the slowest leg needs of the month, as an interval. */
  slowest: string
  /** How long what leads to the person is kept at most without being looked at, as an interval. */
  keep: string
}
