import { defineErrors, type Codes } from '../../base/errors/index.ts'

const errors = defineErrors('Notifications', {
  E_NOTIFY_CREDENTIALS: {
    exit: 20,
    retryable: true,
    next: 'Check the credentials in notifications: the channel refuses them.',
  },
  E_NOTIFY_LOG: {
    exit: 12,
    retryable: false,
    next: 'Set notifications.channel to webhook or smtp: a log line tells nobody, so it is no delivered warning.',
  },
  E_NOTIFY_REFUSED: {
    exit: 12,
    retryable: false,
    next: 'The channel refuses this recipient for good; mend the address in the application.',
  },
  E_NOTIFY_UNAVAILABLE: {
    exit: 20,
    retryable: true,
    next: 'Check that the channel answers; undelivered warnings are sent again.',
  },
})

declare module '../../base/errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
