/**
 * What people typed and signed, apart from the evidence: rows and events name a statement by its hash. Erasing one leaves
 * the hash, so that whoever has kept a copy can still prove it, and nobody can read it here.
 */
import { hash } from 'node:crypto'
import { z } from 'zod'
import type { Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { namedStatements } from '../evidence/index.ts'
import type { Attested } from './attested.ts'

/** SHA-256 of the UTF-8 bytes, 64 hex digits: what evidence names a statement by. The nonce salts it. */
export function statementHash(statement: string): string {
  return hash('sha256', statement)
}

/**
 * Keeps the statement and its signature in the caller's transaction, under the hash (64 hex digits) by which everything else
 * names it. False: it was used before, also where it was erased since. A transaction that is using it now is waited for.
 */
export async function storeStatement(
  tx: Queryable,
  { statement, signature, token }: Omit<Attested, 'identity'>,
): Promise<boolean> {
  const inserted = await tx.execute(
    `INSERT INTO lethe_control.statements (hash, statement, signature, token, token_key_id)
     VALUES (decode($1, 'hex'), $2, $3, $4, $5) ON CONFLICT (hash) DO NOTHING`,
    [statementHash(statement), statement, signature, token?.cipher ?? null, token?.keyId ?? null],
  )
  return inserted === 1
}

const keptStatement = z
  .object({
    text: z.string().nullable(),
    signature: z.string().nullable(),
    token: z.instanceof(Buffer).nullable(),
    keyId: z.string().nullable(),
    at: z.date(),
  })
  .transform(({ token, keyId, ...row }) => ({
    ...row,
    token: token === null || keyId === null ? null : { cipher: token, keyId },
  }))
/** `at`: when it came in, by the database's clock; text and signature are null once erased. */
export type KeptStatement = z.infer<typeof keptStatement>

export async function readStatement(control: Queryable, hash: string): Promise<KeptStatement | null> {
  const [found] = await control.query(
    keptStatement,
    `SELECT statement AS text, signature, token, token_key_id AS "keyId", at FROM lethe_control.statements
     WHERE hash = decode($1, 'hex')`,
    [hash],
  )
  return found ?? null
}

/** Statements, oldest first, whose token is kept although they came in more than `days` ago; at most fifty. */
export async function oldTokens(control: Queryable, days: number): Promise<string[]> {
  const rows = await control.query(
    z.object({ hash: z.string() }),
    `SELECT encode(hash, 'hex') AS hash FROM lethe_control.statements
     WHERE token IS NOT NULL AND at < clock_timestamp() - make_interval(days => $1) ORDER BY number LIMIT 50`,
    [days],
  )
  return rows.map((row) => row.hash)
}

/** The token goes, its digest stays. */
export async function forgetToken(control: Queryable, hash: string): Promise<void> {
  await control.execute(
    `UPDATE lethe_control.statements SET token = NULL, token_key_id = NULL WHERE hash = decode($1, 'hex') AND token IS NOT NULL`,
    [hash],
  )
}

/** SQL: joins the statement of hash `hash` (SQL) as `alias`, with its columns `statement` and `signature`; null where there is none. */
export function joinStatement(alias: string, hash: string): string {
  return `LEFT JOIN lethe_control.statements ${alias} ON ${alias}.hash = ${hash}`
}

/** The reason in a statement's text; null is the text of an erased one. */
export function reasonOf(text: string | null): string {
  if (text === null) return '(erased)'
  try {
    return z.object({ reason: z.string() }).parse(JSON.parse(text)).reason
  } catch {
    // a listing goes on; whoever acts on a statement parses it strictly
    return '(unreadable)'
  }
}

/** When the text was erased, null where it was not; `undefined`: nothing has this hash. Nobody can refer to it anew before the transaction ends. */
export async function lockStatement(tx: Queryable, hash: string): Promise<Date | null | undefined> {
  const [found] = await tx.query(
    z.object({ erasedAt: z.date().nullable() }),
    `SELECT erased_at AS "erasedAt" FROM lethe_control.statements WHERE hash = decode($1, 'hex') FOR UPDATE`,
    [hash],
  )
  return found?.erasedAt
}

/** Returns the instant. Whether it may go is for the caller to judge, under `lockStatement`. */
export async function eraseStatement(tx: Queryable, hash: string): Promise<Date> {
  const [erased] = await tx.query(
    z.object({ at: z.date() }),
    `UPDATE lethe_control.statements SET statement = NULL, signature = NULL, token = NULL, token_key_id = NULL, erased_at = clock_timestamp()
     WHERE hash = decode($1, 'hex') AND erased_at IS NULL RETURNING erased_at AS at`,
    [hash],
  )
  if (erased !== undefined) return erased.at
  throw new LetheError('E_NOT_FOUND', { message: `There is no text ${hash} to erase.` })
}

/** Events whose statement is gone although nobody erased it by a command; the first hundred. */
export async function lostStatements(tx: Queryable): Promise<string[]> {
  const rows = await tx.query(
    z.object({ id: z.string() }),
    `SELECT e.id FROM (${namedStatements}) AS e ${joinStatement('s', `decode(e.statement, 'hex')`)}
     WHERE s.hash IS NULL OR s.statement IS NULL AND NOT e.erased ORDER BY e.id LIMIT 100`,
  )
  return rows.map(({ id }) => id)
}
