import { defineErrors, type Codes } from '../lib/base/errors/index.ts'

const errors = defineErrors('Processes', {
  E_HEARTBEAT: {
    exit: 20,
    retryable: true,
    next: 'Check operations.heartbeat_url; the work itself goes on.',
  },
  E_QUEUE_WEDGED: {
    exit: 1,
    retryable: true,
    next: 'Nothing to do: the supervisor starts the worker again; see runbooks/alerts/queue-stuck.md if it repeats.',
  },
})

declare module '../lib/base/errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
