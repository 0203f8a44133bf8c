/** `lethe runs …`: what happened, and why. */
import type { Run, RunState } from '../../lib/record/ledger/index.ts'
import { count, instant, table } from './output.ts'
import { parseCount, usage, withContext, type AddCommands, type Session } from './session.ts'

export const runsCommands: AddCommands = (program, session) => {
  const runs = program.command('runs').description('runs: list, show the whole story, cancel')
  runs
    .command('list')
    .description('runs, newest first')
    .option('--state <states>', 'one or more, with commas')
    .option('--kind <kind>', 'such as retention.sweep')
    .option('--policy <policy>')
    .option('--limit <n>', 'at most so many', '50')
    .action((options: ListOptions) => list(session, options))
  runs
    .command('show <run>')
    .description('who, when, what was found, decided and done, step by step')
    .action((id: string) => show(session, id))
  runs
    .command('follow <run>')
    .description('watch a run until it ends or waits for a person; Ctrl-C leaves it going')
    .action((id: string) => followRun(session, id))
  runs
    .command('cancel <run>')
    .description('end a run; a subject in hand is finished first')
    .action((id: string) => cancel(session, id))
}

interface ListOptions {
  state?: string
  kind?: string
  policy?: string
  limit: string
}

async function list(session: Session, options: ListOptions): Promise<void> {
  const { listRuns, runStates } = await import('../../lib/record/ledger/index.ts')
  const states = options.state?.split(',').map((word): RunState => {
    const state = runStates.find((known) => known === word.trim())
    if (state === undefined) throw usage(`--state takes: ${runStates.join(', ')}.`)
    return state
  })
  await withContext(session, async ({ control }) => {
    const runs = await listRuns(control, {
      limit: parseCount(options.limit, '--limit'),
      ...(states === undefined ? {} : { states }),
      ...(options.kind === undefined ? {} : { kind: options.kind }),
      ...(options.policy === undefined ? {} : { scope: options.policy }),
    })
    session.output.data(
      runs,
      runs.length === 0
        ? 'No runs.'
        : table(
            ['run', 'kind', 'of', 'state', 'outcome', 'counted', 'created'],
            runs.map((run) => [
              run.id,
              run.kind,
              run.scope,
              standing(run),
              run.outcome ?? '',
              counted(run),
              instant(run.createdAt),
            ]),
          ),
    )
  })
}

function standing(run: Run): string {
  if (run.waitingFor !== null && run.state === 'waiting') return `waiting for ${run.waitingFor}`
  return run.request === null ? run.state : `${run.state}, ${run.request} asked`
}

/** The largest three: a sweep counts by table, and `runs show` has them all. */
function counted({ counters }: Run): string {
  return Object.entries(counters)
    .filter(([, n]) => n !== 0)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 3)
    .map(([name, n]) => `${count(n)} ${name}`)
    .join(', ')
}

async function show(session: Session, id: string): Promise<void> {
  const { runStory } = await import('../../jobs/run-story.ts')
  const { storyText } = await import('./story.ts')
  await withContext(session, async ({ control }) => {
    const story = await runStory(control, id)
    session.output.data(story, storyText(story, session.output.bold))
  })
}

async function followRun(session: Session, id: string): Promise<void> {
  const { follow } = await import('./follow.ts')
  await withContext(session, (context) => follow(session, context, id))
}

async function cancel(session: Session, id: string): Promise<void> {
  const { requestRun } = await import('../../lib/record/ledger/index.ts')
  await withContext(session, async ({ control }) => {
    const run = await requestRun(control, id, 'cancel', 'command-line')
    session.output.data(
      { run },
      run.state === 'cancelled'
        ? `Run ${id} is cancelled.`
        : `Run ${id} ends once the subject in hand is finished.`,
    )
  })
}
