/** Erasure requests: what is late, what waits for a person, what an application asked for and nobody took, the ledger's copy. */
import { z } from 'zod'
import type { Config } from '../../lib/config/index.ts'
import type { Database } from '../../lib/db/index.ts'
import { journalStatus } from '../../lib/ledger/index.ts'
import { countDue, countStuckLegs, countWaitingForPerson } from '../../lib/requests/index.ts'
import { examine, type Finding } from './finding.ts'

/** A worker takes in what applications ask within a round, and copies the ledger before it destroys. */
const BEHIND_SECONDS = 900

export async function examineRequests(control: Database, { file }: Config): Promise<Finding[]> {
  const { overdue, withinDay, withinFiveDays, withinTenDays } = await countDue(control)
  const soon = withinDay + withinFiveDays + withinTenDays
  const waiting = await countWaitingForPerson(control)
  const legs = await countStuckLegs(control)
  const due = examine('erasure-due', 'control')
  const person = examine('erasure-waiting', 'control')
  return [
    ...(overdue > 0
      ? due.error(
          `${many(overdue, 'erasure request')} ${overdue === 1 ? 'is' : 'are'} past the day by which the person had to be answered.`,
          'See `lethe erasure list --due`, and `lethe erasure status ID` for what each waits for; answer the person now.',
        )
      : due.ok('no erasure request is overdue')),
    ...(soon > 0
      ? due.warning(
          `${many(soon, 'erasure request')} ${soon === 1 ? 'is' : 'are'} due within ten days.`,
          'See `lethe erasure list --due`; where it can not be done in time, extend it within the month: `lethe erasure extend`.',
        )
      : []),
    ...(waiting.length > 0
      ? person.warning(
          `Erasure requests wait for a person: ${waiting.map(({ why, count }) => `${count} ${why}`).join(', ')}.`,
          'See `lethe erasure list --due`; `lethe erasure status ID` says what each needs (runbooks/erasure-requests.md).',
        )
      : []),
    ...(legs.length > 0
      ? person.warning(
          `Trying again did not help at: ${legs.map(({ store, count }) => `${store} (${count})`).join(', ')}.`,
          'Mend the store, then `lethe erasure retry ID STORE`; or answer for it: `lethe erasure accept ID STORE`.',
        )
      : []),
    ...(await ledger(control, file.evidence?.bucket?.name ?? null)),
  ]
}

async function ledger(control: Database, bucket: string | null): Promise<Finding[]> {
  const check = examine('erasure-ledger', 'control')
  const { objects, waiting, oldestSeconds } = await journalStatus(control)
  if (bucket === null)
    return objects === 0
      ? []
      : check.warning(
          'The erasure ledger stands in the control database only: a restore that takes it back too forgets whom to erase again.',
          'Give evidence.bucket; entries from before are written there too.',
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
  const [row] = await target.query(
    z.object({ late: z.coerce.number(), refused: z.coerce.number() }),
    `SELECT count(*) FILTER (WHERE taken_at IS NULL AND at < clock_timestamp() - $1 * interval '1 second') AS late,
       count(*) FILTER (WHERE data ? 'refused' AND at > clock_timestamp() - interval '30 days') AS refused FROM lethe.intake`,
    [BEHIND_SECONDS],
  )
  return [
    ...(row !== undefined && row.late > 0
      ? check.error(
          `Nobody has taken in what applications asked for a quarter of an hour ago (${row.late}).`,
          'Is a process with the role erasure running? Its log says why it can not take them in.',
        )
      : []),
    ...(row !== undefined && row.refused > 0
      ? check.warning(
          `${many(row.refused, 'call')} of applications in the last 30 days could not be followed.`,
          `SELECT id, verb, actor, at, data ->> 'refused' FROM lethe.intake WHERE data ? 'refused' says why; the application asks again.`,
        )
      : []),
  ]
}

function many(count: number, one: string, more = `${one}s`): string {
  return `${count} ${count === 1 ? one : more}`
}
