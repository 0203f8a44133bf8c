import { defineErrors, type Codes } from '../errors/index.ts'

const errors = defineErrors('Keystore', {
  E_KEYSTORE_BUSY: {
    exit: 11,
    retryable: true,
    next: 'Wait for the other rotation; if none runs, remove the .next file: it holds nothing that is in use.',
  },
  E_KEYSTORE_CIPHER: {
    exit: 1,
    retryable: false,
    next: 'Restore the keystore that sealed the value, or enter the value again.',
  },
  E_KEYSTORE_EXISTS: {
    exit: 12,
    retryable: false,
    next: 'Nothing to do; a new key is added with `lethe keystore rotate`.',
  },
  E_KEYSTORE_INVALID: { exit: 2, retryable: false, next: 'Restore the keystore from its backup.' },
  E_KEYSTORE_KEY_UNKNOWN: {
    exit: 2,
    retryable: false,
    next: 'Restore the keystore that has this key: without it the erasure ledger can not be replayed.',
  },
  E_KEYSTORE_MISSING: {
    exit: 2,
    retryable: false,
    next: 'Point LETHE_KEYSTORE at the keystore, or make one with `lethe keystore create` (only for a new installation).',
  },
  E_KEYSTORE_MODE: {
    exit: 2,
    retryable: false,
    next: 'Run `chmod 600` on the file; if others could read it, rotate its keys.',
  },
})

declare module '../errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
