/** What a cascade asks of each place, and the places that are not called. */
import type { RootKey } from '../../lib/data/deletion/index.ts'
import type { Capabilities, ErasePage, EraseRequest, Verification } from '../../lib/data/erasers/index.ts'
import type { Fate } from '../../lib/data/rows/index.ts'
import type { Identifiers } from '../../lib/data/datamap/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import type { Claim } from '../../lib/record/ledger/index.ts'
import { errorFields } from '../../lib/base/log/index.ts'
import { recordLegs, type Leg } from '../../lib/record/requests/index.ts'
import type { Context } from '../context.ts'

/** Lies before a person is asked. */
export const PATIENCE = 3

/** Someone whose data is to go, with what leads to them. */
export interface Person {
  requestId: string
  keys: readonly RootKey[]
  identifiers: Identifiers
  /** Classes of records that stay. */
  retained: readonly string[]
}

/** One place that holds something of subjects of this kind. Every list of results stands in the persons' order. */
export interface Place {
  store: string
  kind: string
  /** Stores that are emptied first (lib/record/requests, NewLeg). */
  after: readonly string[]
  /** The answer to the person is sent through it. */
  channel: boolean
  /** What the configuration lacks to call it; every call throws it. */
  problem?: LetheError
  /** Of the person leads something here. False: the leg is not needed. */
  concerns(person: Person): boolean
  capabilities: Capabilities
  /** Someone is told there, and nothing is erased or read back. */
  tells: boolean
  /** How often reading back may find something before a person is asked. */
  patience: number
  /** Why it is not erased in, where the configuration answers for that. */
  excused?: string
  probe(signal: AbortSignal): Promise<void>
  /** What would become of each row there; only where rows are erased by a plan. */
  forecast?(persons: readonly Person[]): Promise<Fate[]>
  locate(persons: readonly Person[], signal: AbortSignal): Promise<Readonly<Record<string, number>>>
  erase(persons: readonly Person[], page: EraseRequest, signal: AbortSignal): Promise<ErasePage>
  verify(persons: readonly Person[], signal: AbortSignal): Promise<Verification[]>
}

/** Nothing is called there: its credentials may be missing, or its eraser not be wanted yet. */
export function excused(store: string, kind: string, reason: string): Place {
  const none = () =>
    Promise.reject(new LetheError('E_INTERNAL', { message: `Store ${store} is not called.` }))
  return {
    store,
    kind,
    after: [],
    channel: false,
    excused: reason,
    tells: false,
    patience: 1,
    concerns: () => true,
    capabilities: {
      bulk: 1000,
      ratePerMinute: null,
      reversible: true,
      verifiable: false,
      sideEffects: [`nothing is erased here: ${reason}`],
      irreversibleAfter: 'never',
      settleSeconds: 0,
      follows: null,
    },
    probe: () => Promise.resolve(),
    locate: () => Promise.resolve({}),
    erase: none,
    verify: none,
  }
}

/** Nobody is told that nothing is there: whether anything is can't be known. */
export function unusable(store: string, kind: string, problem: LetheError): Place {
  const refuse = () => Promise.reject(problem)
  return {
    store,
    kind,
    after: [],
    channel: false,
    problem,
    tells: false,
    patience: 1,
    concerns: () => true,
    capabilities: {
      bulk: 1000,
      ratePerMinute: null,
      reversible: false,
      verifiable: true,
      sideEffects: [],
      irreversibleAfter: 'the call',
      settleSeconds: 0,
      follows: null,
    },
    probe: refuse,
    locate: refuse,
    erase: refuse,
    verify: refuse,
  }
}

/** What this process lacks to call a place is known here only: another process may have it. The message has no value. */
export async function sayProblem(
  { control, log }: Context,
  claim: Claim,
  place: Place | undefined,
  legs: readonly Leg[],
): Promise<void> {
  if (place?.problem === undefined) return
  const { store, problem } = place
  log.error(
    { store, requests: legs.length, error: errorFields(problem) },
    'a store can not be called as this process is configured',
  )
  const { code: errorCode, message: errorMessage } = problem
  await recordLegs(
    control,
    claim,
    legs.map(({ requestId, state }) => ({ requestId, store, state, errorCode, errorMessage })),
  )
}
