/**
 * The evidence: every event type with the exact shape of its data. Strict objects of ids, counts, instants and codes;
 * no free text that a person typed, no row value, no key: an event is kept for ever and shown to auditors.
 */
import { z } from 'zod'
import { canonicalJson } from '../../base/canonical/index.ts'
import { prepared, type Queryable } from '../../base/db/index.ts'

const id = z.uuid()
const count = z.number().int().nonnegative()
const counts = z.record(z.string(), z.number())
const code = z.string().regex(/^E_[A-Z_]+$/)
/** A word from our own code or the map, never a sentence from a person. */
const token = z.string().regex(/^[A-Za-z0-9_.:"/-]{1,200}$/)
const instant = z.iso.datetime({ offset: true })
/** SHA-256 of the signed statement, salted by its nonce: commits to the reason, and lets it be erased. */
const statement = z.string().regex(/^[0-9a-f]{64}$/)

const shapes = {
  // runs
  'run.created': z.strictObject({ kind: token, scope: token, occurrence: instant.optional() }),
  /** `attempt` above 0: the claim followed a failure or took the run over. */
  'run.claimed': z.strictObject({
    attempt: count,
    fence: z.string().regex(/^\d+$/),
    generation: count,
    holder: token,
  }),
  'run.given-back': z.strictObject({ reason: token }),
  'run.attempt-failed': z.strictObject({ attempt: count, code, retryInSeconds: z.number() }),
  'run.lease-expired': z.strictObject({ attempt: count }),
  'run.waiting': z.strictObject({ for: token, until: instant.nullable() }),
  'run.woken': z.strictObject({}),
  'run.pause-requested': z.strictObject({}),
  'run.cancel-requested': z.strictObject({}),
  'run.paused': z.strictObject({ reason: token.optional() }),
  'run.resumed': z.strictObject({}),
  'run.succeeded': z.strictObject({ outcome: token }),
  'run.failed': z.strictObject({ outcome: token, code: code.optional() }),
  'run.refused': z.strictObject({ outcome: token, code: code.optional() }),
  'run.cancelled': z.strictObject({ outcome: token }),
  'schedule.missed': z.strictObject({ schedule: token, count, from: instant, until: instant }),

  /** Entries from that index on were hashed again. */
  'evidence.verified': z.strictObject({ from: count, entries: count, heads: count, breaks: counts }),
  /** Recorded before the first content of entries below that index goes. */
  'evidence.aging': z.strictObject({ before: count, entries: count, keep: z.string().regex(/^\d+ [a-z]+$/) }),
  /** `text`: the hash of the statement that can't be read any more. */
  'text.erased': z.strictObject({ text: statement, method: token, statement }),

  // retention
  'proposal.created': z.strictObject({
    proposal: id,
    policy: token,
    policyVersion: token,
    mapVersion: token,
    planHash: token,
    population: count,
    populationHash: token,
    rows: counts,
    excluded: counts,
    state: token,
  }),
  'proposal.approved': z.strictObject({
    proposal: id,
    approval: id,
    method: token,
    statement,
    overrides: z.array(token),
  }),
  'proposal.rejected': z.strictObject({ proposal: id, approval: id, method: token, statement }),
  'proposal.extended': z.strictObject({
    proposal: id,
    approval: id,
    method: token,
    statement,
    until: instant,
  }),
  'proposal.preserved': z.strictObject({ proposal: id, approval: id, method: token, statement }),
  'proposal.expired': z.strictObject({ proposal: id }),
  'proposal.cancelled': z.strictObject({ proposal: id }),
  'proposal.executed': z.strictObject({ proposal: id, removed: counts, skipped: counts }),
  'policy.armed': z.strictObject({ policy: token, version: token, method: token, statement }),
  'policy.disarmed': z.strictObject({ policy: token, method: token, statement }),
  'policy.paused': z.strictObject({ policy: token }),
  'policy.resumed': z.strictObject({ policy: token }),
  'store.stopped': z.strictObject({ store: token, method: token, statement }),
  'store.resumed': z.strictObject({ store: token, method: token, statement }),
  'appraisal.added': z.strictObject({
    appraisal: id,
    policy: token,
    version: token,
    ceiling: count,
    validUntil: instant,
    method: token,
    statement,
  }),
  'appraisal.revoked': z.strictObject({ appraisal: id, method: token, statement }),
  'hold.added': z.strictObject({
    hold: id,
    level: token,
    kind: token,
    store: token,
    method: token,
    statement,
  }),
  'hold.projected': z.strictObject({ hold: id, store: token }),
  'hold.released': z.strictObject({ hold: id, method: token, statement }),
  'throttle.changed': z.strictObject({ reason: token.nullable(), waitSeconds: z.number() }),
  'subject.blocked': z.strictObject({ count, constraint: token }),
  'erasure.verified': z.strictObject({ store: token, left: counts }),
  'erasure.voided': z.strictObject({ scope: token, count }),
  'tidy.done': z.strictObject({ refreshed: count, vacuumed: count, refused: count }),
  'warnings.sent': z.strictObject({ policy: token, delivered: count, failed: count }),
  'report.written': z.strictObject({}),

  // erasure requests
  'request.received': z.strictObject({
    due: instant,
    kind: token,
    origin: token,
    overCeiling: z.boolean(),
    request: id,
  }),
  'request.joined': z.strictObject({ kind: token, origin: token, request: id }),
  /** An asking that joined was stronger than what was open; a grace period is over with it. */
  'request.raised': z.strictObject({
    from: token,
    graceBefore: z.boolean(),
    origin: token,
    request: id,
    to: token,
  }),
  'request.moved': z.strictObject({ from: token, request: id, to: token, verb: token }),
  'request.decided': z.strictObject({
    request: id,
    verb: token,
    object: token.nullable(),
    method: token,
    statement: statement.nullable(),
  }),
  'leg.ended': z.strictObject({ request: id, state: token, store: token }),
  'leg.failed': z.strictObject({ code, request: id, store: token }),
  'leg.reopened': z.strictObject({ request: id, store: token }),
  'receipt.issued': z.strictObject({ request: id, receipt: statement }),
} as const satisfies Record<string, z.ZodType>

type Shapes = typeof shapes
export type EventType = keyof Shapes
/** One discriminated union of everything that may be recorded. `actor` is a verified identity's name, or `lethe`. */
export type NewEvent = {
  [T in EventType]: { type: T; actor?: string; data: z.input<Shapes[T]> }
}[EventType]

export interface RunEvent {
  id: string
  runId: string | null
  at: Date
  type: string
  actor: string | null
  data: Record<string, unknown>
}

const eventRow = z
  .object({
    id: z.string(),
    run_id: z.string().nullable(),
    at: z.date(),
    type: z.string(),
    actor: z.string().nullable(),
    data: z.record(z.string(), z.unknown()),
  })
  .transform((row): RunEvent => ({
    id: row.id,
    runId: row.run_id,
    at: row.at,
    type: row.type,
    actor: row.actor,
    data: row.data,
  }))

/** In the order in which they were written. */
export async function eventsOf(db: Queryable, runId: string): Promise<RunEvent[]> {
  return db.query(
    eventRow,
    `SELECT id, run_id, at, type, actor, data FROM lethe_control.events WHERE run_id = $1 ORDER BY id`,
    [runId],
  )
}

/** Appends one event in the caller's transaction, or in its own. Throws a ZodError where the data is not the type's shape. */
export async function appendEvent(db: Queryable, event: NewEvent & { runId?: string | null }): Promise<void> {
  await db.execute(
    prepared(`INSERT INTO lethe_control.events (run_id, type, actor, data) VALUES ($1, $2, $3, $4::json)`),
    [event.runId ?? null, event.type, event.actor ?? null, canonicalJson(checkEvent(event))],
  )
}

/** The data of an event, checked against its type. */
export function checkEvent(event: NewEvent): unknown {
  return shapes[event.type].parse(event.data)
}

/** Events as one JSON parameter for a statement that records them with a state change. */
export function eventsJson(events: readonly NewEvent[]): string {
  return canonicalJson(
    events.map((event) => ({ type: event.type, actor: event.actor ?? null, data: checkEvent(event) })),
  )
}

/** SQL of that statement's part: the events of parameter `json` for each run in `runs` (a table of the statement). */
export function eventsSql(runs: string, json: string): string {
  return `INSERT INTO lethe_control.events (run_id, type, actor, data)
    SELECT ${runs}.id, e.type, e.actor, e.data
    FROM ${runs}, json_to_recordset(${json}::json) AS e(type text, actor text, data json)`
}

/** An event whose data only the statement knows that records it. */
export interface RowEvent {
  readonly type: EventType
  /** SQL over the statement's rows: canonical JSON text. */
  readonly data: string
  /** SQL condition; absent: every row. */
  readonly when: string | undefined
}

/**
 * Each member of the type's data as SQL. Made once, when the code is loaded: throws where the names are not those of the shape.
 * The values are the statement's own, so their form is its author's to keep: ids, counts and words from our own code.
 */
export function rowEvent<T extends EventType>(
  type: T,
  data: { readonly [K in keyof z.input<Shapes[T]>]-?: string },
  when?: string,
): RowEvent {
  const given = Object.entries<string>(data).toSorted(([a], [b]) => (a < b ? -1 : 1))
  const names = given.map(([name]) => name)
  const shape = Object.keys(shapes[type].shape).toSorted()
  if (names.join() !== shape.join())
    throw new Error(`an event ${type} has ${shape.join(', ')}, not ${names.join(', ')}`)
  const members = given.map(([name, sql]) => `"${name}":' || coalesce(to_json(${sql})::text, 'null')`)
  return { type, data: `'{${members.join(` || ',`)} || '}'`, when }
}

/**
 * SQL of a statement's part: for each row of `rows` (a table of the statement) the first event whose condition holds, none
 * where none does. `run`, `actor`: SQL over the row.
 */
export function rowEventsSql(
  rows: string,
  { run, actor }: { run: string; actor: string },
  events: readonly RowEvent[],
): string {
  const [first] = events
  const only = first?.when === undefined ? first : undefined
  const pick = (of: (event: RowEvent) => string) =>
    only === undefined
      ? `CASE ${events.map((event) => `WHEN ${event.when ?? 'true'} THEN ${of(event)}`).join(' ')} END`
      : of(only)
  const where =
    only === undefined ? ` WHERE ${events.map(({ when }) => `(${when ?? 'true'})`).join(' OR ')}` : ''
  return `INSERT INTO lethe_control.events (run_id, type, actor, data)
    SELECT ${run}, ${pick(({ type }) => `'${type}'`)}, ${actor}, (${pick(({ data }) => data)})::json FROM ${rows}${where}`
}

/** Several events at once, in their order and in the caller's transaction. */
export async function appendEvents(db: Queryable, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return
  await db.execute(
    prepared(`INSERT INTO lethe_control.events (type, actor, data)
      SELECT e.type, e.actor, e.data FROM json_to_recordset($1::json) AS e(type text, actor text, data json)`),
    [eventsJson(events)],
  )
}
