/** What the rooms' own parts of lethe.yaml are made of, and how they say what is wrong with them. */
import { z } from 'zod'

export const nameSchema = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,62}$/, 'a lower-case name: letters, digits, - and _')
export const periodSchema = z
  .string()
  .regex(/^\d+ (day|days|month|months|year|years)$/, 'a period such as "30 days", "6 months" or "7 years"')
/** Where a secret or an address stands: never in the file itself. */
export const secretSchema = z
  .string()
  .regex(/^(env:[A-Z][A-Z0-9_]*|file:\/.+)$/, '"env:NAME" or "file:/path"')

/** For a refinement: half of a pair would be dropped without a word, and whoever the environment names would be asked. */
export function together(one: string, other: string) {
  return [
    (entry: Readonly<Record<string, unknown>>) => (entry[one] === undefined) === (entry[other] === undefined),
    { message: `${one} and ${other} go together` },
  ] as const
}

/** One thing wrong with the file, at one place in it. */
export interface Problem {
  path: readonly PropertyKey[]
  message: string
}

/** What `stores` names, as far as a room has to know it to check a reference to a store. */
export type Stores = Readonly<Record<string, { kind: string }>>

/** Null where no store has this name. */
export function storeNamed<S extends Stores>(stores: S, name: string): S[string] | null {
  return Object.hasOwn(stores, name) ? (stores[name] as S[string]) : null
}
