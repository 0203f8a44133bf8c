/** What `npm test` runs: formatter, linter and type check, then every test. Ends with the plain line CI reads. */
import { spawnSync } from 'node:child_process'

const checks = [
  ['format', 'prettier', ['--check', '--log-level', 'warn', '.']],
  ['lint', 'oxlint', ['--type-aware', '--deny-warnings']],
  ['types', 'tsc', ['--noEmit']],
] as const

const only = process.argv.slice(2)
let failed = 0
// a run narrowed to some files is for working on them
if (only.length === 0) {
  for (const [name, command, args] of checks) {
    const start = performance.now()
    const ok = spawnSync(command, args, { stdio: 'inherit' }).status === 0
    process.stderr.write(
      `${name}: ${ok ? 'passed' : 'FAILED'} in ${((performance.now() - start) / 1000).toFixed(1)} s\n`,
    )
    if (!ok) failed += 1
  }
}
const tests = spawnSync('vitest', ['run', ...only], {
  stdio: ['inherit', 'pipe', 'inherit'],
  encoding: 'utf8',
  maxBuffer: 1 << 28,
})
const closing = /^(\d+) passed, (\d+) failed(.*)$/m.exec(tests.stdout)
process.stdout.write(closing === null ? tests.stdout : tests.stdout.replace(closing[0], ''))
if (closing === null) failed += 1
const passed = only.length === 0 ? checks.length - failed : 0
process.stdout.write(
  `${Number(closing?.[1] ?? 0) + passed} passed, ${Number(closing?.[2] ?? 0) + failed} failed${closing?.[3] ?? ''}\n`,
)
process.exitCode = failed === 0 && tests.status === 0 ? 0 : 1
