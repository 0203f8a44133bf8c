/**
 * A process of Lethe for tests, started as `lethe work` would: the same `work`, with kinds of the test's own. Arguments:
 * the deadline for stopping in ms, then the roles. `slow` obeys the signal in its second step, `deaf` never
 * returns, `stray` leaves a rejection that nobody catches.
 */
import { createRegistry } from '../../../jobs/kind.ts'
import { consume } from '../../../workers/consumer.ts'
import { roles, work } from '../../../workers/main.ts'
import { stepper } from './stepper.ts'

const [deadline = '', ...names] = process.argv.slice(2)
const kinds = createRegistry([
  stepper({
    kind: 'test.slow',
    steps: 3,
    before: async (step, signal) => {
      if (step === 2) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    },
  }),
  stepper({
    kind: 'test.deaf',
    steps: 3,
    before: async (step) => {
      if (step === 2) await new Promise(() => undefined)
    },
  }),
  stepper({
    kind: 'test.stray',
    steps: 3,
    before: async (step) => {
      if (step === 2) void Promise.reject(new Error('canary-stray'))
      await Promise.resolve()
    },
  }),
])
const available = {
  dispatcher: roles['dispatcher'] ?? (() => () => Promise.reject(new Error('no dispatcher'))),
  test: (shared: Parameters<typeof consume>[0]) => consume(shared, 'test'),
}
process.exit(await work(names, { registry: kinds, roles: available, deadlineMs: Number(deadline) }))
