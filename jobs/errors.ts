import { defineErrors, type Codes } from '../lib/base/errors/index.ts'

const errors = defineErrors('Legal holds', {
  E_HOLD_KEY: { exit: 2, retryable: false, next: 'See `lethe hold add --help` for what each level needs.' },
})

declare module '../lib/base/errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
