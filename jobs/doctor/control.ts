/** The control database: the record, and what it says about the rest. */
import type { Database } from '../../lib/base/db/index.ts'
import { appendOnlyState, appendOnlyTables, controlRights } from '../../lib/record/grants/index.ts'
import { countHolds } from '../../lib/record/holds/index.ts'
import { aliveRoles, workersNotUnder } from '../../lib/record/ledger/index.ts'
import { examine, type Finding } from './finding.ts'
import { examineRights } from './rights.ts'
import { examineServer } from './server.ts'

/** `readable`: Lethe's schema is current and this role may read it, so that others may ask it too. */
export async function examineControl(
  control: Database,
  configVersion: string,
): Promise<{ findings: Finding[]; readable: boolean }> {
  const server = await examineServer(control, 'control')
  if (!server.current) return { findings: server.findings, readable: false }
  const { findings: rights } = await examineRights(control, 'lethe_control', controlRights)
  if (rights.some((finding) => finding.severity === 'error'))
    return { findings: [...server.findings, ...rights], readable: false }
  const findings = [
    ...server.findings,
    ...rights,
    ...(await evidence(control)),
    ...(await holds(control)),
    ...(await processes(control)),
    ...(await outdated(control, configVersion)),
  ]
  return { findings, readable: true }
}

/** Triggers refuse changes to everyone, but the owner can drop a trigger. */
async function evidence(control: Database): Promise<Finding[]> {
  const check = examine('append-only', 'control')
  const { changeable, triggersMissing } = await appendOnlyState(control)
  if (triggersMissing)
    return check.error(
      'A trigger that keeps the evidence append-only is missing or disabled.',
      `ALTER TABLE … ENABLE TRIGGER ALL for ${appendOnlyTables.join(', ')}; find out who disabled them.`,
    )
  return changeable
    ? check.warning(
        'This role could change or remove evidence (it owns the tables, or is a superuser).',
        'Let the workers connect as a member of lethe_worker: `lethe grants --sql`. Keep the owner for `lethe migrate`.',
      )
    : check.ok('this role can add evidence and not change it')
}

async function holds(control: Database): Promise<Finding[]> {
  const check = examine('holds', 'control')
  const { pending, overdue } = await countHolds(control)
  return [
    ...(pending > 0
      ? check.error(
          `${pending} hold${pending === 1 ? ' is' : 's are'} recorded and not yet in force in the store.`,
          'Add the hold again, or see why its store did not answer; each sweep also projects them before it proposes.',
        )
      : check.ok('every hold is in force in its store')),
    ...(overdue > 0
      ? examine('holds-overdue', 'control').warning(
          `The review date of ${overdue} hold${overdue === 1 ? '' : 's'} has passed.`,
          'See `lethe hold list --overdue`; renew or release each.',
        )
      : []),
  ]
}

async function processes(control: Database): Promise<Finding[]> {
  const check = examine('processes', 'control')
  const alive = await aliveRoles(control)
  const missing = ['dispatcher', 'retention', 'erasure', 'evidence'].filter((role) => !alive.includes(role))
  return missing.length === 0
    ? check.ok(`alive: ${alive.join(', ')}`)
    : check.warning(
        `No process has the role ${missing.join(' or ')}: nothing is ${missing.includes('dispatcher') ? 'scheduled' : 'carried out'}.`,
        `Start one: lethe work ${missing.join(' ')}.`,
      )
}

/** A process reads its configuration once, when it starts. */
async function outdated(control: Database, configVersion: string): Promise<Finding[]> {
  const check = examine('processes-config', 'control')
  const ids = await workersNotUnder(control, configVersion)
  return ids.length === 0
    ? []
    : check.warning(
        `Running under another configuration than this one: ${ids.join(', ')}.`,
        'Start these processes again: each reads lethe.yaml once, when it starts.',
      )
}
