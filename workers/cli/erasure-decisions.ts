/** What people decide about a request: confirm, approve, instruct, assess, extend, refuse, cancel, retry, accept, hold, release. */
import type { Command } from 'commander'
import type { By } from '../../jobs/erasure/index.ts'
import type { Context } from '../../jobs/context.ts'
import type { DecisionVerb } from '../../lib/people/identity/index.ts'
import { goneWords } from './hold.ts'
import { attested, withEvidence, type EvidenceOptions } from './evidence.ts'
import { joinedText } from './erasure-text.ts'
import { parseInstant, usage, withContext, type Session } from './session.ts'

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
    .action(async (given: string, options: Options & { method: string }) => {
      const { personalMethods } = await import('../../lib/record/requests/index.ts')
      const method = personalMethods.find((known) => known === options.method)
      if (method === undefined)
        throw usage('--method is signed-in-session, emailed-link, staff-check or representative.')
      await decide(session, given, 'erasure.confirm', { method }, options, (jobs, context, by, id) =>
        jobs.confirmRequest(context, id, method, by),
      )
    })
  verb('approve', '<request>', "let a request over its actor's ceiling go on").action(
    (given: string, options: Options) =>
      decide(session, given, 'erasure.approve', {}, options, (jobs, context, by, id) =>
        jobs.approveRequest(context, id, by),
      ),
  )
  verb('instruct', '<request>', "record the controller's instruction")
    .requiredOption('--reference <reference>', "the controller's own reference")
    .action((given: string, options: Options & { reference: string }) =>
      decide(
        session,
        given,
        'erasure.instruct',
        { reference: options.reference },
        options,
        (jobs, context, by, id) => jobs.instructRequest(context, id, options.reference, by),
      ),
    )
  verb('assess', '<request>', 'decide about each class of records that asks for it')
    .requiredOption('--class <decisions...>', 'NAME=erase or NAME=retain')
    .action((given: string, options: Options & { class: string[] }) => {
      const classes = Object.fromEntries(options.class.map(classOf))
      return decide(session, given, 'erasure.assess', classes, options, (jobs, context, by, id) =>
        jobs.assessRequest(context, id, classes, by),
      )
    })
  verb('extend', '<request>', 'two further months to answer, once; tell the person within the first').action(
    (given: string, options: Options) =>
      decide(session, given, 'erasure.extend', {}, options, (jobs, context, by, id) =>
        jobs.extendRequest(context, id, by),
      ),
  )
  verb('refuse', '<request>', 'refuse it on a ground')
    .requiredOption('--ground <ground>', 'such as "Art. 17(3)(b), accounting law"')
    .action((given: string, options: Options & { ground: string }) =>
      decide(session, given, 'erasure.refuse', { ground: options.ground }, options, (jobs, context, by, id) =>
        jobs.refuseRequest(context, id, options.ground, by),
      ),
    )
  verb('cancel', '<request>', 'take it back before anything is erased; access comes back').action(
    (given: string, options: Options) =>
      decide(session, given, 'erasure.cancel', {}, options, (jobs, context, by, id, asking) =>
        jobs.cancelRequest(context, id, by, asking),
      ),
  )
  verb('retry', '<request> [store]', 'begin one leg anew, or let the request go on').action(
    (given: string, store: string | undefined, options: Options) =>
      decide(session, given, 'erasure.retry', { store: store ?? null }, options, (jobs, context, by, id) =>
        jobs.retryLeg(context, id, store ?? null, by),
      ),
  )
  verb('accept', '<request> <store>', 'answer by name for what could not be erased there').action(
    (given: string, store: string, options: Options) =>
      decide(session, given, 'erasure.accept', { store }, options, (jobs, context, by, id) =>
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
    .action((given: string, options: HoldOptions) => hold(session, given, options))
  verb('release', '<request>', 'end the holds on its person; it goes on by itself').action(
    (given: string, options: Options) => release(session, given, options),
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
  given: string,
  verb: DecisionVerb,
  facts: Readonly<Record<string, string | null>>,
  options: Options,
  // `asking`: the application's id, where that was given
  act: (jobs: Jobs, context: Context, by: By, id: string, asking: string | null) => Promise<void>,
): Promise<void> {
  const jobs = await import('../../jobs/erasure/index.ts')
  await withContext(session, async (context) => {
    const { id, joinedAs } = await jobs.findRequest(context, given)
    const before = await jobs.requestStatus(context, id)
    const decided = jobs.requestStatement(verb, id, facts, options.reason)
    const by = await attested(session, context, decided, options)
    if (by === null) return
    await act(jobs, context, { attested: by }, id, joinedAs)
    await jobs.ensureCascade(context, before.request.subjectKind)
    const after = await jobs.requestStatus(context, id)
    session.output.data(
      { request: id, joinedAs, state: after.request.state, next: after.next, actor: by.identity.name },
      `${joinedText(id, joinedAs)}Recorded. Request ${id} is ${after.request.state}. ${after.next}`,
    )
  })
}

interface HoldOptions extends Options {
  kind: string
  owner: string
  review: string
}

async function hold(session: Session, given: string, options: HoldOptions): Promise<void> {
  const jobs = await import('../../jobs/erasure/index.ts')
  const { holdStatement } = await import('../../jobs/holds.ts')
  const { holdKinds } = await import('../../lib/record/holds/index.ts')
  const { databaseNow } = await import('../../lib/base/db/index.ts')
  const kind = holdKinds.find((known) => known === options.kind)
  if (kind === undefined) throw usage(`--kind is one of: ${holdKinds.join(', ')}.`)
  if (!/^\d{4}-\d{2}-\d{2}$/.test(options.review)) throw usage('--review is a day such as 2027-05-01.')
  const review = parseInstant(options.review, '--review')
  const about = { kind, owner: options.owner, reason: options.reason, reviewAt: options.review }
  await withContext(session, async (context) => {
    if (review < (await databaseNow(context.control))) throw usage('--review lies in the past.')
    const { id } = await jobs.findRequest(context, given)
    const asked = await jobs.holdRequest(context, id, about)
    const by = await attested(session, context, holdStatement(context, asked.hold), options)
    if (by === null) return
    const added = await asked.add(by)
    session.output.data(
      { hold: added.id, alreadyGone: added.alreadyGone, gone: added.gone, actor: by.identity.name },
      added.alreadyGone === true
        ? `Hold ${added.id} stands. IT CAME TOO LATE for a part: something of this person was erased before. ${goneWords(added.gone)}`
        : `Hold ${added.id} stands; request ${id} goes on by itself once it is released. ${goneWords(added.gone)}`.trim(),
    )
    if (added.alreadyGone === true) session.exitCode = 3
  })
}

async function release(session: Session, given: string, options: Options): Promise<void> {
  const jobs = await import('../../jobs/erasure/index.ts')
  const { releaseStatement } = await import('../../jobs/holds.ts')
  await withContext(session, async (context) => {
    const { id } = await jobs.findRequest(context, given)
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
