/** `lethe hold …`: what must stay, whatever a policy says. */
import { text as readAll } from 'node:stream/consumers'
import type { Config } from '../../lib/config/index.ts'
import type { GoneBefore } from '../../jobs/holds.ts'
import type { NewHold } from '../../lib/record/holds/index.ts'
import { attested, withEvidence, type EvidenceOptions } from './evidence.ts'
import { instant, table } from './output.ts'
import {
  parseInstant,
  postgresStores,
  usage,
  withContext,
  type AddCommands,
  type Session,
} from './session.ts'

export const holdCommands: AddCommands = (program, session) => {
  const hold = program.command('hold').description('legal holds: add, release, list')
  withEvidence(
    hold
      .command('add')
      .description('keep a row, a subject, a table or a tenant; reports what was already gone')
      .requiredOption('--level <level>', 'row, subject, table or tenant')
      .requiredOption(
        '--kind <kind>',
        'legal-claim, inquiry-moratorium, access-request, restriction or complaint',
      )
      .requiredOption('--owner <name>', 'who answers for it; a function or a team')
      .requiredOption('--review <day>', 'when someone must look whether it is still needed')
      .requiredOption('--reason <text>', 'why; no personal data')
      .option('--store <store>', "default: the subject's store, or the only one")
      .option('--subject <subject>', 'kind of subject, as the map names it')
      .option('--table <table>', 'schema.table')
      .option('--key <values...>', 'the key, one value a column; - reads them from stdin, one a line'),
  ).action((options: AddOptions) => add(session, options))
  withEvidence(
    hold
      .command('release <hold>')
      .description('end a hold; what it kept is due again at the next proposal')
      .requiredOption('--reason <text>', 'why; no personal data'),
  ).action((id: string, options: EvidenceOptions & { reason: string }) => release(session, id, options))
  hold
    .command('list')
    .description('holds in force; keys are not shown')
    .option('--overdue', 'only those whose review date has passed')
    .option('--released', 'also those that were released')
    .action((options: { overdue?: boolean; released?: boolean }) => list(session, options))
}

interface AddOptions extends EvidenceOptions {
  level: string
  kind: string
  owner: string
  review: string
  reason: string
  store?: string
  subject?: string
  table?: string
  key?: string[]
}

async function add(session: Session, options: AddOptions): Promise<void> {
  const jobs = await import('../../jobs/holds.ts')
  const { holdKinds, holdLevels } = await import('../../lib/record/holds/index.ts')
  const level = holdLevels.find((known) => known === options.level)
  if (level === undefined) throw usage(`--level is one of: ${holdLevels.join(', ')}.`)
  const kind = holdKinds.find((known) => known === options.kind)
  if (kind === undefined) throw usage(`--kind is one of: ${holdKinds.join(', ')}.`)
  if (!/^\d{4}-\d{2}-\d{2}$/.test(options.review)) throw usage('--review is a day such as 2027-05-01.')
  const review = parseInstant(options.review, '--review')
  if (options.owner.trim() === '') throw usage('--owner is empty: somebody has to answer for the hold.')
  const key = await readKey(options.key)
  const { databaseNow } = await import('../../lib/base/db/index.ts')
  await withContext(session, async (context) => {
    if (review < (await databaseNow(context.control))) throw usage('--review lies in the past.')
    const hold: NewHold = {
      level,
      kind,
      store: options.store ?? defaultStore(context.config, options.subject),
      owner: options.owner,
      reason: options.reason,
      reviewAt: options.review,
      ...(options.subject === undefined ? {} : { subject: options.subject }),
      ...(options.table === undefined ? {} : { table: options.table }),
      ...(key === undefined ? {} : { key }),
    }
    const by = await attested(session, context, jobs.holdStatement(context, hold), options)
    if (by === null) return
    const added = await jobs.addHold(context, hold, by)
    const words = [`Hold ${added.id} stands from now on.`]
    if (added.alreadyGone === true)
      words.push(
        'IT CAME TOO LATE: this subject was erased before, in whole or in part. See runbooks/wrong-deletion.md.',
        goneWords(added.gone),
      )
    else if (added.found === false) words.push('NOTHING HAS THIS KEY NOW: check it.')
    else if (added.alreadyGone === false)
      words.push(added.gone.length === 0 ? 'Nothing of this subject was gone.' : goneWords(added.gone))
    else if (level === 'subject') words.push('IT MAY HAVE COME TOO LATE for a part.', goneWords(added.gone))
    if (added.alreadyGone === null && level !== 'subject')
      words.push('What was removed before, nobody can say at this level.')
    session.output.data(
      {
        hold: added.id,
        alreadyGone: added.alreadyGone,
        gone: added.gone,
        found: added.found,
        actor: by.identity.name,
      },
      words.filter((word) => word !== '').join(' '),
    )
    if (added.alreadyGone === true) session.exitCode = 3
  })
}

/** What each store lost before the hold: `letters: 2 letters; sessions (access ended): 3 sessions`. */
export function goneWords(gone: readonly GoneBefore[]): string {
  if (gone.length === 0) return ''
  const stores = gone.map(({ store, counts, shared, access, unanswered }) => {
    const items = Object.entries(counts).map(([name, count]) => `${count} ${name}`)
    if (unanswered !== null) return `${store}: was asked at ${unanswered}, has not answered`
    const among = shared > 1 ? ` among ${shared} persons` : ''
    return `${store}${access ? ' (access ended)' : ''}: ${items.length === 0 ? 'asked, not counted' : items.join(', ')}${among}`
  })
  return `Gone before it: ${stores.join('; ')}.`
}

/** A key on a command line stands in the shell's history and in the process list; stdin has neither. */
async function readKey(given: readonly string[] | undefined): Promise<string[] | undefined> {
  if (given === undefined) return undefined
  if (given.length !== 1 || given[0] !== '-') return [...given]
  const lines = (await readAll(process.stdin)).split('\n').map((line) => line.replace(/\r$/, ''))
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines
}

function defaultStore(config: Config, subject: string | undefined): string {
  const own = subject === undefined ? undefined : config.file.subjects[subject]?.store
  if (own !== undefined) return own
  const [only, ...others] = postgresStores(config)
  if (only !== undefined && others.length === 0) return only
  throw usage('There are several stores: name one with --store.')
}

async function release(
  session: Session,
  id: string,
  options: EvidenceOptions & { reason: string },
): Promise<void> {
  const { releaseHold, releaseStatement } = await import('../../jobs/holds.ts')
  await withContext(session, async (context) => {
    const by = await attested(session, context, releaseStatement(id, options.reason), options)
    if (by === null) return
    await releaseHold(context, id, by)
    session.output.data(
      { hold: id, released: true, actor: by.identity.name },
      `Hold ${id} is released, by ${by.identity.name}. What it kept is due again at the next proposal.`,
    )
  })
}

async function list(session: Session, options: { overdue?: boolean; released?: boolean }): Promise<void> {
  const { listHolds } = await import('../../lib/record/holds/index.ts')
  await withContext(session, async ({ control }) => {
    const holds = await listHolds(control, options)
    session.output.data(
      holds,
      holds.length === 0
        ? 'No holds.'
        : table(
            ['hold', 'level', 'on', 'kind', 'owner', 'review', 'since', ''],
            holds.map((hold) => [
              hold.id,
              hold.level,
              `${hold.store} ${hold.subject ?? hold.table ?? ''}${hold.request === null ? '' : `, request ${hold.request}`}`.trim(),
              hold.kind,
              hold.owner,
              hold.reviewAt,
              instant(hold.createdAt),
              [
                hold.overdue ? 'REVIEW OVERDUE' : '',
                hold.projected ? '' : 'NOT IN FORCE: not projected yet',
                hold.releasedAt === null ? '' : 'released',
              ]
                .filter((word) => word !== '')
                .join(', '),
            ]),
          ),
    )
  })
}
