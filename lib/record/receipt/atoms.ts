/** What members of a receipt are made of: narrow on purpose, so that an identity finds no member to stand in. */
import { z } from 'zod'

/** UTC. */
export const instant = z.iso.datetime()
/** SHA-256 or HMAC-SHA-256. */
export const hash = z.string().regex(/^[0-9a-f]{64}$/, 'is no hash: 64 lower-case hexadecimal digits')
/** A name that a machine gave: a store, a version, an operator as the configuration names them. No `@`, no space. */
export const token = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}$/, 'is no name: letters, digits and _ . : / -')
/** A sentence or a place that the configuration or an eraser wrote, never a person: one line of what one can see. */
export const line = z
  .string()
  .min(1, 'is empty')
  .max(500, 'is longer than 500 characters')
  .refine((text) => !UNSEEN.test(text), 'holds a character that nobody sees: of control or of direction')
  .refine((text) => !ADDRESS.test(text), 'holds what looks like an address of a person')
/** Items by place. */
export const counts = z.record(line, z.int().nonnegative())

/** Control characters, line ends, half characters, and what turns or hides the text around it. */
const UNSEEN = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]/u
const ADDRESS = /[^\s@]@[^\s@]|%40/iu

/**
 * A text that somebody typed, as a line: without it one address in a ground would keep a request, and all that end with it,
 * from ever having a receipt.
 */
export function toLine(text: string): string {
  const seen = text.replaceAll(new RegExp(UNSEEN, 'gu'), ' ')
  const bare = seen.replaceAll(/\S+/gu, (word) => (ADDRESS.test(word) ? '[address]' : word))
  return bare.slice(0, 500).toWellFormed().trim() || 'not said'
}

/** For a page or a terminal: what nobody sees becomes a mark that everybody sees. */
export function visible(text: string): string {
  return text.replaceAll(new RegExp(UNSEEN, 'gu'), '\uFFFD')
}
