/** Hashes that do not depend on the order in which keys were written. */
import { createHash } from 'node:crypto'
import type { DataMap } from './schema.ts'

/** SHA-256 (hex) of the map's canonical JSON; comments, key order and quoting in the file don't count. */
export function mapVersion(map: DataMap): string {
  const { stores, subjects, tables, accept } = map
  return canonicalHash({ stores, subjects, tables, accept })
}

/** SHA-256 (hex) of canonical JSON: keys sorted, absent where undefined, no white space. */
export function canonicalHash(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex')
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`)
  return `{${members.join(',')}}`
}
