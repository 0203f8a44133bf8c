/** The statement behind every state change: it moves requests and records an event for each, or does neither. */
import { prepared, type Queryable } from '../../base/db/index.ts'
import { rowEvent, rowEventsSql } from '../evidence/index.ts'
import { heldRun, type Claim } from '../ledger/index.ts'
import { requestColumns, requestRow, type ErasureRequest } from './request.ts'
import { finalRequestStates, requestTransitions, type RequestVerb } from './states.ts'

export interface Mover {
  /** A verified name, an application's, or `lethe`. */
  actor: string
  /** The run that works: with an older fence than its newest claim nothing is moved. */
  claim?: Claim
}

export interface RequestChange {
  /** Further assignments over `r`; `$n` numbers start at $7 and match `values`. */
  set?: string
  values?: readonly unknown[]
  /** When it is looked at next, as SQL; default: now. A final state is never looked at again. */
  next?: string
  /** Why it waits; default: nothing. */
  waitingFor?: string
}

const noted = rowEvent('request.moved', { from: 'was', request: 'id', to: 'state', verb: 'verb' })

/**
 * Returns those that moved, as they stand now: the ones in a source state of the verb. One UPDATE, so safe against every race: rivals wait for
 * its row locks, and its conditions are evaluated again on the rows they left behind.
 */
export async function moveRequests(
  db: Queryable,
  verb: RequestVerb,
  ids: readonly string[],
  by: Mover,
  change: RequestChange = {},
): Promise<ErasureRequest[]> {
  if (ids.length === 0) return []
  const { from, to } = requestTransitions[verb]
  const final = finalRequestStates.some((state) => state === to)
  const state = to === 'resume' ? 'r.resume_state' : `'${to}'`
  const aside = to === 'needs-attention' || to === 'on-hold'
  const resume = aside
    ? `, resume_state = CASE WHEN r.resume_state IS NULL THEN r.state ELSE r.resume_state END`
    : ', resume_state = NULL'
  return db.query(
    requestRow,
    prepared(`WITH held AS (
       ${heldRun('$4', '$5')}
     ), old AS (
       SELECT id, state FROM lethe_control.erasure_requests
       WHERE id = ANY ($1::uuid[]) AND state = ANY ($2::text[]) AND ($4::uuid IS NULL OR EXISTS (SELECT FROM held))
       ORDER BY id FOR UPDATE
     ), moved AS (
       UPDATE lethe_control.erasure_requests r SET state = ${state}${resume}, waiting_for = $6, updated_at = clock_timestamp(),
         next_at = ${final ? `'infinity', finished_at = clock_timestamp()` : (change.next ?? 'clock_timestamp()')}
         ${change.set === undefined ? '' : `, ${change.set}`}
       FROM old WHERE r.id = old.id RETURNING old.state AS was, '${verb}'::text AS verb, ${requestColumns}
     ), noted AS (
       ${rowEventsSql('moved', { run: '$4', actor: '$3' }, [noted])}
     )
     SELECT * FROM moved`),
    [
      ids,
      from,
      by.actor,
      by.claim?.id ?? null,
      by.claim?.fence.toString() ?? null,
      change.waitingFor ?? null,
      ...(change.values ?? []),
    ],
  )
}

/** Looked at again at `next` (SQL); the state stays. Only by the holder of the claim. */
export async function postpone(
  db: Queryable,
  ids: readonly string[],
  claim: Claim,
  next: string,
  waitingFor: string | null,
): Promise<void> {
  if (ids.length === 0) return
  await db.execute(
    prepared(`WITH held AS (
       ${heldRun('$2', '$3')}
     )
     UPDATE lethe_control.erasure_requests r SET next_at = ${next}, waiting_for = $4, updated_at = clock_timestamp()
     WHERE r.id = ANY ($1::uuid[]) AND r.finished_at IS NULL AND EXISTS (SELECT FROM held)`),
    [ids, claim.id, claim.fence.toString(), waitingFor],
  )
}
