/** What people decide about a request: confirm, approve, instruct, assess, extend, refuse, cancel, retry, accept, hold, release. */
import type { Command } from 'commander'
import type { By } from '../../jobs/erasure/index.ts'
import type { Context } from '../../jobs/context.ts'
import type { DecisionVerb } from '../../lib/identity/index.ts'
import { attested, withEvidence, type EvidenceOptions } from './evidence.ts'
import { usage, withContext, type Session } from './session.ts'

interface Options extends EvidenceOptions {
  reason: string
}

export function erasureDecisions(erasure: Command, session: Session): void {
  const verb = (name: string, args: string, about: string) =>
    withEvidence(
      erasure
        .command(`${name} ${args}`)
        .description(about)
        .requiredOption('--reason <text>', 'why; no personal data'),
    )
  verb('confirm', '<request>', 'the person is who they say they are; no copies of documents')
    .requiredOption('--method <method>', 'signed-in-session, emailed-link, staff-check or representative')
    .action(async (id: string, options: Options & { method: string }) => {
      const { identityMethods } = await import('../../lib/requests/index.ts')
      const method = identityMethods.find((known) => known === options.method && known !== 'policy')
      if (method === undefined)
        throw usage('--method is signed-in-session, emailed-link, staff-check or representative.')
      await decide(session, id, 'erasure.confirm', { method }, options, (jobs, context, by) =>
        jobs.confirmRequest(context, id, method, by),
      )
    })
  verb('approve', '<request>', "let a request over its actor's ceiling go on").action(
    (id: string, options: Options) =>
      decide(session, id, 'erasure.approve', {}, options, (jobs, context, by) =>
        jobs.approveRequest(context, id, by),
      ),
  )
  verb('instruct', '<request>', "record the controller's instruction")
    .requiredOption('--reference <reference>', "the controller's own reference")
    .action((id: string, options: Options & { reference: string }) =>
      decide(
        session,
        id,
        'erasure.instruct',
        { reference: options.reference },
        options,
        (jobs, context, by) => jobs.instructRequest(context, id, options.reference, by),
      ),
    )
  verb('assess', '<request>', 'decide about each class of records that asks for it')
    .requiredOption('--class <decisions...>', 'NAME=erase or NAME=retain')
    .action((id: string, options: Options & { class: string[] }) => {
      const classes = Object.fromEntries(options.class.map(classOf))
      return decide(session, id, 'erasure.assess', classes, options, (jobs, context, by) =>
        jobs.assessRequest(context, id, classes, by),
      )
    })
  verb('extend', '<request>', 'two further months to answer, once; tell the person within the first').action(
    (id: string, options: Options) =>
      decide(session, id, 'erasure.extend', {}, options, (jobs, context, by) =>
        jobs.extendRequest(context, id, by),
      ),
  )
  verb('refuse', '<request>', 'refuse it on a ground')
    .requiredOption('--ground <ground>', 'such as "Art. 17(3)(b), accounting law"')
    .action((id: string, options: Options & { ground: string }) =>
      decide(session, id, 'erasure.refuse', { ground: options.ground }, options, (jobs, context, by) =>
        jobs.refuseRequest(context, id, options.ground, by),
      ),
    )
  verb('cancel', '<request>', 'take it back before anything is erased; access comes back').action(
    (id: string, options: Options) =>
      decide(session, id, 'erasure.cancel', {}, options, (jobs, context, by) =>
        jobs.cancelRequest(context, id, by),
      ),
  )
  verb('retry', '<request> [store]', 'begin one leg anew, or let the request go on').action(
    (id: string, store: string | undefined, options: Options) =>
      decide(session, id, 'erasure.retry', { store: store ?? null }, options, (jobs, context, by) =>
        jobs.retryLeg(context, id, store ?? null, by),
      ),
  )
  verb('accept', '<request> <store>', 'answer by name for what could not be erased there').action(
    (id: string, store: string, options: Options) =>
      decide(session, id, 'erasure.accept', { store }, options, (jobs, context, by) =>
        jobs.acceptLeg(context, id, store, by),
      ),
  )
  verb('hold', '<request>', 'a legal hold on its person')
    .requiredOption(
      '--kind <kind>',
      'legal-claim, inquiry-moratorium, access-request, restriction or complaint',
    )
    .requiredOption('--owner <name>', 'who answers for it')
    .requiredOption('--review <day>', 'when someone must look whether it is still needed')
    .action((id: string, options: HoldOptions) => hold(session, id, options))
  verb('release', '<request>', 'end the holds on its person; it goes on by itself').action(
    (id: string, options: Options) => release(session, id, options),
  )
}

function classOf(text: string): [string, 'erase' | 'retain'] {
  const [name = '', decision] = text.split('=')
  if (name !== '' && (decision === 'erase' || decision === 'retain')) return [name, decision]
  throw usage('--class takes NAME=erase or NAME=retain.')
}

type Jobs = typeof import('../../jobs/erasure/index.ts')

async function decide(
  session: Session,
  id: string,
  verb: DecisionVerb,
  facts: Readonly<Record<string, string | null>>,
  options: Options,
  act: (jobs: Jobs, context: Context, by: By) => Promise<void>,
): Promise<void> {
  const jobs = await import('../../jobs/erasure/index.ts')
  await withContext(session, async (context) => {
    const before = await jobs.requestStatus(context, id)
    const decided = jobs.requestStatement(verb, id, facts, options.reason)
    const by = await attested(session, context, decided, options)
    if (by === null) return
    await act(jobs, context, { attested: by })
    await jobs.ensureCascade(context, before.request.subjectKind)
    const after = await jobs.requestStatus(context, id)
    session.output.data(
      { request: id, state: after.request.state, next: after.next, actor: by.identity.name },
      `Recorded. Request ${id} is ${after.request.state}. ${after.next}`,
    )
  })
}

interface HoldOptions extends Options {
  kind: string
  owner: string
  review: string
}

async function hold(session: Session, id: string, options: HoldOptions): Promise<void> {
  const jobs = await import('../../jobs/erasure/index.ts')
  const holds = await import('../../jobs/holds.ts')
  const kind = holds.holdKinds.find((known) => known === options.kind)
  if (kind === undefined) throw usage(`--kind is one of: ${holds.holdKinds.join(', ')}.`)
  if (!/^\d{4}-\d{2}-\d{2}$/.test(options.review)) throw usage('--review is a day such as 2027-05-01.')
  const about = { kind, owner: options.owner, reason: options.reason, reviewAt: options.review }
  await withContext(session, async (context) => {
    const asked = await jobs.holdRequest(context, id, about)
    const by = await attested(session, context, holds.holdStatement(context, asked.hold), options)
    if (by === null) return
    const added = await asked.add(by)
    session.output.data(
      { hold: added.id, alreadyGone: added.alreadyGone, actor: by.identity.name },
      added.alreadyGone === true
        ? `Hold ${added.id} stands. IT CAME TOO LATE for a part: something of this person was erased before.`
        : `Hold ${added.id} stands; request ${id} goes on by itself once it is released.`,
    )
    if (added.alreadyGone === true) session.exitCode = 3
  })
}

async function release(session: Session, id: string, options: Options): Promise<void> {
  const jobs = await import('../../jobs/erasure/index.ts')
  const { releaseStatement } = await import('../../jobs/holds.ts')
  await withContext(session, async (context) => {
    const found = await jobs.releaseRequest(context, id)
    const released: string[] = []
    await found.release(async (one) => {
      const by = await attested(session, context, releaseStatement(one, options.reason), options)
      if (by !== null) released.push(one)
      return by
    })
    if (released.length === 0) return
    const { request } = await jobs.requestStatus(context, id)
    await jobs.ensureCascade(context, request.subjectKind)
    session.output.data({ released }, `Released: ${released.join(', ')}.`)
  })
}
