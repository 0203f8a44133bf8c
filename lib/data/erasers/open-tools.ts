/** What stores are opened with. */
import type { StoreEntry } from '../datamap/index.ts'
import type { Eraser, Identified } from './eraser.ts'
import type { Pace } from '../../base/calls/index.ts'

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
export type Tools = Omit<StoreTools, 'pace'> & { name: string; pace: Pace }

export type Entry<K extends StoreEntry['kind']> = Extract<StoreEntry, { kind: K }>

export type Opened<P extends Identified> = {
  eraser: Eraser<P>
  /** The plan, but for whose identifiers they are. */
  plan: Omit<P, 'identifiers'>
  /** What leads somewhere here: templates, or names of identifiers in braces. */
  leads: readonly string[]
  close?: () => void
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
