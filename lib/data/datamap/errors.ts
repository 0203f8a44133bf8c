import { defineErrors, type Codes } from '../../base/errors/index.ts'

const errors = defineErrors('Data map', {
  E_IDENTIFIER: {
    exit: 2,
    retryable: false,
    next: 'Correct the value where it is stored, or give the right identifier.',
  },
  E_MAP_FINDINGS: {
    exit: 12,
    retryable: false,
    next: 'Mend each finding in the map or the database, or accept it in the map by its name with a reason.',
  },
  E_ROW_UNMATCHED: {
    exit: 1,
    retryable: true,
    next: 'Nothing: the run tries again with what stands in the rows then. If it goes on, ask what rewrites the keys of that table.',
  },
})

declare module '../../base/errors/codes.ts' {
  interface ErrorCodes extends Codes<typeof errors> {}
}
