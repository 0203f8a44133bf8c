/** `lethe erasure …`: requests to forget a person, from the asking to the receipt. */
import { text as readAll } from 'node:stream/consumers'
import type { Command } from 'commander'
import type { Asked } from '../../jobs/erasure/index.ts'
import { erasureDecisions } from './erasure-decisions.ts'
import { addReceipt } from './erasure-receipt.ts'
import { joinedText, listEnd, listText, previewText, requestedText, statusText } from './erasure-text.ts'
import { attested, withEvidence, type EvidenceOptions } from './evidence.ts'
import { writeNew } from './evidence-verify.ts'
import { parseCount, usage, withContext, type AddCommands, type Session } from './session.ts'

export const erasureCommands: AddCommands = (program, session) => {
  const erasure = program
    .command('erasure')
    .description('requests to forget a person: request, follow, decide, prove')
  withEvidence(
    withPerson(
      erasure
        .command('request')
        .description('write down a request; whoever has an open one joins it')
        .requiredOption('--kind <kind>', 'account-closure (30 days of grace) or article-17 (none)')
        .requiredOption('--reason <text>', 'why, or the number of the ticket; no personal data')
        .option('--requester <who>', 'subject, guardian, representative or staff', 'subject')
        .option('--identity <method>', 'how the person was recognised, where they were: staff-check, …')
        .option('--ground <ground>', 'the ground in a word, such as art-17-1-b')
        .option('--instruction <reference>', "the controller's instruction, where you are a processor")
        .option('--immediate', 'no grace period'),
    ),
  ).action((options: RequestOptions) => request(session, options))
  withPerson(
    erasure.command('plan').description('what an erasure would do, by store and table; changes nothing'),
  ).action((options: PersonOptions) => plan(session, options))
  erasure
    .command('status <request>')
    .description('in plain words: done, waiting, failed, what stays and why, what happens next')
    .action((id: string) => status(session, id))
  erasure
    .command('list')
    .description('requests, newest first')
    .option('--due', 'open ones only, the nearest due date first')
    .option('--state <states>', 'one or more, with commas')
    .option('--limit <n>', 'at most so many (default: 50)')
    .option('--all', 'every one')
    .action((options: ListOptions) => list(session, options))
  erasureDecisions(erasure, session)
  const receipt = addReceipt(erasure, session)
  receipt
    .command('show <request>')
    .description('the signed receipt of a request that was carried through')
    .option('--out <file>', 'write it to a new file')
    .action((id: string, options: { out?: string }) => showReceipt(session, id, options))
}

interface PersonOptions {
  subject: string
  key?: string[]
  by?: string
}

/** Whoever is meant: by key, or by an identifier; `-` keeps the value out of the shell's history. */
function withPerson(command: Command): Command {
  return command
    .requiredOption('--subject <subject>', 'kind of subject, as the map names it')
    .option('--key <values...>', 'the key, one value a column; - reads them from stdin, one a line')
    .option(
      '--by <identifier=value>',
      'an identifier that leads to one person; email=- reads the value from stdin',
    )
}

async function personOf(options: PersonOptions): Promise<Pick<Asked, 'subject' | 'who'>> {
  const { subject, key, by } = options
  if ((key === undefined) === (by === undefined)) throw usage('Give either --key or --by.')
  if (key !== undefined) {
    const values = key.length === 1 && key[0] === '-' ? await lines() : key
    return { subject, who: { key: values } }
  }
  const at = (by ?? '').indexOf('=')
  if (at < 1) throw usage('--by takes NAME=VALUE, such as email=someone@example.org.')
  const value = (by ?? '').slice(at + 1)
  const [first = ''] = value === '-' ? await lines() : [value]
  if (first === '') throw usage('--by has no value.')
  return { subject, who: { identifier: (by ?? '').slice(0, at), value: first } }
}

async function lines(): Promise<string[]> {
  const all = (await readAll(process.stdin)).split('\n').map((line) => line.replace(/\r$/, ''))
  return all.at(-1) === '' ? all.slice(0, -1) : all
}

interface RequestOptions extends PersonOptions, EvidenceOptions {
  kind: string
  reason: string
  requester: string
  identity?: string
  ground?: string
  instruction?: string
  immediate?: boolean
}

async function request(session: Session, options: RequestOptions): Promise<void> {
  const jobs = await import('../../jobs/erasure/index.ts')
  const { personalMethods, personalRequesters } = await import('../../lib/record/requests/index.ts')
  const { kind, immediate = false } = options
  if (kind !== 'account-closure' && kind !== 'article-17')
    throw usage('--kind is account-closure or article-17.')
  const requester = oneOf(personalRequesters, options.requester, '--requester')
  const identity =
    options.identity === undefined ? undefined : oneOf(personalMethods, options.identity, '--identity')
  const person = await personOf(options)
  const asked: Asked = {
    ...person,
    kind,
    requester,
    immediate,
    ...(identity === undefined ? {} : { identity }),
    ...(options.ground === undefined ? {} : { ground: options.ground }),
    ...(options.instruction === undefined ? {} : { instruction: options.instruction }),
  }
  await withContext(session, async (context) => {
    const key = await jobs.resolveSubject(context, asked)
    const by = await attested(
      session,
      context,
      jobs.askedStatement(context, asked, key, options.reason),
      options,
    )
    if (by === null) return
    const present = await jobs.isPresent(context, asked.subject, key)
    const made = await jobs.requestErasure(context, asked, key, by)
    const { id, joined, overCeiling, was, became } = made
    const before = was === undefined ? '' : jobs.kindInWords(was)
    const store = context.config.file.subjects[asked.subject]?.store ?? ''
    const words = requestedText(made, { asked, present, store, before })
    session.output.data(
      {
        request: id,
        joined,
        was: was ?? null,
        became: became ?? null,
        overCeiling,
        present,
        actor: by.identity.name,
      },
      words,
    )
  })
}

async function plan(session: Session, options: PersonOptions): Promise<void> {
  const jobs = await import('../../jobs/erasure/index.ts')
  const person = await personOf(options)
  await withContext(session, async (context) => {
    const key = await jobs.resolveSubject(context, person)
    const preview = await jobs.previewErasure(context, options.subject, key)
    session.output.data(preview, previewText(preview, session.output.bold))
  })
}

async function status(session: Session, given: string): Promise<void> {
  const { findRequest, requestStatus } = await import('../../jobs/erasure/index.ts')
  await withContext(session, async (context) => {
    const { id, joinedAs } = await findRequest(context, given)
    const found = await requestStatus(context, id)
    session.output.data(
      { ...found, joinedAs },
      `${joinedText(id, joinedAs)}${statusText(found, session.output.bold)}`,
    )
  })
}

interface ListOptions {
  due?: boolean
  state?: string
  limit?: string
  all?: boolean
}

async function list(session: Session, options: ListOptions): Promise<void> {
  const { listPages } = await import('../../jobs/erasure/index.ts')
  const { requestStates } = await import('../../lib/record/requests/index.ts')
  const states = options.state?.split(',').map((word) => oneOf(requestStates, word.trim(), '--state'))
  if (options.all === true && options.limit !== undefined) throw usage('Give either --limit or --all.')
  const limit = options.all === true ? Infinity : parseCount(options.limit ?? '50', '--limit')
  await withContext(session, async (context) => {
    const { total, pages } = await listPages(context, {
      limit,
      ...(options.due === undefined ? {} : { due: options.due }),
      ...(states === undefined ? {} : { states }),
    })
    const end = total > limit ? listEnd(limit, total) : ''
    await session.output.list({ total }, 'requests', pages, (page, first) => listText(page, first), end)
  })
}

async function showReceipt(session: Session, given: string, { out }: { out?: string }): Promise<void> {
  const { findRequest, readReceipt } = await import('../../jobs/erasure/index.ts')
  await withContext(session, async (context) => {
    const { id } = await findRequest(context, given)
    const text = await readReceipt(context, id)
    if (out !== undefined) await writeNew(out, text)
    session.output.data(
      out === undefined ? { receipt: text } : { file: out },
      out === undefined
        ? text
        : `Written to ${out}. Anybody checks it with: lethe erasure receipt verify ${out} --key KEYS`,
    )
  })
}

function oneOf<T extends string>(known: readonly T[], given: string, option: string): T {
  const found = known.find((one) => one === given)
  if (found === undefined) throw usage(`${option} takes: ${known.join(', ')}.`)
  return found
}
