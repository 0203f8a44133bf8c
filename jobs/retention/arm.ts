/** A new policy only observes. Arming says: this version may destroy. Another version observes until it is armed too. */
import { z } from 'zod'
import type { ResolvedPolicy } from '../../lib/config/index.ts'
import type { Database, Queryable } from '../../lib/base/db/index.ts'
import { storeStatement } from '../../lib/record/decisions/index.ts'
import { appendEvent } from '../../lib/record/evidence/index.ts'
import { listRuns, requestRun } from '../../lib/record/ledger/index.ts'
import { LetheError } from '../../lib/base/errors/index.ts'
import { authorise, verbs, type Attested } from '../../lib/people/identity/index.ts'
import type { Context } from '../context.ts'
import { findPolicy, policyVersion } from './policy.ts'
import { listProposals } from './proposal.ts'

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

/**
 * Idempotent. To disarm also calls off the run that waits for a decision or destroys now: it ends after the subject in
 * hand; a run that only observes goes on. Throws E_NOT_FOUND and what `authorise` throws.
 */
export async function setMode(context: Context, name: string, mode: Mode, by: Attested): Promise<PolicyMode> {
  authorise(by.identity, verbs[mode === 'armed' ? 'policy.arm' : 'policy.disarm'])
  const policy = findPolicy(context, name)
  const version = policyVersion(policy)
  await context.control.transaction(
    async (tx) => {
      const statement = await storeStatement(tx, by)
      await tx.execute(
        `INSERT INTO lethe_control.policies (name, mode, armed_version, armed_by, armed_at, statement_hash)
         VALUES ($1, $2, $3, $4, now(), decode($5, 'hex'))
         ON CONFLICT (name) DO UPDATE SET mode = EXCLUDED.mode, armed_version = EXCLUDED.armed_version,
           armed_by = EXCLUDED.armed_by, armed_at = EXCLUDED.armed_at, statement_hash = EXCLUDED.statement_hash,
           updated_at = now()`,
        [name, mode, mode === 'armed' ? version : null, by.identity.name, statement],
      )
      const actor = by.identity.name
      const { method } = by.identity
      await appendEvent(
        tx,
        mode === 'armed'
          ? { type: 'policy.armed', actor, data: { policy: name, version, method, statement } }
          : { type: 'policy.disarmed', actor, data: { policy: name, method, statement } },
      )
    },
    { retry: true },
  )
  if (mode === 'observe') await callOff(context.control, name, by.identity.name)
  return policyMode(context.control, policy)
}

/** A run that has no proposal yet reads the mode when it makes one, and again before it destroys. */
async function callOff(control: Database, policy: string, actor: string): Promise<void> {
  const states = ['queued', 'running', 'waiting', 'paused'] as const
  const [run] = await listRuns(control, { kind: 'retention.sweep', scope: policy, states })
  if (run === undefined) return
  const proposal = (await listProposals(control, { policy })).find((one) => one.runId === run.id)
  if (proposal?.state !== 'waiting' && proposal?.state !== 'approved') return
  try {
    await requestRun(control, run.id, 'cancel', actor)
  } catch (error) {
    // it ended by itself meanwhile
    if (!(error instanceof LetheError) || error.code !== 'E_ILLEGAL_TRANSITION') throw error
  }
}
