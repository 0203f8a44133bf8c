/** Parts of statements that are over other rooms' tables too: what they ask of runs. Each is SQL, and takes SQL. */
import { finalStates } from './transitions.ts'

/** The run has ended, whatever its outcome. */
export function runEnded(id: string): string {
  const states = finalStates.map((state) => `'${state}'`).join(', ')
  return `EXISTS (SELECT FROM lethe_control.runs r WHERE r.id = ${id} AND r.state IN (${states}))`
}

/** The run waits for that, in one word. */
export function runWaitsFor(id: string, what: string): string {
  return `EXISTS (SELECT FROM lethe_control.runs r WHERE r.id = ${id} AND r.state = 'waiting' AND r.waiting_for = '${what}')`
}

/** When a run of that kind and scope last succeeded; null: none has. */
export function lastSuccess(kind: string, scope: string): string {
  return `(SELECT max(r.finished_at) FROM lethe_control.runs r
    WHERE r.kind = ${kind} AND r.scope = ${scope} AND r.state = 'succeeded')`
}

/** The run's id while `fence` is its newest claim's; a takeover waits until the statement's transaction ends. */
export function heldRun(id: string, fence: string): string {
  return `SELECT id FROM lethe_control.runs WHERE id = ${id} AND fence = ${fence} AND state = 'running' FOR SHARE`
}

export function runKind(id: string): string {
  return `(SELECT r.kind FROM lethe_control.runs r WHERE r.id = ${id})`
}
