export { createLogger, type Logger, type LoggerOptions } from './logger.ts'
export { errorFields, type ErrorFields } from './fields.ts'
