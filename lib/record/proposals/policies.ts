/** Which version of a policy may destroy. A policy that nobody armed only observes. */
import { z } from 'zod'
import type { Database, Queryable } from '../../base/db/index.ts'
import { recordDecision, type Attested } from '../decisions/index.ts'

export const modes = ['observe', 'armed'] as const
export type Mode = (typeof modes)[number]

/** The version that was armed; null: none is. */
export async function armedVersion(control: Queryable, policy: string): Promise<string | null> {
  const [found] = await control.query(
    z.object({ mode: z.enum(modes), armed_version: z.string().nullable() }),
    `SELECT mode, armed_version FROM lethe_control.policies WHERE name = $1`,
    [policy],
  )
  return found?.mode === 'armed' ? found.armed_version : null
}

/** The hash of the statement that armed it, in hex, and who did; null where it is not armed, or was before statements were kept. */
export async function armingOf(
  control: Queryable,
  policy: string,
): Promise<{ statement: string; actor: string } | null> {
  const [found] = await control.query(
    z.object({ statement: z.string(), actor: z.string() }),
    `SELECT encode(statement_hash, 'hex') AS statement, armed_by AS actor FROM lethe_control.policies
     WHERE name = $1 AND mode = 'armed' AND statement_hash IS NOT NULL AND armed_by IS NOT NULL`,
    [policy],
  )
  return found ?? null
}

/** SQL: the policy that statement `$1` (its hash in hex) armed, in the columns of appraisalsInForce. */
export const armingsInForce = `SELECT 'policy' AS what, name AS id, 'armed' AS state, name AS of FROM lethe_control.policies
   WHERE statement_hash = decode($1, 'hex') AND mode = 'armed'`

/** The statement that the mode stands on, used again, changes nothing. Throws E_STATEMENT_USED for an earlier one. */
export async function writeMode(
  control: Database,
  { policy, version, mode }: { policy: string; version: string; mode: Mode },
  by: Attested,
): Promise<void> {
  await control.transaction(
    (tx) =>
      recordDecision(
        tx,
        by,
        (statement) =>
          mode === 'observe'
            ? tx.execute(`SELECT lethe_control.disarm_policy($1, $2, decode($3, 'hex'))`, [
                policy,
                by.identity.name,
                statement,
              ])
            : tx.execute(
                `INSERT INTO lethe_control.policies (name, mode, armed_version, armed_by, armed_at, statement_hash)
             VALUES ($1, $2, $3, $4, now(), decode($5, 'hex'))
             ON CONFLICT (name) DO UPDATE SET mode = EXCLUDED.mode, armed_version = EXCLUDED.armed_version,
               armed_by = EXCLUDED.armed_by, armed_at = EXCLUDED.armed_at, statement_hash = EXCLUDED.statement_hash,
               updated_at = now()`,
                [policy, mode, version, by.identity.name, statement],
              ),
        (signed) =>
          mode === 'armed'
            ? { type: 'policy.armed', data: { policy, version, ...signed } }
            : { type: 'policy.disarmed', data: { policy, ...signed } },
        async (statement) => {
          const rows = await tx.query(
            z.object({ mode: z.enum(modes) }),
            `SELECT mode FROM lethe_control.policies WHERE name = $1 AND mode = $2 AND statement_hash = decode($3, 'hex')`,
            [policy, mode, statement],
          )
          return rows.length === 0 ? null : { made: 0 }
        },
      ),
    { retry: true },
  )
}
