/** The single statement behind every state change: it moves the run and records the event, or does neither. */
import { prepared, type Queryable } from '../../base/db/index.ts'
import { LetheError } from '../../base/errors/index.ts'
import { eventsJson, eventsSql, rowEventsSql, type NewEvent, type RowEvent } from '../evidence/index.ts'
import { getRun, runColumns, runRow, type Claim, type Run } from './run.ts'
import { transitions, type Verb } from './transitions.ts'

export interface Change {
  /** Further assignments; `$n` numbers start at $5 and match `values`. */
  set?: string
  /** Further conditions on the row, beside the id, the source state and the fence. */
  where?: string
  values?: readonly unknown[]
  /** Events whose data the caller knows beforehand. */
  events?: readonly NewEvent[]
  /** An event over `moved`, whose data only the statement knows. */
  noted?: RowEvent
}

/**
 * Returns the run after the change, or null where no row was in a source state of the verb (or failed `where`/fence).
 * Safe against every race because it is one UPDATE: its row lock makes rivals wait, and its condition is evaluated again
 * on the row they left behind.
 */
export async function move(
  db: Queryable,
  verb: Verb,
  run: { id: string; fence?: bigint },
  change: Change = {},
): Promise<Run | null> {
  const { from, to } = transitions[verb]
  const [moved] = await db.query(
    runRow,
    prepared(`WITH moved AS (
       UPDATE lethe_control.runs
       SET state = '${to}', updated_at = clock_timestamp()${change.set === undefined ? '' : `, ${change.set}`}
       WHERE id = $1 AND state = ANY ($2::text[]) AND ($3::bigint IS NULL OR fence = $3)
         ${change.where === undefined ? '' : `AND (${change.where})`}
       RETURNING ${runColumns}
     ), noted AS (
       ${eventsSql('moved', '$4')}
     )${change.noted === undefined ? '' : `, told AS (${rowEventsSql('moved', { run: 'id', actor: 'NULL' }, [change.noted])})`}
     SELECT * FROM moved`),
    [run.id, from, run.fence?.toString() ?? null, eventsJson(change.events ?? []), ...(change.values ?? [])],
  )
  return moved ?? null
}

/** For the holder of a claim: what can't be moved was taken over, cancelled or finished by someone else. */
export async function moveClaimed(
  db: Queryable,
  verb: Verb,
  claim: Claim,
  change: Change = {},
): Promise<Run> {
  const moved = await move(db, verb, { id: claim.id, fence: claim.fence }, change)
  if (moved === null) throw fenced(claim)
  return moved
}

export function fenced(claim: Claim): LetheError {
  return new LetheError('E_FENCED', {
    message: `Run ${claim.id}: this worker's claim (fence ${claim.fence}) is no longer the newest; another worker holds the run.`,
    left: 'Nothing was written by this step.',
    facts: { run: claim.id },
  })
}

export async function illegal(db: Queryable, id: string, what: string): Promise<LetheError> {
  const run = await getRun(db, id)
  return new LetheError('E_ILLEGAL_TRANSITION', {
    message: `Run ${id} is ${run.state}${run.request === null ? '' : ` with a pending ${run.request}`}; it can't be ${what}.`,
    facts: { run: id, state: run.state, request: run.request },
  })
}

/** What a run loses when it leaves `running`. */
export const noLease = 'lease_holder = NULL, lease_expires_at = NULL'
/** What a run needs to be enqueued again by the next dispatcher round. */
export const dueNow = 'next_attempt_at = clock_timestamp(), enqueued_at = NULL, waiting_for = NULL'
