/**
 * What `npm test [-- VITEST ARGUMENTS]` runs: formatter, linter and type check, then every test, then on PostgreSQL 18 those
 * that touch PostgreSQL. With arguments or LETHE_TEST_POSTGRES there is one run: what the arguments name, on the version
 * that the variable names. Each check counts as one test, and the last line is the plain `N passed, N failed` that CI reads.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { askedVersion } from './servers/postgres-programs.ts'
import { testsTouchingPostgres } from './touching-postgres.ts'

const checks = [
  ['format', 'prettier', ['--check', '--log-level', 'warn', '.']],
  ['lint', 'oxlint', ['--type-aware', '--deny-warnings']],
  ['types', 'tsc', ['--noEmit']],
] as const

const given = process.argv.slice(2)
const asked = askedVersion()
let current: ChildProcess | undefined
let stopped = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    stopped = true
    current?.kill(signal)
  })

let passed = 0
let failed = 0
let skipped = 0
for (const [name, command, args] of checks) {
  if (await run(name, command, args)) passed += 1
  else failed += 1
}
if (given.length > 0) await test('tests', given)
else if (asked !== undefined) await test(`tests on PostgreSQL ${asked}`, testsTouchingPostgres())
else {
  await test('tests', [])
  // a server that the environment gives is the first run's
  delete process.env['LETHE_TEST_POSTGRES_URL']
  process.env['LETHE_TEST_POSTGRES'] = '18'
  await test('tests on PostgreSQL 18', testsTouchingPostgres())
}
process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`)
process.exitCode = failed === 0 ? 0 : 1

/** Runs Vitest and counts what it passed, failed and skipped. */
async function test(name: string, args: readonly string[]): Promise<void> {
  // Asked for by name, so that another reporter on the command line doesn't replace it.
  const reporter = args.some((argument) => argument.startsWith('--reporter'))
    ? ['--reporter=./test/support/reporter.ts']
    : []
  const before = failed
  const ok = await run(name, 'vitest', ['run', ...reporter, ...args], (line) => {
    const closing = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(line)
    if (closing === null) return process.stdout.write(`${line}\n`)
    passed += Number(closing[1])
    failed += Number(closing[2])
    skipped += Number(closing[3] ?? 0)
    return true
  })
  // Vitest can fail without a failed test: it found none, its servers didn't start, or it was stopped.
  if (!ok && failed === before) failed += 1
}

/** Whether `command` succeeded. Its output passes through `onLine` where that is given. After a signal nothing starts. */
async function run(
  name: string,
  command: string,
  args: readonly string[],
  onLine?: (line: string) => void,
): Promise<boolean> {
  if (stopped) return false
  const begin = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', onLine ? 'pipe' : 'inherit', 'inherit'] })
  current = child
  const exit = once(child, 'exit').then(
    ([code]) => code === 0,
    () => false,
  )
  if (child.stdout !== null && onLine !== undefined)
    for await (const line of createInterface({ input: child.stdout })) onLine(line)
  const good = await exit
  const seconds = ((performance.now() - begin) / 1000).toFixed(1)
  process.stderr.write(`${name}: ${good ? 'passed' : 'FAILED'} in ${seconds} s\n`)
  return good
}
