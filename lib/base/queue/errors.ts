import { defineErrors, type Codes } from '../errors/index.ts'

const errors = defineErrors('Queue', {
  E_REDIS_FULL: {
    exit: 20,
    retryable: true,
    next: 'Give Redis more memory, or raise maxmemory; the dispatcher adds what is missing by itself.',
  },
  E_REDIS_UNAVAILABLE: {
    exit: 20,
    retryable: true,
    next: 'Check LETHE_REDIS_URL and that the server runs; the dispatcher adds what is missing by itself.',
  },
})

declare module '../errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
