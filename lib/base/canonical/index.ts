/** Canonical JSON (RFC 8785) and its hash: the same bytes whatever the order in which members were written. */
import { createHash } from 'node:crypto'
import serialize from 'canonicalize'

/** Members that are undefined are left out, as JSON does. */
export function canonicalJson(value: unknown): string {
  return serialize(value) ?? 'null'
}

/** What the text says; `undefined` where it is no JSON. */
export function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** SHA-256 (hex) of the canonical JSON. */
export function canonicalHash(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex')
}
