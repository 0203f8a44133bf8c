/** Standing appraisals: one decision for a class of records, with a ceiling, for at most twelve months. */
import { z } from 'zod'
import { newId } from '../../base/clock/index.ts'
import type { Database, Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { recordDecision, type Attested } from '../decisions/index.ts'

export interface NewAppraisal {
  policy: string
  policyVersion: string
  recordsClass: string
  /** Subjects in one run at most; a larger proposal waits for a person. */
  ceiling: number
  validUntil: Date
}

/** Throws E_APPRAISAL where it would not end in the future and within twelve months, E_STATEMENT_USED. Returns its id. */
export async function insertAppraisal(
  control: Database,
  appraisal: NewAppraisal,
  by: Attested,
): Promise<string> {
  await requireEnd(control, appraisal.validUntil)
  const { policy, policyVersion: version, recordsClass, ceiling, validUntil } = appraisal
  const { name: actor, method } = by.identity
  return control.transaction(
    (tx) =>
      recordDecision(
        tx,
        by,
        async (statement) => {
          const id = newId()
          await tx.execute(
            `INSERT INTO lethe_control.appraisals (id, policy, policy_version, records_class, ceiling_subjects, valid_until,
               actor, method, statement_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, decode($9, 'hex'))`,
            [id, policy, version, recordsClass, ceiling, validUntil, actor, method, statement],
          )
          return id
        },
        (signed, written) => ({
          type: 'appraisal.added',
          data: {
            appraisal: written,
            policy,
            version,
            ceiling,
            validUntil: validUntil.toISOString(),
            ...signed,
          },
        }),
        async (statement) => {
          const [found] = await tx.query(
            z.object({ made: z.string() }),
            `SELECT id AS made FROM lethe_control.appraisals WHERE statement_hash = decode($1, 'hex') AND revoked_at IS NULL`,
            [statement],
          )
          return found ?? null
        },
      ),
    { retry: true },
  )
}

async function requireEnd(control: Queryable, validUntil: Date): Promise<void> {
  const [fits] = await control.query(
    z.object({ fits: z.boolean() }),
    `SELECT $1::timestamptz > now() AND $1::timestamptz <= now() + interval '12 months' AS fits`,
    [validUntil],
  )
  if (fits?.fits === true) return
  throw new LetheError('E_APPRAISAL', {
    message: 'A standing appraisal ends in the future, and within twelve months.',
    next: 'Give an earlier --until.',
  })
}

/** Throws E_NOT_FOUND where there is none in force. */
export async function revokeAppraisal(control: Database, id: string, by: Attested): Promise<void> {
  await control.transaction(
    (tx) =>
      recordDecision(
        tx,
        by,
        async (statement) => {
          const revoked = await tx.execute(
            `UPDATE lethe_control.appraisals SET revoked_at = now(), revoked_by = $2, revocation_hash = decode($3, 'hex')
             WHERE id::text = $1 AND revoked_at IS NULL`,
            [id, by.identity.name, statement],
          )
          if (revoked === 0)
            throw new LetheError('E_NOT_FOUND', { message: `There is no appraisal ${id} in force.` })
        },
        (signed) => ({ type: 'appraisal.revoked', data: { appraisal: id, ...signed } }),
        async (statement) => {
          const rows = await tx.query(
            z.object({ id: z.string() }),
            `SELECT id FROM lethe_control.appraisals WHERE id::text = $1 AND revocation_hash = decode($2, 'hex')`,
            [id, statement],
          )
          return rows.length === 0 ? null : { made: undefined }
        },
      ),
    { retry: true },
  )
}

/** Throws E_NOT_FOUND. */
export async function getAppraisal(
  control: Queryable,
  id: string,
): Promise<{ ceiling: number; validUntil: Date; revoked: boolean }> {
  const [row] = await control.query(
    z.object({ ceiling: z.coerce.number(), validUntil: z.date(), revoked: z.boolean() }),
    `SELECT ceiling_subjects AS ceiling, valid_until AS "validUntil", revoked_at IS NOT NULL AS revoked
     FROM lethe_control.appraisals WHERE id = $1`,
    [id],
  )
  if (row !== undefined) return row
  throw new LetheError('E_NOT_FOUND', { message: `There is no appraisal ${id}.` })
}

/** SQL: the appraisal in force that stands on statement `$1` (its hash in hex). */
export const appraisalsInForce = `SELECT 'appraisal' AS what, id::text, 'valid' AS state, policy AS of FROM lethe_control.appraisals
   WHERE statement_hash = decode($1, 'hex') AND revoked_at IS NULL AND valid_until > clock_timestamp()`
