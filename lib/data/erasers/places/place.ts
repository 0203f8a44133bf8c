/** What a cascade, or a drill, asks of each place that holds something of subjects; and the places that are not called. */
import { LetheError } from '../../../base/errors/index.ts'
import type { Identifiers } from '../../datamap/index.ts'
import type { RootKey } from '../../deletion/index.ts'
import type { Fate, Guard } from '../../rows/index.ts'
import type { Capabilities, ErasePage, EraseRequest, Verification } from '../eraser.ts'

/** Lies before a person is asked. */
export const PATIENCE = 3

/** Someone whose data is to go, with what leads to them. */
export interface Person {
  requestId: string
  keys: readonly RootKey[]
  identifiers: Identifiers
  /** Classes of records that stay. */
  retained: readonly string[]
  /** The policy that began it: its conditions are asked again in the own store's deleting statement. `id`: of its proposal. */
  policy?: { id: string; name: string; guard: Guard }
}

/** One place that holds something of subjects of this kind. Every list of results stands in the persons' order. */
export interface Place {
  store: string
  kind: string
  /** Stores that are emptied first. */
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
