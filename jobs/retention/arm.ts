/** A new policy only observes. Arming says: this version may destroy. Another version observes until it is armed too. */
import { z } from 'zod'
import type { ResolvedPolicy } from '../../lib/config/index.ts'
import type { Queryable } from '../../lib/db/index.ts'
import { appendEvent } from '../../lib/ledger/index.ts'
import { authorise, verbs, type Attested } from '../../lib/identity/index.ts'
import type { Context } from '../context.ts'
import { findPolicy, policyVersion } from './policy.ts'

export type Mode = 'observe' | 'armed'

export interface PolicyMode {
  policy: string
  mode: Mode
  version: string
  /** Armed once, but as another version: it observes. */
  changed: boolean
}

const row = z.object({ mode: z.enum(['observe', 'armed']), armed_version: z.string().nullable() })

export async function policyMode(control: Queryable, policy: ResolvedPolicy): Promise<PolicyMode> {
  const version = policyVersion(policy)
  const [found] = await control.query(
    row,
    `SELECT mode, armed_version FROM lethe_control.policies WHERE name = $1`,
    [policy.name],
  )
  const armed = found?.mode === 'armed'
  return {
    policy: policy.name,
    mode: armed && found.armed_version === version ? 'armed' : 'observe',
    version,
    changed: armed && found.armed_version !== version,
  }
}

/** Idempotent. Throws E_NOT_FOUND, and what `authorise` throws. */
export async function setMode(context: Context, name: string, mode: Mode, by: Attested): Promise<PolicyMode> {
  authorise(by.identity, verbs[mode === 'armed' ? 'policy.arm' : 'policy.disarm'])
  const policy = findPolicy(context, name)
  const version = policyVersion(policy)
  await context.control.transaction(
    async (tx) => {
      await tx.execute(
        `INSERT INTO lethe_control.policies (name, mode, armed_version, armed_by, armed_at) VALUES ($1, $2, $3, $4, now())
         ON CONFLICT (name) DO UPDATE SET mode = EXCLUDED.mode, armed_version = EXCLUDED.armed_version,
           armed_by = EXCLUDED.armed_by, armed_at = EXCLUDED.armed_at, updated_at = now()`,
        [name, mode, mode === 'armed' ? version : null, by.identity.name],
      )
      const actor = by.identity.name
      const { method } = by.identity
      await appendEvent(
        tx,
        mode === 'armed'
          ? { type: 'policy.armed', actor, data: { policy: name, version, method } }
          : { type: 'policy.disarmed', actor, data: { policy: name, method } },
      )
    },
    { retry: true },
  )
  return policyMode(context.control, policy)
}
