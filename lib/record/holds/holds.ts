/** Legal holds: who set one and why, what it covers, and its release. The key is sealed; nothing stands in clear. */
import { z } from 'zod'
import { newId } from '../../base/clock/index.ts'
import type { Database, Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { HASH_VERSION, type Keystore } from '../../base/keystore/index.ts'
import { parseTableName, tableKey } from '../../data/datamap/index.ts'
import { joinStatement, recordDecision, type Attested } from '../decisions/index.ts'
import { listed, type Hold, type NewHold } from './hold.ts'

/**
 * Its key has the one text that all equal values have (keyText). Returns the hold's id; of the hold that stands on the
 * same statement, where it was added before. Throws E_STATEMENT_USED where that one is released.
 */
export async function insertHold(
  control: Database,
  keystore: Keystore,
  hold: NewHold,
  by: Attested,
): Promise<string> {
  const sealed = hold.key === undefined ? null : keystore.seal(JSON.stringify(hold.key))
  return control.transaction(
    (tx) =>
      recordDecision(
        tx,
        by,
        async (statement) => {
          const id = newId()
          await tx.execute(
            `INSERT INTO lethe_control.holds (id, level, store, subject_kind, table_name, key_hash, key_cipher, key_id, kind, owner,
               review_at, created_by, method, statement_hash, request_id, hash_version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, decode($14, 'hex'), $15,
               CASE WHEN $6::bytea IS NOT NULL THEN ${HASH_VERSION} END)`,
            [
              id,
              hold.level,
              hold.store,
              hold.subject ?? null,
              ownTableName(hold),
              hold.level === 'subject' && hold.key
                ? keystore.subjectHash(hold.store, hold.subject ?? '', hold.key)
                : null,
              sealed?.cipher ?? null,
              sealed?.keyId ?? null,
              hold.kind,
              hold.owner,
              hold.reviewAt,
              by.identity.name,
              by.identity.method,
              statement,
              hold.request ?? null,
            ],
          )
          return id
        },
        (signed, written) => ({
          type: 'hold.added',
          data: { hold: written, level: hold.level, kind: hold.kind, store: hold.store, ...signed },
        }),
        async (statement) => {
          const [found] = await tx.query(
            z.object({ made: z.string() }),
            `SELECT id AS made FROM lethe_control.holds WHERE statement_hash = decode($1, 'hex') AND released_at IS NULL`,
            [statement],
          )
          return found ?? null
        },
      ),
    { retry: true },
  )
}

/** As the deleting statements compare it. */
function ownTableName(hold: NewHold): string | null {
  const parsed = hold.table === undefined ? null : parseTableName(hold.table)
  return parsed === null ? null : tableKey(parsed)
}

/** Idempotent. Returns the hold's store, whose projection has to follow. Throws E_NOT_FOUND. */
export async function markReleased(control: Database, id: string, by: Attested): Promise<string> {
  return control.transaction(
    async (tx) => {
      const [found] = await tx.query(
        z.object({ store: z.string(), released: z.boolean() }),
        `SELECT store, released_at IS NOT NULL AS released FROM lethe_control.holds WHERE id::text = $1 FOR UPDATE`,
        [id],
      )
      if (found === undefined)
        throw new LetheError('E_NOT_FOUND', {
          message: `There is no hold ${id}.`,
          next: 'See `lethe hold list`.',
        })
      if (found.released) return found.store
      await recordDecision(
        tx,
        by,
        (statement) =>
          tx.execute(
            `UPDATE lethe_control.holds SET released_by = $2, release_hash = decode($3, 'hex'), released_at = now()
             WHERE id::text = $1`,
            [id, by.identity.name, statement],
          ),
        (signed) => ({ type: 'hold.released', data: { hold: id, ...signed } }),
      )
      return found.store
    },
    { retry: true },
  )
}

/** Oldest first. */
export async function listHolds(
  control: Queryable,
  filter: { overdue?: boolean; released?: boolean } = {},
): Promise<Hold[]> {
  return control.query(
    listed,
    `SELECT id, level, store, subject_kind AS subject, table_name AS "table", request_id AS request, kind, owner, review_at::text AS "reviewAt",
       released_at IS NULL AND review_at < current_date AS overdue, created_by AS "createdBy", created_at AS "createdAt",
       released_at AS "releasedAt", projected_at IS NOT NULL AS projected,
       encode(statement_hash, 'hex') AS statement, s.statement AS text,
       encode(release_hash, 'hex') AS "releaseStatement", r.statement AS "releaseText"
     FROM lethe_control.holds h ${joinStatement('s', 'h.statement_hash')} ${joinStatement('r', 'h.release_hash')}
     WHERE ($1 OR released_at IS NULL) AND (NOT $2 OR (released_at IS NULL AND review_at < current_date)) ORDER BY created_at`,
    [filter.released ?? false, filter.overdue ?? false],
  )
}

/** Of holds that are not released: those not in force in their store yet, and those whose review is due. */
export async function countHolds(control: Queryable): Promise<{ pending: number; overdue: number }> {
  const [row] = await control.query(
    z.object({ pending: z.coerce.number(), overdue: z.coerce.number() }),
    `SELECT count(*) FILTER (WHERE released_at IS NULL AND projected_at IS NULL) AS pending,
       count(*) FILTER (WHERE released_at IS NULL AND review_at < current_date) AS overdue FROM lethe_control.holds`,
  )
  return row ?? { pending: 0, overdue: 0 }
}

/** Ids of the holds on one subject by name that are not released, oldest first. `hashes`: under every key of the keystore. */
export async function holdsOnSubject(
  control: Queryable,
  { store, subjectKind, hashes }: { store: string; subjectKind: string; hashes: readonly Buffer[] },
): Promise<string[]> {
  const rows = await control.query(
    z.object({ id: z.string() }),
    `SELECT id FROM lethe_control.holds WHERE level = 'subject' AND store = $1 AND subject_kind = $2 AND key_hash = ANY ($3::bytea[])
       AND released_at IS NULL ORDER BY created_at`,
    [store, subjectKind, hashes],
  )
  return rows.map(({ id }) => id)
}

/** SQL: the hold that stands on statement `$1` (its hash in hex) and is not released, in the columns of appraisalsInForce (proposals). */
export const holdsInForce = `SELECT 'hold' AS what, id::text, 'not released' AS state, store AS of FROM lethe_control.holds
   WHERE statement_hash = decode($1, 'hex') AND released_at IS NULL`
