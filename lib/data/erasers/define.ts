/** What a kind of store is: how lethe.yaml declares one, and how it is opened. */
import type { z } from 'zod'
import type { Pace } from '../../base/calls/index.ts'
import { expand, type Identifiers } from '../datamap/index.ts'
import type {
  Capabilities,
  ErasePage,
  Eraser,
  EraseRequest,
  Located,
  SubjectRef,
  Verification,
} from './eraser.ts'

export interface StoreTools {
  /** What `env:NAME` or `file:/path` stands for. */
  secret(reference: string): string
  /** The turns of this store's calls, shared by all workers. */
  pace(perMinute: number | null): Pace
  /** Where Lethe's own keys begin in Redis: no plan may reach them. */
  redisPrefix: string
  /** A secret of this store alone, for ids that tell nobody whose they are. */
  requestKey: string
}

/** Of one store, with its own pace. */
export type Tools = Omit<StoreTools, 'pace'> & { store: string; pace: Pace }

/** An eraser with its plan: what the map says of the store is in it. The methods are those of `Eraser`. */
export interface OpenedStore {
  capabilities: Capabilities
  probe(signal: AbortSignal): Promise<void>
  locate(subjects: readonly SubjectRef[], signal: AbortSignal): Promise<Located>
  erase(subjects: readonly SubjectRef[], page: EraseRequest, signal: AbortSignal): Promise<ErasePage>
  verify(subjects: readonly SubjectRef[], signal: AbortSignal): Promise<Verification[]>
  /** What leads here: templates with names of identifiers; none where nobody has to be looked for. */
  leads: readonly string[]
  /** Whether anything here is led to by these identifiers. */
  concerns(identifiers: Identifiers): boolean
  /** Someone is told there, and nothing is erased or read back. */
  tells: boolean
  close(): Promise<void>
}

type Declaration = z.ZodType<{ kind: string }>

export interface Definition<S extends Declaration, P> {
  /** As `kind` in lethe.yaml, and the name of its folder. */
  kind: string
  schema: S
  /** The subject's own rows are deleted before anything here. */
  ownRowsFirst?: boolean
  /** A cache: the store that it is filled from is emptied first. */
  filledFrom?(entry: z.infer<S>): string | undefined
  /** Someone is told there, and nothing is erased or read back. */
  tells?: boolean
  /** Loads the eraser with what it needs, and opens no connection yet. Throws E_CONFIG, E_CONFIG_MISSING. */
  open(entry: z.infer<S>, tools: Tools): Promise<Opened<P>>
}

export interface Opened<P> {
  eraser: Eraser<P>
  plan: P
  /** What leads somewhere here: templates, or names of identifiers in braces. */
  leads: readonly string[]
  /** Every subject is concerned, whatever is known of them. */
  always?: boolean
  close?: () => void
}

/** A definition that is like all others: whose entry it is asked about, `kindOf` has made sure of. */
export interface StoreKind<S extends Declaration = Declaration> {
  readonly kind: string
  readonly schema: S
  readonly ownRowsFirst: boolean
  readonly tells: boolean
  filledFrom(entry: { kind: string }): string | undefined
  open(entry: { kind: string }, tools: Tools): Promise<OpenedStore>
}

export function defineStore<S extends Declaration, P>(definition: Definition<S, P>): StoreKind<S> {
  const { kind, schema, ownRowsFirst = false, tells = false } = definition
  return {
    kind,
    schema,
    ownRowsFirst,
    tells,
    filledFrom: (entry) => definition.filledFrom?.(entry as z.infer<S>),
    open: async (entry, tools) => bound(await definition.open(entry as z.infer<S>, tools), tells),
  }
}

/** One shape for all kinds: the eraser with its own plan. */
function bound<P>({ eraser, plan, leads, always = false, close }: Opened<P>, tells: boolean): OpenedStore {
  return {
    capabilities: eraser.capabilities,
    probe: async (signal) => eraser.probe(plan, signal),
    locate: async (subjects, signal) => eraser.locate(subjects, plan, signal),
    erase: async (subjects, page, signal) => eraser.erase(subjects, plan, page, signal),
    verify: async (subjects, signal) => eraser.verify(subjects, plan, signal),
    leads,
    concerns: (identifiers) => always || leads.some((template) => leadsSomewhere(template, identifiers)),
    tells,
    close: () => {
      close?.()
      return Promise.resolve()
    },
  }
}

/** A value that can't stand in a template leads somewhere too: the eraser says what is wrong with it. */
function leadsSomewhere(template: string, identifiers: Identifiers): boolean {
  try {
    return expand(template, identifiers).length > 0
  } catch {
    return true
  }
}

export function credentials(
  secret: StoreTools['secret'],
  access: string | undefined,
  key: string | undefined,
): { credentials?: { accessKeyId: string; secretAccessKey: string } } {
  return access === undefined || key === undefined
    ? {}
    : { credentials: { accessKeyId: secret(access), secretAccessKey: secret(key) } }
}

export function braces(...names: readonly (string | undefined)[]): string[] {
  return names.flatMap((name) => (name === undefined ? [] : [`{${name}}`]))
}

/** Without what is undefined: an option that isn't given is absent. */
export function given<T extends Record<string, unknown>>(
  options: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}
