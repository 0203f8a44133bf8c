/**
 * What `npm test [-- VITEST ARGUMENTS]` runs: formatter, linter and type check, then the tests. Each check counts as one
 * test, and the last line is the plain `N passed, N failed` that CI reads.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

const checks = [
  ['format', 'prettier', ['--check', '--log-level', 'warn', '.']],
  ['lint', 'oxlint', ['--type-aware', '--deny-warnings']],
  ['types', 'tsc', ['--noEmit']],
] as const

let current: ChildProcess | undefined
let stopped = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    stopped = true
    current?.kill(signal)
  })

let passed = 0
let failed = 0
let rest = ''
for (const [name, command, args] of checks) {
  if (await run(name, command, args)) passed += 1
  else failed += 1
}
// Asked for by name, so that another reporter on the command line doesn't replace it.
const reporter = process.argv.some((argument) => argument.startsWith('--reporter'))
  ? ['--reporter=./test/support/reporter.ts']
  : []
const before = failed
const ok = await run('tests', 'vitest', ['run', ...reporter, ...process.argv.slice(2)], (line) => {
  const closing = /^(\d+) passed, (\d+) failed(.*)$/.exec(line)
  if (closing === null) return process.stdout.write(`${line}\n`)
  passed += Number(closing[1])
  failed += Number(closing[2])
  rest = closing[3] ?? ''
  return true
})
// Vitest can fail without a failed test: it found none, its servers didn't start, or it was stopped.
if (!ok && failed === before) failed += 1
process.stdout.write(`${passed} passed, ${failed} failed${rest}\n`)
process.exitCode = failed === 0 ? 0 : 1

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
