/** `lethe retention …`: what would go, who agrees, what went. */
import type { Context } from '../../jobs/context.ts'
import type { Decision } from '../../jobs/retention/index.ts'
import { attested, withEvidence, type EvidenceOptions } from './evidence.ts'
import { count, instant, table } from './output.ts'
import { figuresText, proposalText } from './proposal-text.ts'
import { parseCount, parseInstant, usage, withContext, type AddCommands, type Session } from './session.ts'

export const retentionCommands: AddCommands = (program, session) => {
  const retention = program
    .command('retention')
    .description('policies: what they would remove, decide, run, report')
  retention
    .command('plan <policy>')
    .description('what the policy would remove now; changes nothing')
    .option('--sample <n>', 'also show the keys of the n oldest subjects, on the terminal only')
    .action((policy: string, options: { sample?: string }) => plan(session, policy, options))
  retention
    .command('list')
    .description('proposals, newest first')
    .option('--policy <policy>')
    .option('--waiting', 'only those that wait for a decision')
    .action((options: { policy?: string; waiting?: boolean }) => list(session, options))
  withEvidence(
    retention
      .command('approve <proposal>')
      .description('decide on a proposal; what executes is exactly what it counted')
      .requiredOption('--reason <text>', 'why; no personal data')
      .option('--outcome <outcome>', 'destroy, extend, preserve or reject', 'destroy')
      .option('--until <day>', 'for extend: kept until then')
      .option(
        '--override <limits>',
        'exceeded limits that you override by name: rows,share,median (role cto)',
      ),
  ).action((proposal: string, options: ApproveOptions) => approve(session, proposal, options))
  retention
    .command('run <policy>')
    .description('start a run now instead of waiting for the schedule')
    .option('--wait', 'follow it until it ends or waits for a person')
    .action((policy: string, options: { wait?: boolean }) => run(session, policy, options))
  for (const [verb, text] of [
    ['pause', 'stop after the batch in hand'],
    ['resume', 'let a paused run go on'],
    ['cancel', 'end a run after the subject in hand'],
  ] as const)
    retention
      .command(`${verb} <run>`)
      .description(`${text}; RUN is an id, or a policy for its active run`)
      .action((id: string) => request(session, verb, id))
  retention
    .command('report <run>')
    .description(
      'what was found, decided and done, as Markdown; RUN is an id, or a policy for its latest report',
    )
    .action((id: string) => report(session, id))
  withEvidence(
    retention
      .command('appraise <policy>')
      .description('one decision for a class of records, so that nightly runs need none of their own')
      .requiredOption('--reason <text>', 'why; no personal data')
      .option('--ceiling <subjects>', 'a larger proposal waits for a person')
      .option('--until <day>', 'at most twelve months away')
      .option('--revoke <appraisal>', 'end this appraisal instead'),
  ).action((policy: string, options: AppraiseOptions) => appraise(session, policy, options))
}

async function plan(session: Session, name: string, options: { sample?: string }): Promise<void> {
  const { output } = session
  const sample = options.sample === undefined ? 0 : parseCount(options.sample, '--sample')
  if (sample > 0 && (output.json || !process.stdout.isTTY))
    throw usage(
      'A sample shows the keys of living people: on a terminal only, and not as JSON, so that nothing stores it.',
      'Run it on a terminal without --json, and without redirecting its output.',
    )
  const jobs = await import('../../jobs/retention/index.ts')
  const { storeZone } = await import('../../jobs/deletion-plan.ts')
  const { trailingMedian } = await import('../../lib/record/proposals/index.ts')
  await withContext(session, async (context) => {
    const policy = jobs.findPolicy(context, name)
    const deletion = await jobs.loadPolicyPlan(context, policy)
    const target = await context.target(policy.store)
    const zone = storeZone(context, policy.store)
    const { found, sample: keys } = await jobs.preview(target, policy, deletion, zone, sample)
    const limits = jobs.judgeLimits(found, policy.limits, await trailingMedian(context.control, name))
    const mode = await jobs.policyMode(context.control, policy)
    const period = jobs.effectivePeriod(policy)
    const steps = deletion.steps.map(({ id, kind, why }) => ({ id, kind, why }))
    const { rootRows, ...figures } = found
    const value = {
      policy: name,
      mode: mode.mode,
      changedSinceArmed: mode.changed,
      policyVersion: mode.version,
      mapVersion: deletion.mapVersion,
      planHash: deletion.hash,
      store: deletion.store,
      ...period,
      ...figures,
      rootRows,
      limits,
      steps,
      minimums: deletion.minimums.map((minimum) => ({
        table: `${minimum.table.schema}.${minimum.table.table}`,
        ground: minimum.ground,
      })),
      notCovered: deletion.notCovered,
    }
    output.data(
      value,
      [
        `${output.bold(`Policy ${name}`)} (${mode.mode}${mode.changed ? '; changed since it was armed' : ''}) on ${deletion.subject} in ${deletion.store}`,
        `  due: older than ${period.period}${period.clamped === null ? '' : `, ${period.clamped}`}; cutoff ${instant(found.cutoff)}`,
        ...figuresText(output.bold, found, limits),
        output.bold('Statements, in this order'),
        table(
          ['', 'statement', 'why'],
          steps.map((step, i) => [i + 1, step.id, step.why]),
        ),
        ...(deletion.notCovered.length === 0
          ? []
          : [output.bold('Not covered'), ...deletion.notCovered.map((line) => `  ${line}`)]),
        ...(keys.length === 0
          ? []
          : [output.bold('Sample (not stored)'), ...keys.map((key) => `  ${key.join(', ')}`)]),
        'Nothing was changed.',
      ].join('\n'),
    )
  })
}

async function list(session: Session, options: { policy?: string; waiting?: boolean }): Promise<void> {
  const { listProposals } = await import('../../lib/record/proposals/index.ts')
  const { listStops } = await import('../../lib/record/holds/index.ts')
  const { stopWords } = await import('../../jobs/standstill.ts')
  await withContext(session, async ({ control }) => {
    const proposals = await listProposals(control, {
      ...(options.policy === undefined ? {} : { policy: options.policy }),
      waiting: options.waiting ?? false,
    })
    for (const one of await listStops(control)) session.output.note(stopWords(one))
    session.output.data(
      proposals,
      proposals.length === 0
        ? 'No proposals.'
        : table(
            ['proposal', 'policy', 'state', 'subjects', 'created', 'run'],
            proposals.map((one) => [
              one.id,
              one.policy,
              one.state,
              one.population,
              instant(one.createdAt),
              one.runId,
            ]),
          ),
    )
  })
}

interface ApproveOptions extends EvidenceOptions {
  reason: string
  outcome: string
  until?: string
  override?: string
}

const outcomes = ['destroy', 'extend', 'preserve', 'reject'] as const

async function approve(session: Session, id: string, options: ApproveOptions): Promise<void> {
  const outcome = outcomes.find((known) => known === options.outcome)
  if (outcome === undefined) throw usage(`--outcome is one of: ${outcomes.join(', ')}.`)
  const decision: Decision = {
    proposalId: id,
    outcome,
    overrides: options.override?.split(',').map((name) => name.trim()) ?? [],
    reason: options.reason,
    ...(options.until === undefined ? {} : { until: parseInstant(options.until, '--until') }),
  }
  const { decide, decisionStatement, refuseDecided } = await import('../../jobs/retention/index.ts')
  const { getProposal } = await import('../../lib/record/proposals/index.ts')
  const { databaseNow } = await import('../../lib/base/db/index.ts')
  await withContext(session, async (context) => {
    const proposal = await getProposal(context.control, id)
    refuseDecided(proposal, await databaseNow(context.control))
    const { output } = session
    if (!output.json) output.note(proposalText((text) => text, proposal))
    const by = await attested(session, context, decisionStatement(proposal, decision), options)
    if (by === null) return
    const decided = await decide(context, decision, by)
    output.data(
      { proposal: decided, outcome, actor: by.identity.name, method: by.identity.method },
      `Proposal ${decided.id}: ${outcome}, by ${by.identity.name} (${by.identity.method}). Run ${decided.runId} goes on; see: lethe runs show ${decided.runId}`,
    )
  })
}

async function run(session: Session, policy: string, options: { wait?: boolean }): Promise<void> {
  const { startSweep } = await import('../../jobs/retention/index.ts')
  await withContext(session, async (context) => {
    const started = await startSweep(context, policy, 'command-line')
    const { output } = session
    if (options.wait !== true) {
      output.data(
        { run: started },
        `Run ${started.id} is queued: a worker takes it within seconds of the dispatcher's next round. See: lethe runs show ${started.id}`,
      )
      return
    }
    output.note(`Run ${started.id} is queued.`)
    const { follow } = await import('./follow.ts')
    await follow(session, context, started.id)
  })
}

async function request(session: Session, verb: 'pause' | 'resume' | 'cancel', given: string): Promise<void> {
  const { requestRun } = await import('../../lib/record/ledger/index.ts')
  await withContext(session, async (context) => {
    if (verb !== 'cancel' && Object.hasOwn(context.config.policies, given))
      return requestPolicy(session, context, verb, given)
    const id = await runId(context, given, 'active')
    const asked = await requestRun(context.control, id, verb, 'command-line')
    const how =
      asked.state === 'running' && verb !== 'resume'
        ? 'is asked to; it does so after the batch in hand'
        : verb === 'cancel' && asked.state !== 'cancelled'
          ? 'will be cancelled by the next worker that takes it'
          : `is ${asked.state} now`
    session.output.data({ run: asked }, `Run ${id} ${how}.`)
  })
}

async function requestPolicy(
  session: Session,
  context: Context,
  verb: 'pause' | 'resume',
  name: string,
): Promise<void> {
  const { pausePolicy, resumePolicy } = await import('../../jobs/retention/index.ts')
  const asked = await (verb === 'pause' ? pausePolicy : resumePolicy)(context, name, 'command-line')
  const run = asked.run === null ? 'no run is active' : `run ${asked.run.id} is asked to`
  session.output.data(
    asked,
    verb === 'pause'
      ? `Policy ${name} is paused: ${run}; ${asked.requests} erasure requests that it began wait before their next call.`
      : `Policy ${name} goes on: ${run}; ${asked.requests} erasure requests that it began are looked at again.`,
  )
}

async function report(session: Session, given: string): Promise<void> {
  const { renderReport } = await import('../../jobs/retention/index.ts')
  const { getReport } = await import('../../lib/record/proposals/index.ts')
  const { handedOver } = await import('../../lib/record/requests/index.ts')
  await withContext(session, async (context) => {
    const found = await getReport(context.control, await runId(context, given, 'ended'))
    const handed = await handedOver(context.control, found.proposal)
    session.output.data({ ...found, handedOver: handed }, renderReport(found, handed))
  })
}

/** The id itself, or the newest active or ended run of the policy of that name. */
async function runId(context: Context, given: string, which: 'active' | 'ended'): Promise<string> {
  if (!Object.hasOwn(context.config.policies, given)) return given
  const { finalStates, listRuns, runStates } = await import('../../lib/record/ledger/index.ts')
  const states = runStates.filter((state) => finalStates.includes(state) === (which === 'ended'))
  const [newest] = await listRuns(context.control, {
    kind: 'retention.sweep',
    scope: given,
    states,
    limit: 1,
  })
  if (newest !== undefined) return newest.id
  const { LetheError } = await import('../../lib/base/errors/index.ts')
  throw new LetheError('E_NOT_FOUND', {
    message: `Policy ${given} has no ${which === 'active' ? 'active run' : 'run that has ended'}.`,
  })
}

interface AppraiseOptions extends EvidenceOptions {
  reason: string
  ceiling?: string
  until?: string
  revoke?: string
}

async function appraise(session: Session, name: string, options: AppraiseOptions): Promise<void> {
  const jobs = await import('../../jobs/retention/index.ts')
  await withContext(session, async (context) => {
    const policy = jobs.findPolicy(context, name)
    const { output } = session
    if (options.revoke !== undefined) {
      const decided = jobs.revocationStatement(options.revoke, options.reason)
      const by = await attested(session, context, decided, options)
      if (by === null) return
      await jobs.revokeAppraisal(context, options.revoke, by)
      output.data({ appraisal: options.revoke, revoked: true }, `Appraisal ${options.revoke} is revoked.`)
      return
    }
    if (options.ceiling === undefined || options.until === undefined)
      throw usage('An appraisal needs --ceiling SUBJECTS and --until DAY.')
    const appraisal = {
      policy: name,
      ceiling: parseCount(options.ceiling, '--ceiling'),
      validUntil: parseInstant(options.until, '--until'),
      reason: options.reason,
    }
    const by = await attested(session, context, jobs.appraisalStatement(policy, appraisal), options)
    if (by === null) return
    const id = await jobs.addAppraisal(context, appraisal, by)
    output.data(
      { appraisal: id, ...appraisal, actor: by.identity.name },
      `Appraisal ${id}: ${policy.records_class}, up to ${count(appraisal.ceiling)} subjects a run, until ${instant(appraisal.validUntil)}.`,
    )
  })
}
