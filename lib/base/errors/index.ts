export { LetheError, type ErrorDetails } from './error.ts'
export { registry, type ErrorCode, type ErrorEntry } from './registry.ts'
