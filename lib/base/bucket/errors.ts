import { defineErrors, type Codes } from '../errors/index.ts'

const errors = defineErrors('Locked bucket', {
  E_BUCKET_LOCK: {
    exit: 12,
    retryable: false,
    next: 'Make a bucket with Object Lock enabled and name that one: it can only be enabled when a bucket is made.',
  },
  E_BUCKET_UNAVAILABLE: {
    exit: 20,
    retryable: true,
    next: 'Check the address, the credentials and their rights; what waits is written once it answers.',
  },
})

declare module '../errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
