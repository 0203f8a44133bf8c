import './general.ts'

export { LetheError, type ErrorDetails } from './error.ts'
export type { Codes, ErrorCode, ErrorEntry } from './codes.ts'
export { definedErrors, defineErrors, isErrorCode } from './registry.ts'
