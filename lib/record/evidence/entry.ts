/**
 * What the log holds of an event: a commitment, not the event. The content can age out and its hash stay, and a hash
 * without its salt can't be guessed back to what was hashed.
 */
import { hash } from 'node:crypto'
import { z } from 'zod'
import { randomSecret } from '../../base/clock/index.ts'

/** Bytes of a salt. */
export const SALT = 16

export const contentSchema = z.strictObject({
  v: z.literal(1),
  /** The event's number in the control database. */
  id: z.string(),
  type: z.string(),
  /** When the event was written, by the control database's clock. */
  at: z.iso.datetime({ precision: 6 }),
  /** When it got its index; never falls from one index to the next. */
  sequenced: z.iso.datetime({ precision: 6 }),
  actor: z.string().nullable(),
  run: z.string().nullable(),
  data: z.record(z.string(), z.unknown()),
})
export type Content = z.infer<typeof contentSchema>

/**
 * SQL giving the content of an event as canonical JSON (RFC 8785), so that hashing needs no second copy of it: names in
 * order, `data` as its writer left it. `event`: alias of a row of lethe_control.events; `sequenced`: SQL of the instant's text.
 */
export function contentSql(event: string, sequenced: string): string {
  const text = (column: string) => `coalesce(to_json(${event}.${column}::text)::text, 'null')`
  return `'{"actor":' || ${text('actor')} || ',"at":"' || ${instant(`${event}.at`)} || '","data":' || ${event}.data::text
    || ',"id":"' || ${event}.id || '","run":' || ${text('run_id')} || ',"sequenced":"' || ${sequenced}
    || '","type":' || ${text('type')} || ',"v":1}'`
}

/** SHA-256 over salt and content: the bytes that the tree hashes. */
export function commitment(salt: Uint8Array, content: Uint8Array): Buffer {
  return hash('sha256', Buffer.concat([salt, content]), 'buffer')
}

/** Salts of `count` entries, one behind the other. */
export function newSalts(count: number): Buffer {
  return randomSecret(count * SALT)
}

/** SQL of an instant as ISO 8601 in UTC, microseconds kept. */
export function instant(sql: string): string {
  return `to_char((${sql}) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
}
