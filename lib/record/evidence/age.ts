/**
 * Lets old contents go: events are deleted and their salts emptied, so that nobody can guess what a hash was made of. The
 * entries, the tree and every signed head stay, and the log still verifies.
 */
import { z } from 'zod'
import type { Database, Transaction } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { headBefore, type Trust } from './heads.ts'
import { refuseSkew } from './skew.ts'

/** Takes part in no work: lets old contents of the evidence log go. The triggers know it by this name. */
export const RETENTION_ROLE = 'lethe_retention'

export interface Aging {
  /** Entries below this index may go: a signed head that is older than the period covers them. */
  before: number
  /** How many of them still have a content. */
  entries: number
}

/** `keep`: a PostgreSQL interval. Only heads that `trust` has signed count: a row can be made up, a signature can't. Throws E_EVIDENCE_CLOCK. */
export async function agingOf(control: Database, trust: Trust, keep: string): Promise<Aging> {
  const [limit] = await control.query(
    z.object({ now: z.date(), cutoff: z.date() }),
    `SELECT clock_timestamp() AS now, clock_timestamp() - $1::interval AS cutoff`,
    [keep],
  )
  const { now, cutoff } = limit ?? { now: new Date(0), cutoff: new Date(0) }
  refuseSkew(now, 'No content ages out')
  const before = (await headBefore(control, trust, { at: cutoff }))?.size ?? 0
  const [row] = await control.query(
    z.object({ entries: z.coerce.number() }),
    `SELECT count(*) AS entries FROM lethe_control.evidence_entries WHERE index < $1 AND salt IS NOT NULL`,
    [before],
  )
  return { before, entries: row?.entries ?? 0 }
}

/**
 * One batch of entries in [from, before), in a transaction of the retention role: how many contents went, and where to go
 * on; null: none is left. Idempotent. Throws E_DATABASE_PRIVILEGE where the login is no member of the role.
 */
export async function ageContents(
  retention: Database,
  { from, before, limit = 5_000 }: { from: number; before: number; limit?: number },
): Promise<{ gone: number; next: number | null }> {
  return retention.transaction(async (tx) => {
    await takeRole(tx)
    const [row] = await tx.query(
      z.object({ gone: z.coerce.number(), last: z.coerce.number().nullable() }),
      `WITH old AS MATERIALIZED (
         SELECT index, event_id FROM lethe_control.evidence_entries
         WHERE index >= $1 AND index < $2 AND salt IS NOT NULL ORDER BY index LIMIT $3
       ), deleted AS (
         DELETE FROM lethe_control.events e USING old WHERE e.id = old.event_id
       ), emptied AS (
         UPDATE lethe_control.evidence_entries x SET salt = NULL FROM old WHERE x.index = old.index RETURNING x.index
       )
       SELECT count(*) AS gone, max(index) AS last FROM emptied`,
      [from, before, limit],
    )
    const last = row?.last ?? null
    return { gone: row?.gone ?? 0, next: last === null || last + 1 >= before ? null : last + 1 }
  })
}

async function takeRole(tx: Transaction): Promise<void> {
  const [login] = await tx.query(
    z.object({ name: z.string(), member: z.boolean() }),
    `SELECT current_user AS name,
       EXISTS (SELECT FROM pg_roles WHERE rolname = $1 AND pg_has_role(current_user, oid, 'MEMBER')) AS member`,
    [RETENTION_ROLE],
  )
  if (login?.member !== true)
    throw new LetheError('E_DATABASE_PRIVILEGE', {
      message: `The contents of old evidence stay: login ${login?.name ?? ''} is no member of the role ${RETENTION_ROLE}.`,
      next: `Run what \`lethe grants --sql\` prints for the control database, then: GRANT ${RETENTION_ROLE} TO "${login?.name ?? ''}";`,
    })
  await tx.execute(`SET LOCAL ROLE ${RETENTION_ROLE}`)
}
