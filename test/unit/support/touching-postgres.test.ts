import { expect, it } from 'vitest'
import { testsTouchingPostgres } from '../../support/touching-postgres.ts'

const touching = testsTouchingPostgres()

it.each([
  ['takes a database of the run', 'test/integration/support/servers.test.ts'],
  ['asks the run for the server', 'test/integration/jobs/doctor/doctor.test.ts'],
  ['imports what does', 'test/fault/erasure.test.ts'],
])('a test file that %s touches PostgreSQL', (_, file) => {
  expect(touching).toContain(file)
})

it.each([
  ['starts only a Redis', 'test/conformance/redis.test.ts'],
  ['needs no server', 'test/unit/house.test.ts'],
  ['imports what only names it', 'test/unit/support/touching-postgres.test.ts'],
  ['kills a worker at each of its messages', 'test/crash/ledger.test.ts'],
])('a test file that %s is left out', (_, file) => {
  expect(touching).not.toContain(file)
})
