/**
 * The only importer of prom-client: every metric of Lethe, by name. Labels are names from the configuration and the
 * registry of kinds; never a key, a scope of a request or anything about a person.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

export interface Metrics {
  /** The text of `/metrics`, and its content type. */
  expose(): Promise<{ contentType: string; body: string }>
  /** One per finished run; `outcome` is the run's last state. */
  readonly runsTotal: Counter<'kind' | 'outcome'>
  readonly rowsRemovedTotal: Counter<'policy'>
  readonly batchSeconds: Histogram
  readonly throttledSecondsTotal: Counter<'reason'>
  /** Age of the oldest job that no worker has taken yet; 0 when the queue is empty. */
  readonly queueOldestSeconds: Gauge<'queue'>
  /** 0 while the policy's runs keep up with its schedule; policies without one have no value. */
  readonly policyBehindSeconds: Gauge<'policy'>
  readonly proposalsWaiting: Gauge
  readonly holdsOverdue: Gauge
  /** 1 while a store is stopped, or a policy paused; no value otherwise. */
  readonly stopped: Gauge<'scope' | 'name'>
  /** Open erasure requests. */
  readonly erasureRequests: Gauge<'state'>
  /** Open requests with five days or less until the person has to be answered, overdue ones too. */
  readonly erasureDueSoon: Gauge
  /** Of these, with a day or less. */
  readonly erasureDueNow: Gauge
  /** Legs of open requests that are not tried again by themselves. */
  readonly erasureLegsStuck: Gauge<'store'>
  /** For how long no request of this kind of subject has gone on, because the run that works them off fails. */
  readonly erasureStoppedSeconds: Gauge<'subject'>
  /** 0 also where no bucket is configured. */
  readonly erasureLedgerBehindSeconds: Gauge
  readonly dispatcherLastRoundTimestampSeconds: Gauge
  readonly probeLastSeenTimestampSeconds: Gauge<'queue'>
  readonly runsState: Gauge<'state'>
  /** `sequenced`, `signed`, `published`: for how long the oldest that waits for that has waited. */
  readonly evidenceBehindSeconds: Gauge<'stage'>
}

/** One set of metrics a process; tests make their own, so that nothing is global. */
export function createMetrics(options: { processMetrics?: boolean } = {}): Metrics {
  const registry = new Registry()
  if (options.processMetrics === true) collectDefaultMetrics({ register: registry })
  const registers = [registry]
  return {
    expose: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
    runsTotal: new Counter({
      name: 'lethe_runs_total',
      help: 'Runs that reached a final state.',
      labelNames: ['kind', 'outcome'],
      registers,
    }),
    rowsRemovedTotal: new Counter({
      name: 'lethe_rows_removed_total',
      help: 'Rows removed by a policy, all tables together.',
      labelNames: ['policy'],
      registers,
    }),
    batchSeconds: new Histogram({
      name: 'lethe_batch_seconds',
      help: 'Duration of one deleting transaction.',
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
    throttledSecondsTotal: new Counter({
      name: 'lethe_throttled_seconds_total',
      help: 'Time a sweep waited, by the first reason.',
      labelNames: ['reason'],
      registers,
    }),
    queueOldestSeconds: new Gauge({
      name: 'lethe_queue_oldest_seconds',
      help: 'Age of the oldest job that waits in a queue.',
      labelNames: ['queue'],
      registers,
    }),
    policyBehindSeconds: new Gauge({
      name: 'lethe_policy_behind_seconds',
      help: 'Time since a policy fell due by its schedule and has not finished a run.',
      labelNames: ['policy'],
      registers,
    }),
    proposalsWaiting: new Gauge({
      name: 'lethe_proposals_waiting',
      help: 'Proposals that wait for a decision.',
      registers,
    }),
    stopped: new Gauge({
      name: 'lethe_stopped',
      help: 'Stores that are stopped, and policies that are paused.',
      labelNames: ['scope', 'name'],
      registers,
    }),
    holdsOverdue: new Gauge({
      name: 'lethe_holds_overdue',
      help: 'Holds past their review date.',
      registers,
    }),
    erasureRequests: new Gauge({
      name: 'lethe_erasure_requests',
      help: 'Open erasure requests.',
      labelNames: ['state'],
      registers,
    }),
    erasureDueSoon: new Gauge({
      name: 'lethe_erasure_due_soon',
      help: 'Open erasure requests due within five days, or overdue.',
      registers,
    }),
    erasureDueNow: new Gauge({
      name: 'lethe_erasure_due_now',
      help: 'Open erasure requests due within a day, or overdue.',
      registers,
    }),
    erasureLegsStuck: new Gauge({
      name: 'lethe_erasure_legs_stuck',
      help: 'Legs of open erasure requests that wait for a person, by store.',
      labelNames: ['store'],
      registers,
    }),
    erasureStoppedSeconds: new Gauge({
      name: 'lethe_erasure_stopped_seconds',
      help: 'For how long every erasure request of a kind of subject has been stopped by a run that fails.',
      labelNames: ['subject'],
      registers,
    }),
    erasureLedgerBehindSeconds: new Gauge({
      name: 'lethe_erasure_ledger_behind_seconds',
      help: 'For how long the oldest entry of the erasure ledger has waited for its copy in the bucket.',
      registers,
    }),
    dispatcherLastRoundTimestampSeconds: new Gauge({
      name: 'lethe_dispatcher_last_round_timestamp_seconds',
      help: 'When this process last finished a dispatcher round as the leader.',
      registers,
    }),
    probeLastSeenTimestampSeconds: new Gauge({
      name: 'lethe_probe_last_seen_timestamp_seconds',
      help: 'When a worker last took a probe of a queue.',
      labelNames: ['queue'],
      registers,
    }),
    evidenceBehindSeconds: new Gauge({
      name: 'lethe_evidence_behind_seconds',
      help: 'For how long the oldest event, entry or head of the evidence log has waited for the next stage.',
      labelNames: ['stage'],
      registers,
    }),
    runsState: new Gauge({
      name: 'lethe_runs_state',
      help: 'Runs by state; finished ones of the last day.',
      labelNames: ['state'],
      registers,
    }),
  }
}
