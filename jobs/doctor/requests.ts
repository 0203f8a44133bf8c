/** Erasure requests: what is late, what waits for a person, what an application asked for and nobody took, the ledger's copy. */
import type { Config } from '../../lib/config/index.ts'
import type { Database } from '../../lib/base/db/index.ts'
import { bucketCopyStatus } from '../../lib/record/erasures/index.ts'
import { listStops } from '../../lib/record/holds/index.ts'
import { stoppedScopes } from '../../lib/record/ledger/index.ts'
import {
  countDue,
  countOpen,
  countStuckLegs,
  countWaitingForPerson,
  FAILING_INTAKE,
  intakeState,
  REFUSED_INTAKE,
} from '../../lib/record/requests/index.ts'
import { CASCADE, stoppedWords, stopWords } from '../standstill.ts'
import { examine, type Finding } from './finding.ts'

/** A worker takes in what applications ask within a round, and copies the ledger before it destroys. */
const BEHIND_SECONDS = 900
/** Longer than a round, and than a worker's restart. */
const SOON_SECONDS = 60

export async function examineRequests(control: Database, { file }: Config): Promise<Finding[]> {
  const { overdue, withinDay, withinFiveDays, withinTenDays } = await countDue(control)
  const soon = withinDay + withinFiveDays + withinTenDays
  const waiting = await countWaitingForPerson(control)
  const legs = await countStuckLegs(control)
  const due = examine('erasure-due', 'control')
  const person = examine('erasure-waiting', 'control')
  return [
    ...(await stops(control)),
    ...(await standing(control, file.subjects)),
    ...(overdue > 0
      ? due.error(
          `${many(overdue, 'erasure request')} ${overdue === 1 ? 'is' : 'are'} past the day by which the person had to be answered.`,
          'See `lethe erasure list --due`, and `lethe erasure status ID` for what each waits for; answer the person now.',
        )
      : due.ok('no erasure request is overdue')),
    ...(soon > 0
      ? due.warning(
          `${many(soon, 'erasure request')} ${soon === 1 ? 'is' : 'are'} due within ten days.`,
          'See `lethe erasure list --due`; where it can not be done in time, extend it within the month: `lethe erasure extend ID --reason "WHY"`.',
        )
      : []),
    ...(waiting.length > 0
      ? person.warning(
          `Erasure requests wait for a person: ${waiting.map(({ why, count }) => `${count} ${why}`).join(', ')}.`,
          'See `lethe erasure list --due`; `lethe erasure status ID` says what each needs. `unusable`: the worker itself can not call that store, whatever this shell can.',
        )
      : []),
    ...(legs.length > 0
      ? person.warning(
          `Trying again did not help at: ${legs.map(({ store, count }) => `${store} (${count})`).join(', ')}.`,
          'Mend the store, then `lethe erasure retry ID --reason "WHY"`; or answer for it: `lethe erasure accept ID STORE --reason "WHY"`.',
        )
      : []),
    ...(await ledger(control, file.locked_bucket?.name ?? null)),
  ]
}

/** What somebody stopped or paused: everything waits for them. */
async function stops(control: Database): Promise<Finding[]> {
  return (await listStops(control)).flatMap((one) =>
    examine('stopped', one.name).warning(
      stopWords(one),
      one.scope === 'store'
        ? `lethe resume ${one.name} --reason "WHY" (role cto).`
        : `lethe retention resume ${one.name}`,
    ),
  )
}

/** Kinds of subject whose every request is stopped by a run that fails. */
async function standing(control: Database, subjects: Config['file']['subjects']): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const stopped of await stoppedScopes(control, CASCADE)) {
    const { scope, code } = stopped
    const store = subjects[scope]?.store ?? ''
    const open = await countOpen(control, scope)
    const waits =
      open === 0
        ? 'What applications ask for is not taken in.'
        : `${many(open, 'request')} ${open === 1 ? 'waits' : 'wait'} for that.`
    const page = 'runbooks/alerts/erasure-stopped.md'
    findings.push(
      ...examine('erasure-stopped', scope).error(
        `${stoppedWords(stopped, store)} ${waits}`,
        code === 'E_MAP_FINDINGS' ? `lethe datamap check ${store}; see ${page}.` : `See ${page}.`,
      ),
    )
  }
  return findings
}

async function ledger(control: Database, bucket: string | null): Promise<Finding[]> {
  const check = examine('erasure-ledger', 'control')
  const { objects, waiting, oldestSeconds } = await bucketCopyStatus(control)
  if (bucket === null)
    return objects === 0
      ? []
      : check.warning(
          'The erasure ledger stands in the control database only: a restore that takes it back too forgets whom to erase again.',
          'Give locked_bucket; entries from before are written there too.',
        )
  return oldestSeconds > BEHIND_SECONDS
    ? check.error(
        `${many(waiting, 'entry', 'entries')} of the erasure ledger ${waiting === 1 ? 'is' : 'are'} not in bucket ${bucket} yet: nothing is erased before.`,
        'See runbooks/alerts/erasure-ledger-behind.md.',
      )
    : check.ok(`the erasure ledger is copied to bucket ${bucket} (${objects} objects)`)
}

/** In a store's own database: what its applications asked for. */
export async function examineIntake(target: Database): Promise<Finding[]> {
  const check = examine('erasure-intake', target.name)
  const { waiting, oldest, refused, failing } = await intakeState(target)
  const taken = `${many(waiting, 'call')} of applications ${waiting === 1 ? 'is' : 'are'} not taken in yet, the oldest for ${many(Math.floor(oldest / 60), 'minute')}.`
  const mend = 'Is a process with the role erasure running? Its log says why it can not take them in.'
  return [
    ...(oldest > BEHIND_SECONDS
      ? check.error(taken, mend)
      : oldest > SOON_SECONDS
        ? check.warning(taken, mend)
        : []),
    ...(Object.keys(failing).length > 0
      ? check.error(
          `Calls of applications can not be followed now, and are tried again: ${Object.entries(failing)
            .map(([code, count]) => `${count} ${code}`)
            .join(', ')}.`,
          `${FAILING_INTAKE} lists them, runbooks/errors.md says what a code means; mended, they are taken in within five minutes.`,
        )
      : []),
    ...(refused > 0
      ? check.warning(
          `${many(refused, 'call')} of applications in the last 30 days could not be followed.`,
          `${REFUSED_INTAKE} says why; the application asks again.`,
        )
      : []),
  ]
}

function many(count: number, one: string, more = `${one}s`): string {
  return `${count} ${count === 1 ? one : more}`
}
