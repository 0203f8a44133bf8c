#!/usr/bin/env node
/** The `lethe` command: parses, hands over to one file a noun, and turns whatever is thrown into words and an exit code. */
import { Command, CommanderError } from 'commander'
import { LetheError } from '../lib/base/errors/index.ts'
import { armCommands } from './cli/arm.ts'
import { datamapCommands } from './cli/datamap.ts'
import { erasureCommands } from './cli/erasure.ts'
import { evidenceLogCommands } from './cli/evidence-log.ts'
import { doctorCommands } from './cli/doctor.ts'
import { grantsCommands } from './cli/grants.ts'
import { holdCommands } from './cli/hold.ts'
import { keystoreCommands } from './cli/keystore.ts'
import { migrateCommands } from './cli/migrate.ts'
import { createOutput } from './cli/output.ts'
import { retentionCommands } from './cli/retention.ts'
import { runsCommands } from './cli/runs.ts'
import type { Session } from './cli/session.ts'
import { stopCommands } from './cli/stop.ts'
import { version } from './cli/version.ts'
import { witnessCommands } from './cli/witness.ts'
import { workCommands } from './cli/work.ts'

process.exitCode = await main(process.argv.slice(2))

/** The exit code; everything is said and closed when it resolves. */
async function main(args: readonly string[]): Promise<number> {
  const output = createOutput({
    json: args.includes('--json'),
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
  })
  const session: Session = {
    output,
    env: process.env,
    left: 'Nothing was changed.',
    exitCode: 0,
    interruptible: true,
  }
  // A reader that has seen enough (head, less) closes the pipe: that is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  process.on('SIGINT', () => {
    if (!session.interruptible) return
    output.error(
      new LetheError('E_INTERRUPTED', {
        message: 'Interrupted.',
        left: session.left,
        ...(session.next === undefined ? {} : { next: session.next }),
      }),
    )
    process.exit(130)
  })
  try {
    await build(session).parseAsync([...args], { from: 'user' })
    return session.exitCode
  } catch (error) {
    return report(session, error)
  }
}

function build(session: Session): Command {
  const program = new Command('lethe')
    .description('Deletes personal data when it must go, and proves it.')
    .option('--json', 'one JSON document on stdout; errors and progress as JSON lines on stderr')
    .version(version())
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      outputError: () => undefined,
      ...(session.output.json ? { writeErr: () => undefined } : {}),
    })
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 failed, 2 usage, 3 partly done, 10 not found, 11 leased elsewhere, 12 refused,\n13 approval or identity missing, 20 dependency unavailable, 30 verification failed, 57 schema mismatch, 130 interrupted.',
    )
  for (const add of [
    retentionCommands,
    armCommands,
    holdCommands,
    stopCommands,
    datamapCommands,
    erasureCommands,
    runsCommands,
    evidenceLogCommands,
    doctorCommands,
    migrateCommands,
    grantsCommands,
    keystoreCommands,
    workCommands,
    witnessCommands,
  ])
    add(program, session)
  program.hook('preAction', (_program, action) => {
    session.output.command = nameOf(action)
  })
  return program
}

function nameOf(command: Command): string {
  const { parent } = command
  return parent === null || parent.parent === null ? command.name() : `${nameOf(parent)} ${command.name()}`
}

async function report(session: Session, error: unknown): Promise<number> {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0
    const next = 'See `lethe --help`, or --help behind the command.'
    session.output.command ||= words(process.argv.slice(2))
    session.output.error(
      new LetheError('E_USAGE', {
        message: error.code === 'commander.help' ? 'A command is missing.' : sentence(error.message),
        next,
      }),
    )
    return 2
  }
  if (error instanceof LetheError) {
    session.output.error(error)
    return error.exitCode
  }
  // Not raised on purpose: its message may hold a row value, so only its kind and its place in our code are told.
  const { errorFields } = await import('../lib/base/log/index.ts')
  const unknown = new LetheError('E_INTERNAL', {
    message: errorFields(error).message,
    left: 'Unknown; see `lethe runs list`.',
  })
  session.output.error(unknown)
  return unknown.exitCode
}

/** The noun and the verb as they were typed; options and what follows them are left out. */
function words(args: readonly string[]): string {
  const given = args.filter((word) => word !== '--json')
  const end = given.findIndex((word) => word.startsWith('-'))
  return given
    .slice(0, end < 0 ? 2 : Math.min(end, 2))
    .filter((word) => /^[a-z-]+$/.test(word))
    .join(' ')
}

function sentence(message: string): string {
  const text = message
    .replace(/^error: /, '')
    .replaceAll('\n', ' ')
    .trim()
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`
}
