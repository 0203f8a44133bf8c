/** From a store as the map declares it to its eraser: the one place that knows them all. A vendor's SDK is loaded at its first call. */
import type { StoreEntry } from '../datamap/index.ts'
import { LetheError } from '../errors/index.ts'
import type { Eraser } from './eraser.ts'
import { expand, type Identified, type Identifiers } from './identifiers.ts'
import type { Pace } from './pace.ts'

export interface StoreTools {
  /** What `env:NAME` or `file:/path` stands for. */
  secret(reference: string): string
  pace(perMinute: number | null): Pace
  /** Where Lethe's own keys begin in Redis: no plan may reach them. */
  redisPrefix: string
}

export interface OpenedStore {
  eraser: Eraser<Identified>
  /** Whether anything here is led to by these identifiers. */
  concerns(identifiers: Identifiers): boolean
  /** What goes with it can't be brought back by anything, so it goes last. */
  shredsKeys: boolean
  close(): Promise<void>
}

/** Opens no connection yet. Throws E_STORE_WITHOUT_ERASER, E_CONFIG_MISSING, E_CONFIG. */
export function openStore(name: string, entry: StoreEntry, _tools: StoreTools): OpenedStore {
  throw new LetheError('E_STORE_WITHOUT_ERASER', {
    message: `Store ${name} is ${entry.kind}, where Lethe can't erase yet.`,
    facts: { store: name },
  })
}

/** Whether any of the templates stands for something. */
export function leadsSomewhere(templates: readonly string[], identifiers: Identifiers): boolean {
  return templates.some((template) => expand(template, identifiers).length > 0)
}
