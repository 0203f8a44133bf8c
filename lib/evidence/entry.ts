/**
 * What the log holds of an event: a commitment, not the event. The content can age out and its hash stay, and a hash
 * without its salt can't be guessed back to what was hashed.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { canonicalJson } from '../canonical/index.ts'
import { randomSecret } from '../clock/index.ts'

const SALT = 16

export interface Entry {
  /** SHA-256 over salt and content: the bytes of the tree's leaf. */
  entry: Buffer
  salt: Buffer
  /** Canonical JSON (UTF-8) of a `Content`. */
  content: Buffer
}

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

export function makeEntry(content: Content): Entry {
  const salt = randomSecret(SALT)
  const bytes = Buffer.from(canonicalJson(content))
  return { entry: commitment(salt, bytes), salt, content: bytes }
}

export function commitment(salt: Uint8Array, content: Uint8Array): Buffer {
  return createHash('sha256').update(salt).update(content).digest()
}
